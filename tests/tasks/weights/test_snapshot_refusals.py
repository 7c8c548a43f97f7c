"""Snapshots that are hostile, broken or something else: refused for a reason, and never run."""

from __future__ import annotations

import copyreg
import io
import os
import pickle
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.records import RequestError
from tasks.weights.importing import import_snapshot
from tasks.weights.inert_pickle import MAX_OPERATIONS
from tasks.weights.snapshots import read_generator
from tests.tasks.weights.snapshot_files import (
    ORDERED,
    LoadsBytes,
    Network,
    RunsCode,
    make_generator,
    pickle_snapshot,
    refuse,
    write_snapshot,
)

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


def nest(depth: int) -> Network:
    """Layers in layers, under long names."""
    return Network("Layer", {"a" * 60: nest(depth - 1)} if depth else None)


def test_generators_that_are_out_of_order_are_refused(scratch: Path) -> None:
    shared, numbers, both = Network("Layer"), torch.ones(3), {"a": torch.ones(3)}
    itself: list[Any] = []
    itself.append(itself)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"_modules": {"a": shared, "b": shared}}, "layer in two places"),
        ({"_modules": {"a": Network("Layer", _buffers=both), "b": Network("Layer", _buffers=both)}}, "in two places"),
        ({"_modules": {"a" * 60: nest(4)}}, "nested too deep"),
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


def test_a_name_is_shown_on_one_short_line(scratch: Path) -> None:
    (scratch / "a.pkl").write_bytes(b"\x80\x04\x8c\x07\x1b[2J\nos\x8c\xc8" + b"x" * 200 + b"\x93.")
    refuse(scratch / "a.pkl", r"names \\x1b\[2J\\nos\.x{112}, which")
