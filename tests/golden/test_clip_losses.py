"""CLIP losses and crops against numbers recorded from CLIPstyler and MMIST; tolerances are those of the README."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder
from tasks.losses.clip import (
    bidirectional_losses,
    directional_losses,
    embed_crops,
    embed_pixels,
    mean_target_losses,
    text_directions,
    unit_directions,
)
from tasks.losses.crops import Crops, cut_crops, cut_patches
from tasks.losses.perceptual import feature_loss, variation_norms
from tasks.losses.templates import TEMPLATES, average_templates, embed_in_templates
from tests.golden import test_clip
from tests.golden.conftest import Fixture, Golden

recorded, encoder = test_clip.recorded, test_clip.encoder  # fixtures: the recorded network


def assert_gradient(gradient: Tensor | None, expected: Tensor) -> None:
    """To 1e-4 of the largest, which the README recommends for all of them."""
    assert gradient is not None
    assert_close(gradient, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def unit(raw: Tensor) -> Tensor:
    return F.normalize(raw, dim=-1)


class TestTemplates:
    def test_they_are_those_recorded(self, golden: Golden) -> None:
        expected = json.loads((golden.folder / "prompt_templates.json").read_text())["templates"]
        assert list(TEMPLATES) == expected

    def test_a_text_embeds_as_recorded(self, encoder: ClipEncoder, recorded: Fixture) -> None:
        text = recorded.number("texts")[0]
        expected_1D = recorded.tensors["text_feature_79templates.0"]
        assert_close(embed_in_templates(encoder, [text]), expected_1D, atol=5e-5, rtol=0)

    def test_a_direction_is_that_recorded(self, encoder: ClipEncoder, recorded: Fixture) -> None:
        """Differences are a third as long as embeddings, so the tolerance is three times theirs."""
        directions_1D = text_directions(encoder, recorded.number("texts")[:1], recorded.number("source_text"))
        assert_close(directions_1D, recorded.tensors["text_direction.0"], atol=1.5e-4, rtol=0)


class TestMmistLosses:
    @pytest.fixture
    def tensors(self, golden: Golden) -> dict[str, Tensor]:
        return golden.fixture("mmist_loss").tensors

    @pytest.fixture
    def patches_KD(self, tensors: dict[str, Tensor]) -> Tensor:
        return tensors["patch_features"].clone().requires_grad_()

    @pytest.fixture
    def directions_1KD(self, tensors: dict[str, Tensor], patches_KD: Tensor) -> Tensor:
        return unit_directions(unit(patches_KD), unit(tensors["content_feature"]))[None]

    def text_target(self, tensors: dict[str, Tensor], name: str) -> Tensor:
        target_1D, source_1D = (average_templates(tensors[f"text_template_features.{x}"][None]) for x in (name, "src"))
        return unit_directions(target_1D, source_1D)[None]

    def picture_target(self, tensors: dict[str, Tensor], name: str) -> Tensor:
        return unit_directions(unit(tensors[f"{name}_patch_features"]), unit(tensors["content_feature"]))[None]

    def test_directions_are_those_recorded(self, tensors: dict[str, Tensor], directions_1KD: Tensor) -> None:
        assert_close(directions_1KD[0].detach(), tensors["patch_direction"], atol=1e-6, rtol=0)
        assert_close(self.text_target(tensors, "t1")[0], tensors["text_direction.t1"], atol=1e-6, rtol=0)

    @pytest.mark.parametrize(("name", "threshold"), [("text", 0.0), ("text_thresh1.0", 1.0)])
    def test_text(
        self, tensors: dict[str, Tensor], patches_KD: Tensor, directions_1KD: Tensor, name: str, threshold: float
    ) -> None:
        loss = directional_losses(directions_1KD, self.text_target(tensors, "t1"), threshold).sum()
        loss.backward()
        assert_close(loss.detach(), tensors[f"loss.{name}"], atol=0, rtol=1e-5)
        assert_gradient(patches_KD.grad, tensors[f"grad.{name}"])

    @pytest.mark.parametrize(
        ("name", "function", "threshold"),
        [
            ("image_all_pairs", directional_losses, 0.0),
            ("image_all_pairs_thresh0.6", directional_losses, 0.6),
            ("image_mean_target", mean_target_losses, 0.0),
            ("image_bidirectional", bidirectional_losses, 0.0),
        ],
    )
    def test_picture(
        self,
        tensors: dict[str, Tensor],
        patches_KD: Tensor,
        directions_1KD: Tensor,
        name: str,
        function: Callable[[Tensor, Tensor, float], Tensor],
        threshold: float,
    ) -> None:
        loss = function(directions_1KD, self.picture_target(tensors, "style1"), threshold).sum()
        loss.backward()
        assert_close(loss.detach(), tensors[f"loss.{name}"], atol=0, rtol=1e-5)
        assert_gradient(patches_KD.grad, tensors[f"grad.{name}"])

    def test_weighted_texts_and_pictures(
        self, tensors: dict[str, Tensor], patches_KD: Tensor, directions_1KD: Tensor
    ) -> None:
        texts_R1D = torch.cat([self.text_target(tensors, name) for name in ("t1", "t2")])
        pictures_RQD = torch.cat([self.picture_target(tensors, name) for name in ("style1", "style2")])
        losses = [directional_losses(directions_1KD, targets) for targets in (texts_R1D, pictures_RQD)]
        loss = (torch.cat(losses, dim=1) * tensors["mixed_weights"]).sum()
        loss.backward()
        assert_close(loss.detach(), tensors["loss.mixed"], atol=0, rtol=1e-5)
        assert_gradient(patches_KD.grad, tensors["grad.mixed"])


class TestClipstylerLosses:
    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("clipstyler_losses")

    @pytest.mark.parametrize(("features", "name"), [("patch_features", "loss_patch"), ("global_feature", "loss_dir")])
    def test_patches_and_the_whole_image(self, numbers: Fixture, features: str, name: str) -> None:
        tensors, threshold = numbers.tensors, numbers.number("thresh") if name == "loss_patch" else 0.0
        raw_KD = tensors[features].clone().requires_grad_()
        directions_1KD = unit_directions(unit(raw_KD), unit(tensors["content_feature"]))[None]
        text_1D, source_1D = (average_templates(tensors[f"{x}_template_features"][None]) for x in ("text", "source"))
        loss = directional_losses(directions_1KD, unit_directions(text_1D, source_1D)[None], threshold).sum()
        loss.backward()
        assert_close(loss.detach(), tensors[name], atol=0, rtol=1e-5)
        assert_gradient(raw_KD.grad, tensors[f"grad.{name}"])

    def test_content_loss_of_features(self, numbers: Fixture) -> None:
        pairs = [
            [numbers.tensors[f"vgg.{x}.{layer}"] for x in ("target", "content")] for layer in ("conv4_2", "conv5_2")
        ]
        loss = sum(feature_loss(output, content) for output, content in pairs)
        assert_close(loss, numbers.tensors["content_loss"], atol=0, rtol=1e-5)

    def test_variation(self, numbers: Fixture) -> None:
        images_NCHW = numbers.tensors["image_target"].clone().requires_grad_()
        loss = variation_norms(images_NCHW).sum()
        loss.backward()
        assert_close(loss.detach(), numbers.tensors["tv"], atol=0, rtol=1e-5)
        assert_gradient(images_NCHW.grad, numbers.tensors["grad.tv"])


class TestGeometry:
    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("patch_geometry")

    @pytest.fixture
    def crops(self, numbers: Fixture) -> Crops:
        places_K4 = numbers.tensors["crop_top_left_height_width"]
        height, width = places_K4[0, 2:].tolist()
        return Crops(height, width, places_K4[None, :, :2], numbers.tensors["endpoints"][None])

    def test_corners_and_coefficients(self, numbers: Fixture, crops: Crops) -> None:
        assert torch.equal(crops.outer_corners().expand(6, 4, 2), numbers.tensors["startpoints"])
        maps_K9 = crops.maps_to_upright()[0].flatten(1)
        coefficients_K8 = (maps_K9 / maps_K9[:, 8:])[:, :8].float()  # the authors' have 1 for the last
        assert_close(coefficients_K8, numbers.tensors["perspective_coeffs"], atol=1e-4, rtol=0)

    def test_crops_of_an_image(self, numbers: Fixture, crops: Crops) -> None:
        assert_close(cut_crops(numbers.tensors["image"], crops)[0], numbers.tensors["warped"], atol=1e-4, rtol=0)

    def test_a_patch_at_the_size_of_a_model(self, numbers: Fixture, crops: Crops) -> None:
        patches_NKChw = cut_patches(numbers.tensors["image"], crops, (224, 224))
        assert_close(patches_NKChw[0, :1], numbers.tensors["patch224_0"], atol=1e-4, rtol=0)

    @pytest.mark.parametrize(("antialias", "name"), [(False, "noantialias"), (True, "antialias")])
    def test_a_crop_made_smaller(self, numbers: Fixture, antialias: bool, name: str) -> None:
        """The recorded tensors hold every fourth row."""
        corners_NK42 = numbers.tensors["warped256_endpoints"][None, None]
        crops = Crops(256, 256, torch.zeros(1, 1, 2, dtype=torch.int64), corners_NK42)
        image_1CHW = numbers.tensors["warped256_src"]
        assert_close(cut_crops(image_1CHW, crops)[0], numbers.tensors["warped256"], atol=1e-4, rtol=0)
        patches_NKChw = cut_patches(image_1CHW, crops, (224, 224), antialias)
        assert_close(patches_NKChw[0, :, :, ::4], numbers.tensors[f"resize224_{name}"], atol=1e-4, rtol=0)


class TestPixels:
    def test_the_loss_of_patches_and_its_gradient(self, encoder: ClipEncoder, recorded: Fixture) -> None:
        patches_KCHW = recorded.tensors["patches"].clone().requires_grad_()
        content_1D = embed_pixels(encoder, recorded.tensors["content"])
        directions_1KD = unit_directions(embed_pixels(encoder, patches_KCHW), content_1D)[None]
        texts_11D = text_directions(encoder, recorded.number("texts")[:1], recorded.number("source_text"))[None]
        pictures_1QD = unit_directions(embed_pixels(encoder, recorded.tensors["style_patches"]), content_1D)[None]
        text, picture = (directional_losses(directions_1KD, targets).sum() for targets in (texts_11D, pictures_1QD))
        total = 500 * text + 500 * picture  # the README's weights
        total.backward()
        for loss, name in [(text, "text"), (picture, "image"), (total, "total")]:
            assert_close(loss.detach(), recorded.tensors[f"loss.{name}"], atol=0, rtol=1e-5)
        assert_gradient(patches_KCHW.grad, recorded.tensors["grad.patches"])

    def test_a_step_of_clipstyler(self, encoder: ClipEncoder, golden: Golden) -> None:
        """The third, whose picture is recorded."""
        numbers, step = golden.fixture("clipstyler_steps"), 2
        image_1CHW, content_1CHW = numbers.tensors["image_before_last_update"], numbers.tensors["content"]
        crops = recorded_crops(numbers, numbers.tensors["crops_top_left"][step], numbers.tensors["endpoints"][step])
        content_1D = embed_pixels(encoder, content_1CHW)
        targets_11D = text_directions(encoder, [numbers.number("text")], numbers.number("source_text"))[None]
        losses = {
            "loss_dir": directional_losses(
                unit_directions(embed_pixels(encoder, image_1CHW), content_1D)[None], targets_11D
            ),
            "loss_patch": directional_losses(
                unit_directions(embed_crops(encoder, image_1CHW, crops), content_1D),
                targets_11D,
                numbers.number("thresh"),
            ),
        }
        for name, loss in losses.items():
            assert_close(loss.sum(), numbers.tensors[name][step], atol=0, rtol=2e-4)

    def test_the_first_step_of_mmist(self, encoder: ClipEncoder, golden: Golden) -> None:
        numbers = golden.fixture("mmist_steps")
        tensors = numbers.tensors
        crops = recorded_crops(numbers, tensors["crop_top_left"][0], tensors["endpoints"][0])
        of_style = recorded_crops(numbers, tensors["style_crop_top_left"], tensors["style_endpoints"])
        patches_NKChw = cut_patches(tensors["style_image_step0"], crops, (224, 224))
        assert_close(patches_NKChw[0, :, :, ::8], tensors["patches_step0_row"], atol=1e-3, rtol=0)
        content_1D = embed_pixels(encoder, tensors[f"content{int(tensors['content_pick'][0])}"])
        directions_1KD = unit_directions(embed_crops(encoder, tensors["style_image_step0"], crops), content_1D)
        texts_R1D = text_directions(encoder, numbers.number("texts"), numbers.number("source_text"))[:, None]
        pictures_1QD = unit_directions(embed_crops(encoder, tensors["style"], of_style), content_1D)
        text = directional_losses(directions_1KD, texts_R1D)[0] @ torch.tensor(numbers.number("alpha_text"))
        picture = directional_losses(directions_1KD, pictures_1QD)[0] @ torch.tensor(numbers.number("alpha_img"))
        expected_3 = tensors["losses_text_image_total"][0]
        assert_close(torch.stack([text, picture, text + picture]), expected_3, atol=0, rtol=1e-4)

    @pytest.mark.parametrize("name", ["score_text", "score_image", "score"])
    def test_scores_of_first_latents(self, encoder: ClipEncoder, golden: Golden, name: str) -> None:
        numbers = golden.fixture("mmist_init_selection")
        tensors = numbers.tensors
        content_1D = embed_pixels(encoder, tensors["content"])
        directions_N1D = unit_directions(embed_pixels(encoder, tensors["candidate_images"]), content_1D)[:, None]
        texts_R1D = text_directions(encoder, numbers.number("texts"), numbers.number("source_text"))[:, None]
        scores_N = {"score_text": directional_losses(directions_N1D, texts_R1D) @ weights(numbers, "text")}
        losses = [
            directional_losses(
                directions_N1D, unit_directions(embed_pixels(encoder, tensors[f"style{k}_patches"]), content_1D)[None]
            )
            for k in (1, 2)
        ]
        scores_N["score_image"] = torch.cat(losses, dim=1) @ weights(numbers, "image")
        scores_N["score"] = scores_N["score_text"] + scores_N["score_image"]
        assert_close(scores_N[name], tensors[name], atol=0, rtol=1e-5)
        assert int(scores_N["score"].argmin()) == int(tensors["best_index"])


def weights(numbers: Fixture, kind: str) -> Tensor:
    return torch.tensor(numbers.number(f"{kind}_weights"))


def recorded_crops(numbers: Fixture, top_left_K2: Tensor, corners_K42: Tensor) -> Crops:
    side = numbers.number("crop_size")
    return Crops(side, side, top_left_K2[None], corners_K42[None])
