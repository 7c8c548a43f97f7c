"""Training a small latent diffusion model: both stages learn and resume exactly, and what is drawn is what is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tasks.records import RequestError
from tasks.training import diffusion_latents
from tasks.training.data import Pictures, load_pictures
from tasks.training.diffusion import AUTOENCODER, DENOISER, train_autoencoder, train_diffusion
from tasks.training.diffusion_denoiser import DenoiserRecipe
from tasks.training.diffusion_latents import Latents, open_latents
from tasks.training.diffusion_networks import build_autoencoder, make_scheduler
from tasks.training.diffusion_pictures import ART, gather
from tasks.training.diffusion_settings import (
    AutoencoderSettings,
    DenoiserSettings,
    DiffusionSettings,
    DiffusionTraining,
)
from tasks.training.diffusion_text import make_tokenizer, open_text_tower, tokenize
from tasks.training.history import read_losses
from tasks.training.loop import LoopSettings, TrainingState
from tasks.training.perception import open_networks
from tests.tasks.training.conftest import Drawn
from tests.tasks.training.tiny import weights_of

TINY = DiffusionSettings(
    size=16,
    autoencoder=AutoencoderSettings(channels=(8, 16), batch=4),
    denoiser=DenoiserSettings(
        channels=(16, 16), heads=2, batch=16, photo_crops=2, art_crops=2, guidance=2.0, sampling_steps=2
    ),
)
# A rate that stays: a run that ends earlier is then the start of a longer one.
LOOP = LoopSettings(
    steps=4,
    learning_rate=3e-3,
    final_learning_rate=3e-3,
    warmup_steps=1,
    log_steps=2,
    sheet_steps=1_000,
    device="cpu",
    precision="float32",
    checkpoint_seconds=1e6,
)


@pytest.fixture
def training(drawn: Drawn, vgg: Path) -> DiffusionTraining:
    return DiffusionTraining([drawn.photos], [drawn.art], [vgg], TINY, drawn.settings, LOOP, LOOP)


@pytest.fixture
def folder(drawn: Drawn, tmp_path: Path) -> Path:
    """Of a run, with the renders in it: drawing them starts a process."""
    return copy_renders(drawn, tmp_path / "run")


def copy_renders(drawn: Drawn, folder: Path) -> Path:
    return Path(shutil.copytree(drawn.folder, folder))


def with_steps(training: DiffusionTraining, first: int, second: int, **changes: int) -> DiffusionTraining:
    loops = [replace(LOOP, steps=steps, **changes) for steps in (first, second)]  # type: ignore[arg-type]
    return replace(training, autoencoder_loop=loops[0], loop=loops[1])


def make_denoiser(drawn: Drawn, settings: DiffusionSettings = TINY) -> DenoiserRecipe:
    pictures = gather(drawn.renders, load_pictures([drawn.photos]), load_pictures([drawn.art]), 2, 2, seed=0)
    latents = Latents(torch.randn(len(pictures), 8, 8, 8).half(), scale=0.5)
    text, device = open_text_tower(settings.text), torch.device("cpu")
    return DenoiserRecipe(build_autoencoder(settings), text, latents, pictures, settings, device)


def test_both_stages_learn_and_draw_sheets(training: DiffusionTraining, folder: Path) -> None:
    train_diffusion(with_steps(training, 60, 60, log_steps=20, sheet_steps=60), folder)
    for stage, share, size in ((AUTOENCODER, 0.92, (8 * 16, 4 * 16)), (DENOISER, 0.9, (160 + 8 * 16, 12 * 16))):
        lines = read_losses(folder / stage / "losses.jsonl")
        assert [line["step"] for line in lines] == [20, 40, 60]
        assert lines[-1]["loss"] < share * lines[0]["loss"], stage
        assert (folder / stage / "losses.html").exists()
        with Image.open(folder / stage / "sheet-000060.png") as sheet:
            assert sheet.size == size


def test_a_run_stopped_in_either_stage_goes_on_as_if_it_never_had(
    training: DiffusionTraining, folder: Path, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_diffusion(training, folder)
    stopped = copy_renders(drawn, tmp_path / "stopped")
    photographs, art = load_pictures(training.photos), load_pictures(training.art)
    originals = Pictures(photographs.images + art.images, photographs.names + art.names, 0)
    perceptual = open_networks(training.perceptual)
    train_autoencoder(with_steps(training, 2, 4), originals, drawn.renders, perceptual, stopped / AUTOENCODER)
    with pytest.raises(RequestError, match="autoencoder holds a checkpoint"):
        train_diffusion(training, stopped)
    assert not (stopped / DENOISER).exists()
    train_diffusion(with_steps(training, 4, 2), stopped, resume=True)
    monkeypatch.setattr(diffusion_latents, "encode", refuse)  # they are there from before
    resumed = train_diffusion(training, stopped, resume=True)
    assert_equal(resumed, whole)


def refuse(*_: object) -> Tensor:
    raise AssertionError("latents are made once")


def assert_equal(first: TrainingState, second: TrainingState) -> None:
    wanted, found = weights_of(second), weights_of(first)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert torch.equal(value, wanted[name]), name


def test_latents_have_a_deviation_of_one_and_are_made_anew_for_another_autoencoder(
    drawn: Drawn, tmp_path: Path
) -> None:
    pictures = make_denoiser(drawn).pictures
    first, second = (build_autoencoder(TINY).eval().requires_grad_(False) for _ in range(2))
    latents = open_latents(first, pictures, TINY, tmp_path)
    again = open_latents(first, pictures, TINY, tmp_path)
    assert torch.equal(again.moments_NMhw, latents.moments_NMhw)
    assert again.scale == latents.scale
    drawn_NChw = latents.draw(np.arange(len(pictures)), np.random.default_rng(0))
    assert drawn_NChw.shape == (len(pictures), 4, 8, 8)
    assert float(drawn_NChw.std()) == pytest.approx(1, abs=0.1)
    other = open_latents(second, pictures, TINY, tmp_path)
    assert not torch.equal(other.moments_NMhw, latents.moments_NMhw)


def test_pictures_are_renders_and_parts_with_captions_that_are_true(drawn: Drawn) -> None:
    pictures = make_denoiser(drawn).pictures
    views, parts = drawn.renders.views_RVSS3.shape[:2], (2 * 2, 2 * 1)
    assert len(pictures) == views[0] * views[1] + sum(parts) == len(pictures.truths)
    assert all(image.shape == (40, 40, 3) for image in pictures.images)
    *_, first, second = range(len(pictures))
    assert pictures.truths.style_N[[first, second]].tolist() == [len(pictures.vocabulary.styles) - 1] * 2
    captions = pictures.write(np.array([first, second] * 20), 0.0, np.random.default_rng(0))
    about_style = [text for text in captions if any(phrase in text for phrase in ART)]
    about_colour = [text for text in captions if any(colour in text for colour in pictures.vocabulary.colours)]
    assert about_style
    assert len(set(about_style) | set(about_colour)) == len(set(captions))


def test_a_batch_is_of_its_step_alone_and_captions_are_dropped_now_and_then(drawn: Drawn) -> None:
    recipe = make_denoiser(drawn, replace(TINY, denoiser=replace(TINY.denoiser, batch=400, dropped=0.25)))
    batch, again, other = recipe.draw(3), recipe.draw(3), recipe.draw(4)
    assert all(torch.equal(value, again[name]) for name, value in batch.items())
    assert not any(torch.equal(value, other[name]) for name, value in batch.items())
    empty_L = tokenize(make_tokenizer(32), [""])[0]
    share = (batch["tokens"] == empty_L).all(1).float().mean()
    assert 0.18 < share < 0.32
    assert 0 <= batch["times"].min() < 20 < 980 < batch["times"].max() < 1_000


def test_noise_is_stable_diffusions() -> None:
    scheduler = make_scheduler()
    assert float(scheduler.alphas_cumprod[0]) == pytest.approx(1 - 0.00085)
    assert float(scheduler.final_alpha_cumprod) == float(scheduler.alphas_cumprod[0])
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0.00466, abs=1e-4)
    scheduler.set_timesteps(50)
    assert scheduler.timesteps[[0, -1]].tolist() == [981, 1]


def test_a_latents_file_of_a_stopped_run_is_not_half_written(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, network = make_denoiser(drawn).pictures, build_autoencoder(TINY).eval()
    monkeypatch.setattr(diffusion_latents.os, "replace", refuse)
    with pytest.raises(AssertionError):
        open_latents(network, pictures, TINY, tmp_path)
    assert not (tmp_path / diffusion_latents.LATENTS_FILE).exists()
