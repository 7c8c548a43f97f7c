"""Training a small StyleGAN3: both networks step, a resumed run is the uninterrupted one, and bad input says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from pipelines.cli import app, main
from pipelines.train import read_stylegan3_training
from tasks.encoders.stylegan3.generator import Generator
from tasks.encoders.stylegan3.loading import open_generator
from tasks.records import RequestError
from tasks.training.data import load_pictures
from tasks.training.export import read_average
from tasks.training.history import read_losses
from tasks.training.loop import CHECKPOINT
from tasks.training.stylegan3 import FIGURES, configure, draw_sheet, half_life, train_generator
from tasks.training.stylegan3_export import open_generator_run
from tasks.training.stylegan3_settings import Stylegan3Settings, TimedLoop
from tasks.training.stylegan3_state import SNAPSHOT, AdversarialState
from tasks.weights.loading import layout_of

JOBS = Path(__file__).parents[3] / "infra" / "jobs"
TINY = Stylegan3Settings(
    resolution=16,
    channels_base=64,
    channels_max=8,
    layers=6,
    latent=8,
    batch=4,
    discriminator_base=64,
    discriminator_max=8,
    smallest_window=24,
    r1_interval=2,
    blur_images=8,
)
LOOP = TimedLoop(
    steps=4, warmup_steps=1, log_steps=2, sheet_steps=100, device="cpu", precision="float32", checkpoint_seconds=1e6
)
RECIPE = """
recipe: {resolution: 16, channels_base: 64, channels_max: 8, layers: 6, latent: 8, batch: 4, discriminator_base: 64,
  discriminator_max: 8, smallest_window: 24, judged: 4}
