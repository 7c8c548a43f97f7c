"""Training runs: they learn, resume exactly, and ship what they learned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines.train import train_stylizer
from tasks.records import RequestError
from tasks.training.loop import LoopSettings, learning_rate
from tasks.training.stylizer import StylizerRecipe, StylizerTraining
from tasks.training.stylizer_settings import StylizerSettings

LOOP = LoopSettings(steps=6, warmup_steps=2, log_steps=2, sheet_steps=6, device="cpu", precision="float32")
RECIPE = StylizerSettings(batch=2, crop=32, wasserstein_weight=0.5, positions=64, directions=4)


@pytest.fixture
def training(photos: Path, art: Path, vgg: Path) -> StylizerTraining:
    return StylizerTraining([photos], [art], [vgg], RECIPE, LOOP)


def with_loop(training: StylizerTraining, **changes: object) -> StylizerTraining:
    return replace(training, loop=replace(training.loop, **changes))  # type: ignore[arg-type]


def stop_at(
    training: StylizerTraining, step: int, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "adain"
) -> None:
    """Run until a step's batch is drawn, then die as a killed process would, its last checkpoint on disk."""
    original = StylizerRecipe.draw

    def die(recipe: StylizerRecipe, at: int) -> dict[str, torch.Tensor]:
        if at == step:
            raise KeyboardInterrupt
        return original(recipe, at)

    with monkeypatch.context() as patch:
        patch.setattr(StylizerRecipe, "draw", die)
        with pytest.raises(KeyboardInterrupt):
            train_stylizer(name, with_loop(training, checkpoint_seconds=0), folder)


ADVERSARIAL = {"crop": 64, "adversarial_weight": 1.0, "adversarial_start": 2, "discriminator_width": 4}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("adain", {}), ("adain", ADVERSARIAL), ("style_kernel", {"ablated": 0.5, "transport_weight": 1.0})],
)
def test_a_resumed_run_equals_one_that_never_stopped(
    name: str, changes: dict[str, object], training: StylizerTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(training.recipe, **changes)  # type: ignore[arg-type]
    training = replace(with_loop(training, sheet_steps=100), recipe=recipe)
    whole = train_stylizer(name, training, tmp_path / "whole")
    stop_at(training, 4, tmp_path / "stopped", monkeypatch, name)
    resumed = train_stylizer(name, training, tmp_path / "stopped", resume=True)
    assert resumed.step == whole.step == 6
    expected = whole.tensors()
    assert any("discriminator" in tensor for tensor in expected) == ("adversarial_weight" in changes)
    for tensor, value in resumed.tensors().items():
        assert torch.equal(value, expected[tensor]), tensor


def test_a_run_is_not_resumed_with_another_network(training: StylizerTraining, tmp_path: Path) -> None:
    train_stylizer("adain", with_loop(training, steps=1), tmp_path)
    changed = replace(training, recipe=replace(training.recipe, **ADVERSARIAL))  # type: ignore[arg-type]
    for name, other in (("adaattn", training), ("adain", changed)):
        with pytest.raises(RequestError, match="the checkpoint is of another network"):
            train_stylizer(name, other, tmp_path, resume=True)


def test_a_run_learns_logs_and_draws_a_sheet(training: StylizerTraining, tmp_path: Path) -> None:
    train_stylizer("adain", with_loop(training, steps=60, log_steps=10, sheet_steps=60), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "losses.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["identity"] < lines[0]["identity"]
    with Image.open(tmp_path / "run" / "sheet-000060.png") as sheet:
        assert sheet.size == (5 * 256, 5 * 256)  # four pictures of each kind, and their margins


def test_a_folder_with_a_checkpoint_is_not_overwritten(training: StylizerTraining, tmp_path: Path) -> None:
    train_stylizer("adain", with_loop(training, steps=1), tmp_path / "run")
    with pytest.raises(RequestError, match="holds a checkpoint"):
        train_stylizer("adain", training, tmp_path / "run")


def test_weights_that_are_no_vgg_are_a_request_error(training: StylizerTraining, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_stylizer("adain", with_loop(training, steps=1), run)
    with pytest.raises(RequestError, match="perceptual weights"):
        train_stylizer("adain", replace(training, perceptual=[run / "checkpoint.safetensors"]), tmp_path / "other")


def test_resuming_with_other_settings_is_written_down(training: StylizerTraining, tmp_path: Path) -> None:
    train_stylizer("adain", with_loop(training, steps=2), tmp_path)
    state = train_stylizer("adain", with_loop(training, steps=3), tmp_path, resume=True)
    assert [phase["from_step"] for phase in state.phases] == [0, 2]
    again = train_stylizer("adain", with_loop(training, steps=3), tmp_path, resume=True)
    assert again.phases == state.phases


def test_the_learning_rate_warms_up_and_falls_to_its_end() -> None:
    settings = LoopSettings(steps=110, warmup_steps=10, learning_rate=1.0, final_learning_rate=0.1)
    assert [learning_rate(step, settings) for step in (0, 9, 10, 60, 110)] == pytest.approx([0.1, 1.0, 1.0, 0.55, 0.1])
