from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
from collections import OrderedDict
from contextlib import suppress
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
from tasks.weights.inert_pickle import MAX_OPERATIONS, RefusalError
from tasks.weights.loading import load_tensors
from tasks.weights.snapshots import name_globals, read_generator
from tasks.weights.storages import view_storage
from tests.tasks.weights.snapshot_files import Network, make_generator, pickle_snapshot, write_snapshot

ORDERED = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93"  # STACK_GLOBAL of an allowed name
TOUCH = b"X\x0b\x00\x00\x00touch pwned"
# Each of these makes a file called `pwned` where Python's own unpickler loads it.
TRAPS = {
    "GLOBAL": b"\x80\x02cos\nsystem\n" + TOUCH + b"\x85R.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + TOUCH + b"\x85R.",
    "dotted": b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93" + TOUCH + b"\x85R.",
    "protocol 0": b"cos\nsystem\n(Vtouch pwned\ntR.",
    "INST": b"\x80\x02(" + TOUCH + b"ios\nsystem\n.",
    "OBJ": b"\x80\x02(cos\nsystem\n" + TOUCH + b"o.",
    "EXT1": b"\x80\x02\x82\xf0" + TOUCH + b"\x85R.",
    "getattr": b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\n\x8c\x08__call__\x86R" + TOUCH + b"\x85R.",
    "popped decoy": b"\x80\x04\x8c\x02os\x8c\x06system" + ORDERED + b"0\x93" + TOUCH + b"\x85R.",
}


class RunsCode:
    """A pickle of this makes a folder when it is loaded the usual way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("pwned",))


class LoadsBytes:
    """A tensor's numbers, given as raw bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return (torch.storage._load_from_bytes, (self.data,))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where hostile files would make `pwned`
    return tmp_path


def refuse(path: Path, why: str | None = None) -> None:
    """Check that a file is refused for a reason, in one sentence, and that it did not run."""
    with pytest.raises(RequestError, match=why) as caught:
        import_snapshot(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path.name} is refused: ")
    assert sentence.endswith("; nothing in it was run.")
    assert [found.name for found in path.parent.iterdir()] == [path.name], "something was written"


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


@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_that_runs_something_is_refused_and_does_not_run(scratch: Path, trap: str) -> None:
    copyreg.add_extension("posix", "system", 0xF0)
    try:
        path = scratch / "hostile.pkl"
        path.write_bytes(TRAPS[trap])
        refuse(path)
        pickle.loads(TRAPS[trap])
        assert (scratch / "pwned").exists(), "the trap itself does not work"
    finally:
        copyreg.remove_extension("posix", "system", 0xF0)


@pytest.mark.parametrize("part", ["G", "G_ema", "augment_pipe", "training_set_kwargs"])
def test_a_call_anywhere_in_a_snapshot_is_refused_by_its_name(scratch: Path, part: str) -> None:
    refuse(
        write_snapshot(scratch / "a.pkl", 4, **{part: RunsCode()}), f"it names {os.mkdir.__module__}.mkdir, which no"
    )


@pytest.mark.parametrize("part", ["G", "D", "extra"])
@pytest.mark.parametrize("zipped", [True, False, None])
def test_a_call_inside_a_tensors_numbers_is_refused(scratch: Path, zipped: bool | None, part: str) -> None:
    data = io.BytesIO()
    if zipped is None:
        data.write(pickle.dumps(RunsCode(), 2))
    else:
        torch.save(RunsCode(), data, _use_new_zipfile_serialization=zipped)
    path = write_snapshot(scratch / "a.pkl", 4, **{part: LoadsBytes(data.getvalue())})
    refuse(path, "is not a (whole )?pickle" if zipped else f"it names {os.mkdir.__module__}.mkdir")


def test_the_sources_in_a_snapshot_do_not_run_and_are_not_kept(scratch: Path) -> None:
    path = write_snapshot(scratch / "a.pkl")
    done = import_snapshot(path)
    assert not (scratch / "pwned").exists()
    assert not any(b"pwned" in file.read_bytes() for file in (done.weights, done.card))
    assert b"pwned" in path.read_bytes(), "the trap itself does not work"


