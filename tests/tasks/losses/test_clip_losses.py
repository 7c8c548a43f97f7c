"""Directional CLIP losses: their values by hand, their linear form, and gradients through a real small model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.losses.clip import (
    bidirectional_losses,
    directional_losses,
    embed_crops,
    embed_pixels,
    mean_target_losses,
    text_directions,
    unit_directions,
)
from tasks.losses.crops import draw_crops
from tests.tasks.encoders.small_clip import save_small_clip

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    return open_clip_model(f"local-dir:{save_small_clip(tmp_path_factory.mktemp('models') / 'small')}")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def directions(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 0.3, dim=-1)


def all_pairs(directions_KD: Tensor, targets_QD: Tensor, threshold: float) -> Tensor:
    """The loss as it is defined, pair by pair."""
    terms_KQ = 1 - F.cosine_similarity(directions_KD[:, None], targets_QD[None], dim=-1)
    return (terms_KQ * (terms_KQ >= threshold)).mean()


class TestDirectionalLosses:
    @pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.7, 1.1])
    @pytest.mark.parametrize("per_image", [False, True])
    def test_they_are_the_mean_over_all_pairs(self, threshold: float, per_image: bool) -> None:
        directions_NKD = directions(3, 7, 16).requires_grad_()
        targets_NRQD = directions(3, 2, 5, 16, seed=1)
        if not per_image:
            targets_NRQD = targets_NRQD[:1].expand(3, -1, -1, -1)
        losses_NR = directional_losses(directions_NKD, targets_NRQD if per_image else targets_NRQD[0], threshold)
        expected_NR = torch.stack(
            [
                torch.stack([all_pairs(row_KD, target_QD, threshold) for target_QD in targets_RQD])
                for row_KD, targets_RQD in zip(directions_NKD, targets_NRQD, strict=True)
            ]
        )
        assert_close(losses_NR, expected_NR, atol=1e-6, rtol=0)

    def test_the_linear_form_has_the_gradient_of_the_quadratic_one(self) -> None:
        """Of embeddings, as they are what an optimiser moves."""
        targets_RQD, source_D = directions(2, 5, 16, seed=1), directions(16, seed=2)
        gradients = []
        for threshold in (0.0, 1e-9):
            embeddings_NKD = directions(3, 7, 16).requires_grad_()
            directional_losses(unit_directions(embeddings_NKD, source_D), targets_RQD, threshold).sum().backward()
            assert embeddings_NKD.grad is not None
            gradients.append(embeddings_NKD.grad)
        assert gradients[0].abs().max() > 1e-3
        assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-4)

    def test_a_patch_below_the_threshold_counts_as_nothing_and_is_left_alone(self) -> None:
        """Losses of 0, 1 and 2 by hand."""
        directions_1KD = torch.tensor([[EAST, NORTH, WEST]]).requires_grad_()
        target_11D = torch.tensor([[EAST]])
        assert directional_losses(directions_1KD, target_11D).tolist() == [[1.0]]
        loss = directional_losses(directions_1KD, target_11D, threshold=1.5).sum()
        loss.backward()
        assert float(loss.detach()) == pytest.approx(2 / 3)
        assert directions_1KD.grad is not None
        assert directions_1KD.grad[0].abs().sum(1).tolist() == pytest.approx([0, 0, 1 / 3])

    def test_forms_with_mean_directions_by_hand(self) -> None:
        """The mean of east and north is north-east, at 45 degrees from both."""
        directions_1KD, targets_1QD = torch.tensor([[EAST, NORTH]]), torch.tensor([[EAST, NORTH]])
        assert float(directional_losses(directions_1KD, targets_1QD)) == pytest.approx(0.5)
        assert float(mean_target_losses(directions_1KD, targets_1QD)) == pytest.approx(1 - 0.5**0.5)
        assert float(bidirectional_losses(directions_1KD, targets_1QD)) == pytest.approx(1 - 0.5**0.5)
        away_11D = torch.tensor([[WEST]])
        assert float(mean_target_losses(directions_1KD, away_11D)) == pytest.approx(1.5)
        assert float(bidirectional_losses(directions_1KD, away_11D)) == pytest.approx((1.5 + 1 + 0.5**0.5) / 2)

    def test_an_output_that_still_is_its_content_has_a_finite_gradient(self) -> None:
        content_D = directions(16)
        output_11D = content_D[None, None].clone().requires_grad_()
        target_11D = directions(1, 1, 16, seed=1)
        loss = directional_losses(unit_directions(output_11D, content_D), target_11D).sum()
        loss.backward()
        assert float(loss.detach()) == 1
        assert output_11D.grad is not None
        assert_close(F.normalize(output_11D.grad, dim=-1), -target_11D)


class TestImages:
    @staticmethod
    def losses(encoder: ClipEncoder, outputs_NCHW: Tensor, contents_NCHW: Tensor, seeds: list[int]) -> Tensor:
        """Patches and whole images against two texts and a picture, NR; a threshold on the patches."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        height, width = outputs_NCHW.shape[-2:]
        crops = draw_crops(generators, 4, 24, (height, width))
        contents_N1D = embed_pixels(encoder, contents_NCHW)[:, None]
        patches_NKD = unit_directions(embed_crops(encoder, outputs_NCHW, crops), contents_N1D)
        wholes_N1D = unit_directions(embed_pixels(encoder, outputs_NCHW)[:, None], contents_N1D)
        texts_R1D = text_directions(encoder, ["ink", "fire"])[:, None]
        style = draw_crops([torch.Generator().manual_seed(9)], 3, 24, (40, 40))
        style_11QD = embed_crops(encoder, noise(1, 3, 40, 40, seed=9), style)[None]
        pictures_N1QD = unit_directions(style_11QD, contents_N1D[:, None])
        return torch.cat(
            [
                directional_losses(patches_NKD, texts_R1D, threshold=0.7),
                directional_losses(wholes_N1D, texts_R1D),
                directional_losses(patches_NKD, pictures_N1QD),
            ],
            dim=1,
        )

    def test_a_batch_has_the_losses_and_gradients_of_its_images(self, encoder: ClipEncoder) -> None:
        contents_NCHW = noise(3, 3, 40, 56)
        together_NCHW = noise(3, 3, 40, 56, seed=1).requires_grad_()
        losses_NR = self.losses(encoder, together_NCHW, contents_NCHW, [1, 2, 3])
        losses_NR.sum().backward()
        assert together_NCHW.grad is not None
        for row in range(3):
            alone_1CHW = together_NCHW.detach()[row : row + 1].requires_grad_()
            losses_1R = self.losses(encoder, alone_1CHW, contents_NCHW[row : row + 1], [row + 1])
            losses_1R.sum().backward()
            assert_close(losses_1R[0], losses_NR[row], atol=1e-4, rtol=0)
            assert alone_1CHW.grad is not None
            of_largest = 1e-3 * float(together_NCHW.grad[row].abs().max())
            assert_close(alone_1CHW.grad[0], together_NCHW.grad[row], atol=of_largest, rtol=0)

    def test_seeds_give_the_same_losses_again_and_others_give_others(self, encoder: ClipEncoder) -> None:
        images = noise(1, 3, 40, 40, seed=1), noise(1, 3, 40, 40)
        first_1R, again_1R, other_1R = (self.losses(encoder, *images, [seed]) for seed in (5, 5, 6))
        assert torch.equal(first_1R, again_1R)
        assert not torch.equal(first_1R, other_1R)

    def test_following_the_gradient_lowers_the_loss(self, encoder: ClipEncoder) -> None:
        contents_NCHW, outputs_NCHW = noise(2, 3, 40, 40), noise(2, 3, 40, 40, seed=1).requires_grad_()
        optimiser = torch.optim.Adam([outputs_NCHW], lr=0.01)
        totals = []
        for _ in range(6):
            total = self.losses(encoder, outputs_NCHW, contents_NCHW, [1, 2]).sum()
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            totals.append(float(total.detach()))
        assert totals[-1] < 0.9 * totals[0]
        assert all(parameter.grad is None for parameter in encoder.model.parameters())

    def test_an_image_of_the_models_size_embeds_as_it_does_for_scores(self, encoder: ClipEncoder) -> None:
        images_NCHW = (noise(2, 3, 48, 48) * 255).round() / 255
        assert_close(embed_pixels(encoder, images_NCHW), encoder.embed_images(images_NCHW))

    @pytest.mark.parametrize("image_size", [(1, 1), (3, 90), (300, 20)])
    def test_images_of_any_size_have_finite_losses_and_gradients(
        self, encoder: ClipEncoder, image_size: tuple[int, int]
    ) -> None:
        outputs_NCHW = torch.ones(1, 3, *image_size).requires_grad_()
        losses_NR = self.losses(encoder, outputs_NCHW, torch.ones(1, 3, *image_size), [0])
        losses_NR.sum().backward()
        assert losses_NR.isfinite().all()
        assert outputs_NCHW.grad is not None
        assert outputs_NCHW.grad.isfinite().all()


@pytest.mark.parametrize("function", [directional_losses, mean_target_losses, bidirectional_losses])
def test_a_loss_is_a_value_for_each_image_and_reference(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    losses_NR = function(directions(3, 7, 16), directions(2, 5, 16, seed=1))
    assert losses_NR.shape == (3, 2)
    for row in range(3):
        for column in range(2):
            alone_11 = function(directions(3, 7, 16)[row : row + 1], directions(2, 5, 16, seed=1)[column : column + 1])
            assert_close(alone_11[0, 0], losses_NR[row, column])