loop: {warmup_steps: 1, device: cpu, precision: float32}
"""


def run(art: Path, folder: Path, loop: TimedLoop = LOOP, resume: bool = False) -> AdversarialState:
    return train_generator(load_pictures([art]), TINY, loop, folder, resume)


def weights_of(state: AdversarialState) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.tensors().items()}


def test_steps_change_both_networks_and_the_average(art: Path, tmp_path: Path) -> None:
    before = weights_of(run(art, tmp_path / "first", replace(LOOP, steps=1)))
    after = weights_of(run(art, tmp_path / "second"))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    parts = ("network.generator.mapping", "network.generator.synthesis", "network.discriminator", "average.synthesis")
    assert all(any(name.startswith(part) for name in changed) for part in parts)
    lines = read_losses(tmp_path / "second" / "losses.jsonl")
    assert [line["step"] for line in lines] == [2, 4]
    # An adversary's loss starts at 2 ln 2 where it knows nothing, give or take what its random weights think.
    assert all(0 < line["discriminator"] < 5 and 0 < line["generator"] < 5 and line["penalty"] > 0 for line in lines)


def test_a_resumed_run_is_the_uninterrupted_one(art: Path, tmp_path: Path) -> None:
    whole = weights_of(run(art, tmp_path / "whole"))
    run(art, tmp_path / "halves", replace(LOOP, steps=2))
    with pytest.raises(RequestError, match="holds a checkpoint"):
        run(art, tmp_path / "halves")
    halves = weights_of(run(art, tmp_path / "halves", resume=True))
    assert halves.keys() == whole.keys()
    assert all(torch.equal(value, whole[name]) for name, value in halves.items())


def test_a_run_ends_by_the_clock_and_says_how_far_it_came(art: Path, tmp_path: Path) -> None:
    state = run(art, tmp_path, replace(LOOP, steps=1_000_000, seconds=0.5, checkpoint_seconds=0))
    assert 0 < state.step < 1_000
    assert [line["step"] for line in read_losses(tmp_path / FIGURES)][-1] == state.step
    assert (tmp_path / "sheet.png").exists()


def test_the_snapshot_is_the_average_in_half_precision(art: Path, tmp_path: Path) -> None:
    state = run(art, tmp_path / "run", replace(LOOP, steps=2))
    (tmp_path / "home").mkdir()
    (tmp_path / "run" / SNAPSHOT).rename(tmp_path / "home" / CHECKPOINT)
    sent, history = read_average(tmp_path / "home")
    kept, whole = read_average(tmp_path / "run")
    assert history == whole
    assert history["phases"][0]["recipe"]["network"] == "stylegan3"
    assert sent.keys() == kept.keys() == state.average.state_dict().keys()
    assert all(torch.allclose(value.float(), kept[name], rtol=1e-3, atol=1e-6) for name, value in sent.items())


def test_the_sheet_shows_the_same_latents_twice_the_second_time_nearer_to_their_mean(art: Path, tmp_path: Path) -> None:
    sheet_3HW = draw_sheet(run(art, tmp_path, replace(LOOP, steps=1)).average)
    assert sheet_3HW.shape == (3, 8 * 16, 8 * 16)
    assert 0 <= sheet_3HW.min() <= sheet_3HW.max() <= 1
    plain, truncated = sheet_3HW.reshape(3, 8, 16, 8, 16).transpose(2, 3).flatten(1, 2).split(32, 1)
    assert 0 < truncated.var(1).mean() < plain.var(1).mean()


def test_half_lives_are_counted_in_images() -> None:
    assert half_life(10, 100) ** 10 == pytest.approx(0.5)


def test_a_generator_is_trained_and_exported_from_the_command_line(art: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    words = ["--art", str(art), "--output", str(tmp_path / "run"), "--recipe", str(tmp_path / "recipe.yaml")]
    done = CliRunner().invoke(app, ["train", "stylegan3", *words, "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"2 steps; the run is in {tmp_path}/run\n"
    words = ["--run", str(tmp_path / "run"), "--art", str(art), "--unseen", str(art), "--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["train", "export-stylegan3", *words])
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "stylegan3-art-small.card.json").read_text())
    assert (card["images"], card["training"]["steps"], card["figures"]["judge"]) == (8, 2, "embedded:clip-small")
    assert card["network"].startswith("tasks/encoders/stylegan3")
    assert card["figures"].keys() >= {"kid_to_art", "kid_to_unseen_art", "kid_of_art_to_art"}
    opened = open_generator(str(tmp_path / "stylegan3-art-small.safetensors"), "cpu")
    tensors, _ = read_average(tmp_path / "run")
    parameters = dict(opened.named_parameters())
    assert all(torch.equal(value, tensors[name].half().float()) for name, value in parameters.items())
    assert all(torch.equal(value, tensors[name]) for name, value in opened.named_buffers())
    latents_NZ = torch.randn(2, TINY.latent)
    assert torch.equal(opened(latents_NZ), open_generator_run(tmp_path / "run").generator(latents_NZ))


def test_the_settings_of_what_we_ship_are_a_recipe() -> None:
    training = read_stylegan3_training(["art"], JOBS / "train-stylegan3-art-small.yaml", seconds=5)
    assert (training.recipe.resolution, training.loop.seconds) == (64, 5)
    generator = Generator(configure(training.recipe))
    shipped = open_generator("embedded:stylegan3-art-small", "cpu")
    assert layout_of(generator.state_dict()) == layout_of(shipped.state_dict())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [("{resolution: 48}", "recipe.resolution: Input should be 16, 32, 64, 128 or 256"), ("{size: 64}", "recipe.size")],
)
def test_an_unknown_setting_is_one_sentence(
    recipe: str, message: str, art: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(f"recipe: {recipe}")
    words = ["--art", str(art), "--output", str(tmp_path / "run"), "--recipe", str(tmp_path / "recipe.yaml")]
    assert exit_code(["train", "stylegan3", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "art").mkdir()
    words = ["--art", str(tmp_path / "art"), "--output", str(tmp_path / "run")]
    assert exit_code(["train", "stylegan3", *words]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert str(tmp_path / "art") in error


def exit_code(words: list[str]) -> object:
    """Of the whole program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["atelier", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code
