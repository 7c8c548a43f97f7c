"""Training on several processes: the same weights as one process that sees all their batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tasks.records import RequestError
from tasks.training.history import read_losses
from tasks.training.loop import CHECKPOINT, train
from tasks.training.parallel import share_out, train_parallel
from tests.tasks.training.tiny import LOOP, MakeTiny, TinyRecipe, TwiceRecipe, weights_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    from tasks.actors.cluster import connected

    with connected():
        yield


@pytest.mark.slow  # a dozen processes import torch, four minutes; tests/pipelines/test_train_command.py trains so, too
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_two_workers_step_as_one_process_that_sees_both_batches(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = train(TwiceRecipe(TinyRecipe()), LOOP, tmp_path / "one")
    run, often = tmp_path / "two", replace(LOOP, checkpoint_seconds=0)
    # Number 7 is the second worker's in the fourth step: both stop, and neither keeps what came of it.
    with pytest.raises(RequestError, match="not finite at step 4"):
        train_parallel(MakeTiny(spoiled=frozenset({7})), often, run, workers=2)
    train_parallel(MakeTiny(), often, run, resume=True, workers=2)
    found = load_file(run / CHECKPOINT)
    for name, value in weights_of(expected).items():
        assert torch.allclose(found[name], value, rtol=0, atol=1e-5), name
    lines = {line["step"]: line for line in read_losses(run / "losses.jsonl")}
    # Means of the numbers drawn since the line before: two a step, from 0 on, and resumed after the third step.
    assert {step: line["number"] for step, line in lines.items()} == {2: 1.5, 4: 6.5, 6: 9.5}
    for line in read_losses(tmp_path / "one" / "losses.jsonl")[::2]:
        assert lines[line["step"]]["loss"] == pytest.approx(line["loss"], abs=2e-5)
    written = ["checkpoint.safetensors", "losses.html", "losses.jsonl", "sheet-000003.png", "sheet-000006.png"]
    assert sorted(path.name for path in run.iterdir()) == written
    assert not (tmp_path / "home").exists()


@pytest.mark.ray
def test_a_folder_with_a_checkpoint_is_refused_before_any_worker_starts(cluster: None, tmp_path: Path) -> None:
    train(TinyRecipe(), replace(LOOP, steps=1), tmp_path)
    with pytest.raises(RequestError, match="holds a checkpoint: resume"):
        train_parallel(MakeTiny(), LOOP, tmp_path, workers=2)


def test_workers_share_what_the_nodes_have() -> None:
    cpus, gpus = [{"CPU": 8.0}, {"CPU": 4.0}], [{"CPU": 8.0, "GPU": 2.0}] * 2
    assert share_out(cpus, 3, 0) == {"CPU": 4}
    assert share_out(cpus, 4, 0) == {"CPU": 2}
    assert share_out(cpus, 1, 0) == {"CPU": 8}
    assert share_out(gpus, 4, 1) == {"CPU": 0, "GPU": 1}
    with pytest.raises(RequestError, match="12 CPUs, too few for 13 workers: ask for at most 12"):
        share_out(cpus, 13, 0)
    with pytest.raises(RequestError, match="4 GPUs, too few for 5"):
        share_out(gpus, 5, 1)
    with pytest.raises(RequestError, match="0 GPUs, too few for 2 workers: train with `device: cpu`"):
        share_out(cpus, 2, 1)
    with pytest.raises(RequestError, match="1 or more"):
        share_out(cpus, 0, 0)
