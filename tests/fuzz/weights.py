"""Weights that strangers wrote: named tensors, or one sentence; nothing of them is ever run."""

from __future__ import annotations

import json
import random
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from tasks.records import RequestError
from tasks.store import RepresentationStore
from tasks.weights.importing import import_weights
from tasks.weights.loading import load_tensors
from tests.fuzz.mutations import mutate
from tests.fuzz.sandbox import Check
from tests.tasks.weights.embedding_files import write_embeddings
from tests.tasks.weights.snapshot_files import RunsCode, pickle_snapshot, write_snapshot

Reader = Callable[[Path], object]
SUFFIXES = (".safetensors", ".pt", ".pkl")


def make_seeds() -> dict[str, list[bytes]]:
    """Small real files of each kind that is read."""
    tensors = {"a.weight": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2, dtype=torch.float16)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(tensors, folder / "new.pt")
        torch.save(tensors, folder / "old.pt", _use_new_zipfile_serialization=False)
        files = [folder / "new.pt", folder / "old.pt", write_embeddings(folder / "embeddings.pt")]
        snapshots = [write_snapshot(folder / f"{protocol}.pkl", protocol) for protocol in (2, 4)]
        torch_files, pickles = ([path.read_bytes() for path in paths] for paths in (files, snapshots))
    safe = [save(tensors), save(tensors, metadata={"made": "by a test"})]
    return {".safetensors": safe, ".pt": torch_files, ".pkl": [*pickles, pickle_snapshot({"G_ema": RunsCode()})]}


def header(value: Any, numbers: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file that says what it is told to."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text) if length is None else length % 2**64) + text + numbers


def _entry(shape: Sequence[int], end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, end]}


BOMBS: dict[str, bytes] = {
    "a header longer than the file": header({}, length=2**63),
    "a header of 2^64 - 1": header({}, length=-1),
    "a header just above its limit": header({}, length=100_000_001),
    "a tensor larger than the file": header({"a": _entry([2**40], 2**42)}),
    "a shape whose size runs over": header({"a": _entry([2**32, 2**32], 0)}),
    "a shape of nothing": header({"a": _entry([0, 2**62], 0)}),
    "a million dimensions": header({"a": _entry([1] * 1_000_000, 4)}, b"\0" * 4),
    "tensors that lie over each other": header({"a": _entry([1], 4), "b": _entry([1], 4)}, b"\0" * 4),
    "a type that is none": header({"a": _entry([1], 4, "F31")}, b"\0" * 4),
    "a header nested deep": header(b'{"a":' * 50_000),
    "metadata that is no text": header({"__metadata__": {"a": {"b": 1}}}),
    "a pickle that never ends": b"\x80\x04" + b"]" * 100_000,
    "a memo as long as a number": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a text of four gigabytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**32) + b"x",
    "tuples in tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "a call of a shell": b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R.",
}


def prepare() -> Check:
    """A check of the case of a number: tensors, or a RequestError; and nothing in the file was run."""
    seeds = make_seeds()
    readers: Sequence[Reader] = (load_tensors, load_tensors, import_weights, _read_stored)

    def check(case: int) -> str:
        rng = random.Random(f"weights {case}")
        suffix, data = make_case(rng, seeds)
        return read(data, suffix, rng.choice(readers))

    return check


def make_case(rng: random.Random, seeds: dict[str, list[bytes]]) -> tuple[str, bytes]:
    """The name's ending and the bytes of a case."""
    suffix = rng.choice(SUFFIXES)
    if rng.random() < 0.05:
        bomb = BOMBS[rng.choice(list(BOMBS))]
        return suffix, bomb if rng.random() < 0.5 else mutate([bomb], rng)
    return suffix, mutate(seeds[suffix], rng)


def read(data: bytes, suffix: str, reader: Reader) -> str:
    """What becomes of a file in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"weights{suffix}"
        path.write_bytes(data)
        try:
            reader(path)
        except RequestError as error:
            outcome, said = "refused", str(error)
            assert 0 < len(said) < 2000
        else:
            outcome = "read"
        assert not (Path(name) / "pwned").exists()
    assert not Path("pwned").exists(), "something in the file was run"
    return outcome


def _read_stored(path: Path) -> object:
    """As a representation: what lies in a store may have been put there by anybody who may write there."""
    place = path.parent / "store" / "adain" / f"{'0' * 32}.safetensors"
    place.parent.mkdir(parents=True)
    path.rename(place)
    return RepresentationStore(str(place.parents[1])).get("adain", "0" * 32)
