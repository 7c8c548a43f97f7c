"""Snapshots that are imported: their tensors, their cards, and where they are written."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from tasks.records import RequestError
from tasks.weights.catalog import CHECKPOINTS
from tasks.weights.importing import import_snapshot
from tasks.weights.inert_pickle import RefusalError
from tasks.weights.loading import load_tensors
from tasks.weights.snapshots import name_globals, read_generator
from tasks.weights.storages import view_storage
from tests.tasks.weights.snapshot_files import ORDERED, LoadsBytes, RunsCode, make_generator, refuse, write_snapshot


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_averaged_generator_is_written_with_official_names(scratch: Path, protocol: int) -> None:
    if protocol == 2:  # has no bytes of its own, and training never wrote it
        refuse(write_snapshot(scratch / "a.pkl", protocol), "it names _codecs.encode")
        return
    other = make_generator()
    other.state["_modules"]["mapping"].state["_buffers"]["w_avg"] += 1
    done = import_snapshot(write_snapshot(scratch / "a.pkl", protocol, G=other))
    assert done.weights == scratch / "a.safetensors"
    expected = {
        "mapping.w_avg": torch.tensor([0.0, 2.0, 4.0, 6.0]),
        "synthesis.L0.magnitude_ema": torch.tensor(0.5),
        "synthesis.input.freqs": torch.ones(4, 2),
        "synthesis.input.weight": torch.arange(6.0).reshape(2, 3),
    }
    assert_close(load_tensors(done.weights), expected, rtol=0, atol=0)


def test_other_precisions_and_layouts_become_contiguous_single_precision(scratch: Path) -> None:
    generator = make_generator()
    tensors = {
        "half": torch.tensor([0.5, 2.0], dtype=torch.float16),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "part": torch.arange(6.0)[4:],
    }
    generator.state["_modules"]["mapping"].state["_buffers"] = tensors
    read = load_tensors(import_snapshot(write_snapshot(scratch / "a.pkl", G_ema=generator)).weights)
    for name, tensor in tensors.items():
        assert_close(read[f"mapping.{name}"], tensor.float(), rtol=0, atol=0)


def test_a_file_says_where_it_is_from_and_how_its_network_is_made(scratch: Path) -> None:
    arguments = {"img_resolution": np.int64(16), "beta": np.float64(0.25), "big": (1, [True, None]), "name": "é"}
    done = import_snapshot(write_snapshot(scratch / "a.pkl", G_ema=make_generator(_init_kwargs=arguments)))
    with safe_open(done.weights, "pt") as file:
        metadata = file.metadata()
    expected = {"img_resolution": 16, "beta": 0.25, "big": [1, [True, None]], "name": "é"}
    assert json.loads(metadata["init_kwargs"]) == expected
    card = json.loads(done.card.read_text())
    assert metadata["source"] == f"a.pkl, SHA-256 {card['source']['sha256']}"
    assert metadata["imported_by"] == card["imported_by"]
    assert card == done.facts
    assert (card["tensors"], card["parameters"], card["resolution"]) == (4, 6, 16)
    assert card["bytes"] == done.weights.stat().st_size


def test_a_card_states_the_licence_of_the_snapshot_that_is_known_and_of_no_other(scratch: Path) -> None:
    known = CHECKPOINTS["stylegan3-wikiart-1024"]
    cards = [import_snapshot(write_snapshot(scratch / name)).facts for name in (known.file, "other.pkl")]
    assert cards[0]["licence"].startswith("weights: no licence is stated by their author; the code")
    assert known.source in cards[0]["source"]["from"]
    assert cards[1]["licence"].startswith("weights: see what their author states; the code")
    assert cards[1]["source"]["from"] == "not known"


@pytest.mark.parametrize(("arguments", "config"), [({}, "T"), ({"conv_kernel": 1, "use_radial_filters": True}, "R")])
def test_a_card_tells_the_published_configurations_apart(scratch: Path, arguments: dict[str, Any], config: str) -> None:
    facts = import_snapshot(write_snapshot(scratch / "a.pkl", G_ema=make_generator(_init_kwargs=arguments))).facts
    assert facts["network"].endswith(f"config {config}")


def test_the_same_snapshot_gives_the_same_bytes_and_no_second_file(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.pkl")
    first, second = import_snapshot(path), import_snapshot(path, scratch / "new" / "a.safetensors")
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert first.card.read_bytes() == second.card.read_bytes()
    written = first.weights.stat().st_mtime_ns
    first.card.unlink()
    assert import_snapshot(path).card.read_bytes() == second.card.read_bytes()
    assert first.weights.stat().st_mtime_ns == written, "what was whole is written again"
    assert sorted(found.name for found in scratch.iterdir()) == [
        "a.pkl",
        "a.safetensors",
        "a.safetensors.card.json",
        "new",
    ]


@pytest.mark.parametrize("name", ["a.safetensors", "a.safetensors.card.json"])
def test_another_file_is_not_written_over(scratch: Path, name: str) -> None:
    path = write_snapshot(scratch / "a.pkl")
    (scratch / name).write_text("mine")
    with pytest.raises(RequestError, match=rf"{name} is already there, and is something else"):
        import_snapshot(path)
    assert (scratch / name).read_text() == "mine"
    assert len(list(scratch.iterdir())) == 2


def test_a_folder_or_the_snapshot_itself_is_no_output(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.safetensors")
    for output in (None, scratch):
        with pytest.raises(RequestError, match="is something else"):
            import_snapshot(path, output)


def test_a_file_that_cannot_be_written_is_a_sentence(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.pkl")
    with pytest.raises(RequestError, match=r"b\.safetensors cannot be written"):
        import_snapshot(path, path / "b.safetensors")


def test_the_sources_in_a_snapshot_do_not_run_and_are_not_kept(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.pkl")
    done = import_snapshot(path)
    assert not (scratch / "pwned").exists()
    assert not any(b"pwned" in file.read_bytes() for file in (done.weights, done.card))
    assert b"pwned" in path.read_bytes(), "the trap itself does not work"


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (11,), (1,)),
        (1, (10,), (1,)),
        (0, (2, 2), (1, 9)),
        (10, (), ()),
        (0, (10**9,), (0,)),
        (0, (11,), (0,)),
        (0, (0, 2**47, 2**47), (1, 1, 1)),
        (0, (2**40, 2**40), (0, 0)),
        (-1, (2,), (1,)),
        (9, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2,), (1, 1)),
        (0, [2], [1]),
        (0, (True,), (1,)),
        (0, (2.0,), (1,)),
        ("0", (2,), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (2**70, (1,), (1,)),
    ],
)
def test_a_tensor_stays_within_its_numbers(offset: Any, size: Any, stride: Any) -> None:
    numbers = np.arange(10, dtype=np.float32)
    with pytest.raises(RefusalError):
        view_storage(numbers, offset, size, stride)
    last = view_storage(numbers, 4, (2, 3), (3, 1))
    assert last.tolist() == [[4, 5, 6], [7, 8, 9]]
    assert not last.flags.writeable


def test_globals_are_listed_with_those_that_are_not_allowed(scratch: Path) -> None:
    hidden = LoadsBytes(pickle.dumps(RunsCode(), 2))
    evil = f"{os.mkdir.__module__}.mkdir"
    found = name_globals(write_snapshot(scratch / "a.pkl", G=hidden, D=os.system))
    assert {name for name, allowed in found.items() if not allowed} == {evil, f"{os.system.__module__}.system"}
    assert found["torch_utils.persistence._reconstruct_persistent_obj"]
    assert found["torch.FloatStorage"]
    assert all(name_globals(write_snapshot(scratch / "a.pkl")).values())
    assert not (scratch / "pwned").exists()


def test_a_name_that_looks_like_an_allowed_one_is_not(scratch: Path) -> None:
    (scratch / "a.pkl").write_bytes(b"\x80\x04(\x8c\x0bcollections\x8c\x03abc\x93" + ORDERED + b"t.")
    assert name_globals(scratch / "a.pkl") == {"collections.OrderedDict": True, "collections.abc": False}
    alike = b"\x8c\x05torch\x8c\x19_utils._rebuild_tensor_v2\x93"
    allowed = b"\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93"
    for first, second in ((alike, allowed), (allowed, alike)):
        (scratch / "a.pkl").write_bytes(b"\x80\x04(" + first + second + b"t.")
        assert name_globals(scratch / "a.pkl") == {"torch._utils._rebuild_tensor_v2": False}
        refuse(scratch / "a.pkl", "it names torch._utils._rebuild_tensor_v2")


def test_a_generator_that_uses_the_same_numbers_many_times_is_bounded(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, numbers = make_generator(), torch.ones(10_000)
    generator.state["_modules"]["mapping"].state["_buffers"] = {f"a{i}": numbers for i in range(20)}
    path = write_snapshot(scratch / "a.pkl", G_ema=generator)
    assert read_generator(path).tensors["mapping.a19"].size == 10_000
    monkeypatch.setattr("tasks.weights.snapshots.MAX_BYTES", 500_000)
    refuse(path, "larger than the file could hold")


def test_a_snapshot_named_as_weights_is_to_be_imported_first(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.pkl")
    with pytest.raises(RequestError, match=r"a\.pkl is refused.*run `atelier models import .*a\.pkl` once"):
        load_tensors(path)
    (scratch / "a.pth").write_bytes(path.read_bytes())
    with pytest.raises(RequestError) as caught:
        load_tensors(scratch / "a.pth")
    assert "import" not in str(caught.value)
