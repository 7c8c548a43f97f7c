"""Training snapshots that the official classes wrote, and hostile ones made of them: imported or refused, never run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tasks.records import RequestError
from tasks.weights.importing import import_snapshot
from tasks.weights.loading import load_tensors
from tasks.weights.snapshots import name_globals
from tests.golden.conftest import Golden

HOSTILE = {
    "stylegan3_malicious": "io.open",
    "stylegan3_malicious_storage": "io.open",
    "stylegan3_malicious_dotted": "torch.os.mkdir",
}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where hostile files would make `pwned`
    return tmp_path


@pytest.mark.parametrize("name", ["stylegan3_tiny", "stylegan3_malicious_source"])
def test_every_tensor_of_the_averaged_generator_is_imported_exactly(golden: Golden, scratch: Path, name: str) -> None:
    fixture = golden.fixture("stylegan3_tiny_expected")
    prefix = "G_ema."
    expected = {key.removeprefix(prefix): value for key, value in fixture.tensors.items() if key.startswith(prefix)}
    done = import_snapshot(golden.folder / f"{name}.pkl", scratch / "out.safetensors")
    read = load_tensors(done.weights)
    assert len(expected) == fixture.number("num_G_tensors")
    assert read.keys() == expected.keys()
    for key, tensor in expected.items():
        assert read[key].dtype == torch.float32
        assert torch.equal(read[key], tensor), key
    with safe_open(done.weights, "pt") as file:
        assert json.loads(file.metadata()["init_kwargs"]) == fixture.number("G_init_kwargs")
    assert done.facts["parameters"] < sum(tensor.numel() for tensor in expected.values())
    assert sorted(found.name for found in scratch.iterdir()) == ["out.safetensors", "out.safetensors.card.json"]
    assert not any(b"pwned" in path.read_bytes() for path in scratch.iterdir())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_snapshots_are_refused_by_the_name_they_use_and_never_run(
    golden: Golden, scratch: Path, name: str
) -> None:
    path = golden.folder / f"{name}.pkl"
    with pytest.raises(RequestError, match=rf"it names {HOSTILE[name]}, .*nothing in it was run\."):
        import_snapshot(path, scratch / "out.safetensors")
    blocked = [found for found, allowed in name_globals(path).items() if not allowed]
    assert blocked == [HOSTILE[name]]
    assert not list(scratch.iterdir())


def test_every_hostile_snapshot_is_here(golden: Golden) -> None:
    found = {path.stem for path in golden.folder.glob("stylegan3_malicious*.pkl")}
    assert found == {*HOSTILE, "stylegan3_malicious_source"}
