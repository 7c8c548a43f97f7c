"""The loop on a network of a few weights: what it writes, where it stops, and what is taken out of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from tasks.records import RequestError
from tasks.training.export import read_average, read_curve, save_half, write_card
from tasks.training.history import read_losses
from tasks.training.loop import CHECKPOINT, train
from tests.tasks.training.tiny import LOOP, TinyRecipe, weights_of

OFTEN = replace(LOOP, checkpoint_seconds=0)


def steps_of(path: Path) -> int:
    with safe_open(path / CHECKPOINT, "pt") as file:
        assert all(torch.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118 (not a dict)
        return int(file.metadata()["step"])


@pytest.mark.parametrize("kind", ["spoiled", "flat"])
@pytest.mark.parametrize("log_steps", [1, 100])
def test_a_loss_that_is_no_number_stops_the_run_before_a_checkpoint_keeps_it(
    kind: str, log_steps: int, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match="not finite at step 4: lower the learning rate, and resume"):
        train(TinyRecipe(**{kind: frozenset({3})}), replace(OFTEN, log_steps=log_steps), tmp_path)
    assert steps_of(tmp_path) == 3
    assert train(TinyRecipe(), OFTEN, tmp_path, resume=True).step == 6
    assert steps_of(tmp_path) == 6


def test_the_first_bad_step_is_named_where_it_is_seen_late(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="at step 3:"):
        train(TinyRecipe(spoiled=frozenset({2, 4})), replace(LOOP, log_steps=100, sheet_steps=100), tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_losses_are_drawn_with_each_sheet_and_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        train(TinyRecipe(spoiled=frozenset({4})), OFTEN, tmp_path)
    assert (tmp_path / "sheet-000003.png").exists()
    assert "each over 2 steps" in (tmp_path / "losses.html").read_text()
    train(TinyRecipe(), OFTEN, tmp_path, resume=True)
    page = (tmp_path / "losses.html").read_text()
    assert "each over 6 steps" in page
    assert all(page.count(f"<bdi>{name}</bdi>") == 1 for name in ("loss", "early", "number"))


def test_batches_drawn_by_processes_are_those_drawn_by_a_thread(tmp_path: Path) -> None:
    by_thread = train(TinyRecipe(), LOOP, tmp_path / "thread")
    by_processes = train(TinyRecipe(), replace(LOOP, draw_processes=2), tmp_path / "processes")
    for name, tensor in weights_of(by_thread).items():
        assert torch.equal(weights_of(by_processes)[name], tensor), name
    halfway = replace(LOOP, draw_processes=2, steps=3)
    train(TinyRecipe(), halfway, tmp_path / "resumed")
    resumed = train(TinyRecipe(), replace(halfway, steps=LOOP.steps), tmp_path / "resumed", resume=True)
    assert [line["number"] for line in read_losses(tmp_path / "resumed" / "losses.jsonl")][-1] == 4.5
    assert resumed.step == LOOP.steps


def test_what_a_killed_run_logged_after_its_checkpoint_gives_way_to_the_resumed_one(tmp_path: Path) -> None:
    log = tmp_path / "losses.jsonl"
    lines = [{"step": step, "loss": loss} for step, loss in [(2, 1.0), (4, 2.0), (6, 3.0), (4, 4.0)]]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 6, "lo\n[1]\n')
    assert [(line["step"], line["loss"]) for line in read_losses(log)] == [(2, 1.0), (4, 4.0)]
    assert [line["loss"] for line in read_curve(log)] == [1.0, 4.0]
    assert read_losses(tmp_path / "none.jsonl") == []


def test_one_part_of_a_network_is_exported_by_its_own_names(tmp_path: Path) -> None:
    state = train(TinyRecipe(), LOOP, tmp_path / "run")
    assert isinstance(state.average, nn.ModuleDict)
    tensors, history = read_average(tmp_path / "run", "early")
    assert history["steps"] == 6
    assert set(tensors) == {"weight", "bias"}
    assert torch.equal(tensors["weight"], state.average["early"].weight)
    assert set(read_average(tmp_path / "run")[0]) == set(state.average.state_dict())
    save_half(tensors, tmp_path / "tiny.safetensors")
    write_card(tmp_path / "run", "tiny", tmp_path / "tiny.safetensors", tmp_path, {"data": "noise"})
    assert json.loads((tmp_path / "tiny.card.json").read_text())["parameters"] == 5
    with pytest.raises(RequestError, match="has no part 'stylizer'"):
        read_average(tmp_path / "run", "stylizer")
