"""Contents painted: as diffusers paints them, by every way that a job can name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from torch import Tensor
from torch.testing import assert_close

from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.inst.latents import decode_latents, measure_tone
from tasks.methods.inst.words import WordMethod
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion
from tests.tasks.methods.conftest import picture, render_one, style
from tests.tasks.methods.inst.conftest import Open

WORDS = Style("ink", (Reference(text="black ink"),))
PLAIN = {"noise_timestep": "aligned", "stochastic_inversion": False}


@pytest.fixture(scope="session")
def pipeline(model: Path) -> StableDiffusionImg2ImgPipeline:
    return StableDiffusionImg2ImgPipeline.from_pretrained(
        model, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )


def paint(method: WordMethod, image_13HW: Tensor, seed: int = 0, style: Style = WORDS) -> Tensor:
    (rep,) = method.represent([style])
    return render_one(method, image_13HW, rep, seed)


@pytest.mark.parametrize("guidance", [1.0, 7.5])
@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0])
def test_without_inversion_it_is_bit_for_bit_what_diffusers_paints(
    open_words: Open, pipeline: StableDiffusionImg2ImgPipeline, strength: float, guidance: float
) -> None:
    method = open_words(**PLAIN, strength=strength, guidance=guidance, steps=10, negative_prompt="grey")
    image = picture(128, 128, seed=4)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    expected = pipeline(
        prompt="black ink",
        negative_prompt="grey",
        image=image,
        strength=strength,
        num_inference_steps=10,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
    ).images
    assert torch.equal(paint(method, image, seed=3), expected)


def test_from_a_prompt_alone_it_is_what_diffusers_paints(open_words: Open, model: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(
        model, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )
    method = open_words(steps=5)
    (rep,) = method.represent([WORDS])
    content = method.encode_prompts(["a cat in [C]"], 128, 192)
    expected = pipeline(
        prompt="a cat in black ink",
        height=128,
        width=192,
        num_inference_steps=5,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
    ).images
    assert torch.equal(method.render(content, [rep], Pairs([0], [0], [3])), expected)


def test_many_styles_in_one_batch_are_the_same_pictures(open_words: Open) -> None:
    method = open_words(pairs_at_once=6)
    reps = method.represent([WORDS, style(picture(40, 40, seed=1)[0])])
    contents = picture(128, 128, seed=4, count=3)
    pairs = Pairs([0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 0, 1], [5, 6, 7, 8, 9, 10])
    together = method.render(method.encode(contents), reps, pairs)
    for place in range(len(pairs)):
        row, index, seed = pairs.contents[place], pairs.representations[place], pairs.seeds[place]
        alone = render_one(method, contents[row : row + 1], reps[index], seed)
        assert_close(together[place], alone[0], atol=1e-4, rtol=0)


def test_strength_0_is_what_the_autoencoder_gives_back(open_words: Open) -> None:
    method = open_words(strength=0.0)
    image = picture(128, 128, seed=4)
    mean, deviation = method.encode(image).tensors.values()
    noise = torch.randn(mean.shape[1:], generator=torch.Generator().manual_seed(3))
    scaled = method.diffusion.vae.config.scaling_factor * (mean + deviation * noise)
    assert torch.equal(paint(method, image, seed=3), decode_latents(method.diffusion, scaled, tiling=False))


def test_the_inversion_keeps_more_of_the_content(open_words: Open) -> None:
    """Latents that start from the noise that the network sees need no noise of their own to be undone."""
    image = picture(128, 128, seed=4)
    means = [paint(open_words(stochastic_inversion=on, steps=10), image) for on in (True, False)]
    kept = paint(open_words(strength=0.0), image)
    assert (means[0] - kept).square().mean() < (means[1] - kept).square().mean()


@pytest.mark.parametrize("sampler", ["dpm", "lcm"])
@pytest.mark.parametrize("strength", [0.2, 0.6, 1.0])
def test_other_samplers_paint_in_few_steps(open_words: Open, sampler: str, strength: float) -> None:
    method = open_words(sampler=sampler, steps=6, strength=strength, guidance=1.5)
    (rep,) = method.represent([WORDS])
    contents = method.encode(picture(128, 128, seed=4, count=2))
    both = method.render(contents, [rep], Pairs([0, 1], [0, 0], [1, 2]))
    assert torch.isfinite(both).all()
    for row in range(2):
        alone = method.render(contents, [rep], Pairs([row], [0], [row + 1]))
        assert_close(both[row], alone[0], atol=1e-4, rtol=0)


def test_a_network_distilled_with_guidance_is_told_it_as_a_number(open_words: Open, tmp_path: Path) -> None:
    folder = save_small_diffusion(tmp_path / "distilled", unet={"time_cond_proj_dim": 32})
    image = picture(128, 128, seed=4)
    common: dict[str, Any] = {"weights": f"local-dir:{folder}", "sampler": "lcm", "strength": 1.0}
    pictures = [paint(open_words(**common, guidance=guidance), image) for guidance in (1.5, 8.0)]
    assert (pictures[0] - pictures[1]).abs().max() > 1e-3


def test_latents_take_the_tones_of_the_painting(open_words: Open) -> None:
    """With nothing repainted, what is left is the tone."""
    red = torch.zeros(3, 64, 64)
    red[0] = torch.linspace(0.3, 1, 64)
    method = open_words(tone="latent_adain", strength=0.0)
    (rep,) = method.represent([style(red)])
    tones = method.tones(rep)
    assert tones is not None
    latents = method._draw_contents(method.encode(picture(128, 128, seed=4)), [rep], [torch.Generator().manual_seed(1)])
    found = torch.stack([tone.flatten() for tone in measure_tone(latents)])
    assert_close(found, tones.latents_2C, atol=1e-3, rtol=1e-2)


def test_colours_take_the_tones_of_the_painting(open_words: Open) -> None:
    red = torch.zeros(3, 64, 64)
    red[0] = torch.linspace(0.2, 0.9, 64)
    image, painting = picture(128, 128, seed=4), style(red)
    plain, toned = (paint(open_words(tone=tone, strength=0.0), image, style=painting) for tone in ("none", "lab_match"))
    away = [(one.mean((0, 2, 3)) - red.mean((1, 2))).abs().max() for one in (plain, toned)]
    assert away[1] < 0.1 < away[0]


def test_large_pictures_pass_the_autoencoder_in_tiles(open_words: Open) -> None:
    content = picture(64, 1100, seed=4)
    means = [open_words(tiling=tiling).encode(content).tensors["mean"] for tiling in ("auto", "never")]
    assert means[0].shape == means[1].shape
    assert not torch.equal(means[0], means[1])
    assert (means[0] - means[1]).abs().median() < 0.2 * means[1].std()


class TestWeights:
    def test_of_paintings(self, open_words: Open) -> None:
        method, (first, second) = open_words(), (picture(40, 40, seed=seed)[0] for seed in (1, 2))
        alone = method.represent([style(first), style(second)])
        (mixed,) = method.represent([style(first, second, weights=(3.0, 1.0))])
        expected = 0.75 * alone[0].tensors["word"] + 0.25 * alone[1].tensors["word"]
        assert_close(mixed.tensors["word"], expected)

    def test_of_a_painting_and_a_text(self, open_words: Open) -> None:
        method, painting = open_words(), Reference(0.25, picture(40, 40, seed=1)[0])
        said, seen, both = method.represent(
            [WORDS, Style("seen", (painting,)), Style("both", (painting, Reference(0.75, text="black ink")))]
        )
        told = [method.conditions([rep], [None]).wanted_PTW for rep in (said, seen, both)]
        assert_close(told[2], 0.75 * told[0] + 0.25 * told[1])

    def test_a_text_says_where_the_painting_stands(self, open_words: Open) -> None:
        painting = Reference(1.0, picture(40, 40, seed=1)[0])
        method = open_words()
        beside = [Style("s", (painting, Reference(1e9, text=text))) for text in ("a cat in [C]", "a cat in it")]
        told = [method.conditions([rep], [None]).wanted_PTW for rep in method.represent(beside)]
        assert (told[0] - told[1]).abs().max() > 1e-3


def told(method: WordMethod, reps: Sequence[Representation], prompts: Sequence[str | None]) -> Tensor:
    return method.conditions(reps, prompts).wanted_PTW


def test_prompts_have_the_painting_at_their_mark_or_at_their_end(open_words: Open) -> None:
    method = open_words()
    (rep,) = method.represent([style(picture(40, 40, seed=1)[0])])
    marked, unmarked, elsewhere = told(method, [rep] * 3, ["cat in the style of [C]", "cat", "[C] cat"])
    assert torch.equal(marked, unmarked)
    assert not torch.equal(marked, elsewhere)


def test_texts_stand_where_the_mark_is(open_words: Open) -> None:
    method = open_words()
    (rep,) = method.represent([WORDS])
    (said,) = told(method, [rep], ["a cat in [C]"])
    (plain,) = told(method, method.represent([Style("s", (Reference(text="a cat in black ink"),))]), [None])
    assert torch.equal(said, plain)
