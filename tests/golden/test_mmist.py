"""MMIST's inversion against numbers recorded from its authors' code; tolerances are those of the README."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.losses.clip import embed_crops, embed_pixels, text_directions, unit_directions
from tasks.losses.crops import Crops
from tasks.methods.mmist.generators import StyleganPictures
from tasks.methods.mmist.goals import Contents, Goal
from tasks.methods.mmist.inversion import WEIGHT, First, Inverter, Trial
from tasks.methods.mmist.method import stretch
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.pictures import to_bytes
from tests.golden import test_clip
from tests.golden.conftest import Fixture, Golden

encoder = test_clip.encoder  # a fixture: the recorded network
recorded = test_clip.recorded


def open_recorded_generator(golden: Golden, name: str, side: int) -> StyleganPictures:
    fixture = golden.fixture(name)
    network = Generator(GeneratorConfig.read(fixture.number("init_kwargs")))
    state = {key.removeprefix("state."): t for key, t in fixture.tensors.items() if key.startswith("state.")}
    network.load_state_dict(state)
    return StyleganPictures(network.eval().requires_grad_(False), side, 1.0, torch.device("cpu"))


class TestSteps:
    """Three updates of one latent, by two texts and a picture."""

    def test_losses_latents_and_pictures(self, golden: Golden, encoder: ClipEncoder) -> None:
        numbers = golden.fixture("mmist_steps")
        tensors, count, side = numbers.tensors, numbers.number("steps"), numbers.tensors["style"].shape[-1]
        inverter, goal, parts = open_inverter(golden, encoder, numbers)
        trials = [recorded_trial(tensors, step, numbers.number("crop_size")) for step in range(count)]
        steps = list(inverter.optimise([goal], First(tensors["ws_initial"], torch.zeros(1)), [*trials, trials[-1]]))
        assert steps[0].pictures_B3SS.shape[-1] == side
        assert_close(steps[0].pictures_B3SS, tensors["style_image_step0"], atol=1e-3, rtol=0)
        assert_close(steps[1].latents, tensors["ws_after_1"], atol=1e-4, rtol=0)
        assert_close(steps[count].latents, tensors[f"ws_after_{count}"], atol=2e-3, rtol=0)
        for step, trial in enumerate(trials):
            losses_3 = tensors["losses_text_image_total"][step]
            pictures = steps[step].pictures_B3SS
            each = [total * inverter.patch_losses(pictures, [part], trial)[0] for total, part in parts]
            assert_close(torch.stack([*each, WEIGHT * steps[step].losses_B[0]]), losses_3, atol=0, rtol=1e-4)

    def test_the_gradient_of_the_first_step(self, golden: Golden, encoder: ClipEncoder) -> None:
        numbers = golden.fixture("mmist_steps")
        inverter, goal, _ = open_inverter(golden, encoder, numbers)
        latents = numbers.tensors["ws_initial"].clone().requires_grad_()
        trial = recorded_trial(numbers.tensors, 0, numbers.number("crop_size"))
        (WEIGHT * inverter.patch_losses(inverter.generator.pictures(latents), [goal], trial).sum()).backward()
        expected = numbers.tensors["grad_ws_step0"]
        assert latents.grad is not None
        assert_close(latents.grad, expected, atol=1e-3 * float(expected.abs().max()), rtol=0)

    def test_the_picture_as_it_is_saved(self, golden: Golden) -> None:
        tensors = golden.fixture("mmist_steps").tensors
        ours_3SS = to_bytes(stretch(tensors["style_image_before_last_update"][0])).int()
        assert (ours_3SS.permute(1, 2, 0) - tensors["saved_uint8"].int()).abs().max() <= 1


class TestFirstLatents:
    def test_scores_and_the_best(self, golden: Golden, encoder: ClipEncoder) -> None:
        numbers = golden.fixture("mmist_init_selection")
        tensors = numbers.tensors
        content_1D = embed_pixels(encoder, tensors["content"])
        weights = [*numbers.number("text_weights"), *numbers.number("image_weights")]
        texts_RD = text_directions(encoder, numbers.number("texts"), numbers.number("source_text"))
        pictures = [
            unit_directions(embed_pixels(encoder, tensors[f"style{k}_patches"]), content_1D).mean(0) for k in (1, 2)
        ]
        total = sum(weights)
        target_D = sum(weight / total * one for weight, one in zip(weights, [*texts_RD, *pictures], strict=True))
        assert isinstance(target_D, Tensor)
        generator = open_recorded_generator(golden, "stylegan3_t6", 16)
        inverter = Inverter(
            generator, encoder, Contents(tensors["content"], content_1D), MmistSettings(clip="ViT-B-32/openai")
        )
        losses_N1 = inverter.whole_losses(tensors["candidate_images"], [Goal(target_D[None], 0)], torch.tensor([0]))
        assert_close(total * losses_N1[:, 0], tensors["score"], atol=0, rtol=1e-5)
        assert int(losses_N1.argmin()) == int(tensors["best_index"])


def open_inverter(
    golden: Golden, encoder: ClipEncoder, numbers: Fixture
) -> tuple[Inverter, Goal, list[tuple[float, Goal]]]:
    """The recorded style as a goal, and its texts and its picture alone, each with its weight."""
    tensors = numbers.tensors
    side, size = tensors["style"].shape[-1], numbers.number("crop_size")
    contents_CD = torch.cat([embed_pixels(encoder, tensors[f"content{k}"]) for k in (0, 1)])
    of_style = Crops(size, size, tensors["style_crop_top_left"][None], tensors["style_endpoints"][None])
    patches_QD = embed_crops(encoder, tensors["style"], of_style)[0]
    picture_CD = unit_directions(patches_QD[None], contents_CD[:, None]).mean(1)
    text_weights, picture_weights = numbers.number("alpha_text"), numbers.number("alpha_img")
    texts_RD = text_directions(encoder, numbers.number("texts"), numbers.number("source_text"))
    text_D = (torch.tensor(text_weights)[:, None] * texts_RD).sum(0)
    both = (text_D + picture_weights[0] * picture_CD) / WEIGHT
    assert sum(text_weights) + picture_weights[0] == WEIGHT
    generator = open_recorded_generator(golden, "stylegan3_t14", side)
    settings = MmistSettings(
        clip="ViT-B-32/openai", steps=numbers.number("steps") + 1, learning_rate=numbers.number("lr")
    )
    texts = (sum(text_weights), Goal((text_D / sum(text_weights)).expand(2, -1), 0))
    return (
        Inverter(
            generator, encoder, Contents(torch.cat([tensors["content0"], tensors["content1"]]), contents_CD), settings
        ),
        Goal(both, 0),
        [texts, (picture_weights[0], Goal(picture_CD, 0))],
    )


def recorded_trial(tensors: dict[str, Tensor], step: int, size: int) -> Trial:
    crops = Crops(size, size, tensors["crop_top_left"][step][None], tensors["endpoints"][step][None])
    return Trial(crops, tensors["content_pick"][step].view(1, 1))