@pytest.mark.parametrize(
    "value", [np.array([1, "a"], dtype=object), np.array(["a"]), np.array([1], "M8[s]")], ids=["object", "text", "time"]
)
def test_arrays_of_other_things_than_numbers_are_refused(scratch: Path, value: object) -> None:
    refuse(write_snapshot(scratch / "a.pkl", training_set_kwargs={"a": value}), "arrays of something else than numbers")


HOSTILE = {
    "a name as it is computed": (ORDERED + b")R\x8c\x06system\x93", "computes the name"),
    "a call of a call": (ORDERED + b")R)R", "calls what is not to be called"),
    "a call of text": (b"\x8c\x01a)R", "calls what is not to be called"),
    "a call of numpy.ndarray": (b"\x8c\x05numpy\x8c\x07ndarray\x93)R", "calls what is not to be called"),
    "state of a class": (ORDERED + b"}b", "puts a state"),
    "state of a list": (b"]}b", "puts a state"),
    "two states": (ORDERED + b")R}b}b", "puts a state"),
    "items of a class": (ORDERED + b"K\x01K\x02s", "puts named items"),
    "items of a number": (b"K\x01K\x01K\x02s", "puts named items"),
    "appended to a class": (ORDERED + b"K\x01a", "appends to what is no list"),
    "added to a list": (b"](K\x01\x90", "adds to what is no set"),
    "a list as a key": (b"}]Ns", "key that is neither"),
    "a tuple, 300,000 deep, as a key": (b"})" + b"\x85" * 300_000 + b"Ns", "key that is neither"),
    "persistent": (b"Pevil\n", "operation PERSID"),
    "a frozen set": (b"(\x91", "operation FROZENSET"),
    "a buffer": (b"\x97", "operation NEXT_BUFFER"),
    "a place far beyond the memo": (b"K\x01r\xff\xff\xff\xff", "no training snapshot"),
    "a list, 300,000 deep": (b"]" * 300_000 + b"a" * 299_999, "no training snapshot"),
    "a list of itself": (b"]\x94h\x00a", "no training snapshot"),
    "more bytes than there are": (b"B\xff\xff\xff\xffab", "not a whole pickle"),
    "far more bytes than there are": (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab", "not a whole pickle"),
    "an empty stack": (b"R", "not a whole pickle"),
    "a mark that is not there": (b"t", "not a whole pickle"),
    "an unknown place in the memo": (b"h\x07", "not a whole pickle"),
    "a key without a value": (b"}(K\x01u", "not a whole pickle"),
    "an unknown operation": (b"\xff", "not a whole pickle"),
    "too many operations": (b"N" * (MAX_OPERATIONS + 1), "more than 1,000,000 operations"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_out_of_order_is_refused(scratch: Path, name: str) -> None:
    code, why = HOSTILE[name]
    (scratch / "a.pkl").write_bytes(b"\x80\x04" + code + b".")
    refuse(scratch / "a.pkl", why)


@pytest.mark.parametrize("data", [b"", b"<html>Not found</html>", b"PK\x03\x04 half a zip", bytes(64)])
def test_what_is_no_pickle_is_refused(scratch: Path, data: bytes) -> None:
    (scratch / "a.pkl").write_bytes(data)
    refuse(scratch / "a.pkl", "is not a (whole )?pickle")


def test_a_snapshot_cut_anywhere_is_refused(scratch: Path) -> None:
    whole = write_snapshot(scratch / "a.pkl").read_bytes()
    for end in range(0, len(whole), 97):
        (scratch / "a.pkl").write_bytes(whole[:end])
        refuse(scratch / "a.pkl", "is not a (whole )?pickle")


def test_bytes_changed_anywhere_end_in_a_sentence_or_in_an_import(scratch: Path) -> None:
    whole = write_snapshot(scratch / "a.pkl").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        (scratch / "a.pkl").write_bytes(changed)
        with suppress(RequestError):
            read_generator(scratch / "a.pkl")
    assert not (scratch / "pwned").exists()


def test_a_missing_file_and_a_folder_are_sentences(scratch: Path) -> None:
    for path in (scratch / "none.pkl", scratch):
        with pytest.raises(RequestError, match="There is no snapshot at"):
            import_snapshot(path)


def test_a_file_too_large_is_refused_unread(scratch: Path) -> None:
    with open(scratch / "a.pkl", "wb") as file:
        file.truncate(4 * 10**9 + 1)  # takes no room
    refuse(scratch / "a.pkl", "larger than 4 GB")


def test_other_files_of_tensors_are_no_snapshots(scratch: Path) -> None:
    (scratch / "a.pkl").write_bytes(pickle_snapshot({"weight": torch.ones(2)}))
    refuse(scratch / "a.pkl", "it has no G_ema")
    torch.save({"weight": torch.ones(2)}, scratch / "a.pkl", _use_new_zipfile_serialization=False)
    refuse(scratch / "a.pkl", "it has no G_ema")
    torch.save({"weight": torch.ones(2)}, scratch / "a.pkl")
    refuse(scratch / "a.pkl", "it is not a pickle")


def test_snapshots_of_other_networks_are_refused(scratch: Path) -> None:
    stylegan2 = Network("Generator", {"synthesis": Network("SynthesisNetwork")}, _init_kwargs={})
    refuse(write_snapshot(scratch / "a.pkl", G_ema=stylegan2), "generator is not StyleGAN3's")
    refuse(write_snapshot(scratch / "a.pkl", G_ema=Network("Discriminator")), "G_ema is not a Generator")
    refuse(write_snapshot(scratch / "a.pkl", G_ema=OrderedDict()), "not as StyleGAN3 writes it")


def test_generators_that_are_out_of_order_are_refused(scratch: Path) -> None:
    shared, numbers = Network("Layer"), torch.ones(3)
    itself: list[Any] = []
    itself.append(itself)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"_modules": {"a": shared, "b": shared}}, "layer in two places"),
        ({"_modules": {"a": 1}}, "not as StyleGAN3 writes it"),
        ({"_buffers": None}, "not as StyleGAN3 writes it"),
        ({"_buffers": {"a.b": numbers}}, "no proper name"),
        ({"_buffers": {"../a": numbers}}, "no proper name"),
        ({"_buffers": {7: numbers}}, "no proper name"),
        ({"_buffers": {"__metadata__": numbers}}, "not StyleGAN3's"),
        ({"_buffers": {"a": torch.ones(3, dtype=torch.int64)}}, "no tensor of floats"),
        ({"_buffers": {"a": "text"}}, "no tensor of floats"),
        ({"_buffers": {"a": numbers.expand(1000, 3)}}, "reaches beyond its numbers"),
        ({"_init_kwargs": {"a": itself}}, "too many arguments"),
        ({"_init_kwargs": {"a": float("nan")}}, "neither text nor a number"),
        ({"_init_kwargs": {"a": np.ones(3)}}, "neither text nor a number"),
        ({"_init_kwargs": {1: 2}}, "neither text nor a number"),
        ({"_init_kwargs": 1}, "how its generator was made"),
        ({"_init_args": (1,)}, "how its generator was made"),
    ]
    for state, why in wrong:
        generator = make_generator()
        for part, value in state.items():
            add = part in ("_modules", "_buffers") and isinstance(value, dict)
            generator.state[part] = {**generator.state[part], **value} if add else value
        refuse(write_snapshot(scratch / "a.pkl", G_ema=generator), why)


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


@pytest.mark.parametrize("change", ["fewer", "more", "count", "big endian", "kind", "bytes"])
def test_numbers_that_are_not_as_they_say_are_refused(scratch: Path, change: str) -> None:
    stream = io.BytesIO()
    torch.save(torch.ones(3).storage(), stream, _use_new_zipfile_serialization=False)
    data = stream.getvalue()
    changed = {
        "fewer": data[:-4],
        "more": data + bytes(4),
        "count": data[:-20] + (2**40).to_bytes(8, "little") + data[-12:],
        "big endian": data.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"),
        "kind": data.replace(b"FloatStorage", b"FoundStorage"),
        "bytes": b"",
    }[change]
    assert changed != data
    refuse(write_snapshot(scratch / "a.pkl", G=LoadsBytes(changed)))


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


def test_a_name_is_shown_on_one_short_line(scratch: Path) -> None:
    (scratch / "a.pkl").write_bytes(b"\x80\x04\x8c\x07\x1b[2J\nos\x8c\xc8" + b"x" * 200 + b"\x93.")
    refuse(scratch / "a.pkl", r"names \\x1b\[2J\\nos\.x{112}, which")


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
