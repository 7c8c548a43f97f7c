"""StyleGAN3's training snapshots, pickles that carry source code, read for their generator; none of it is run.

A snapshot is a dict of networks; each is a call of `torch_utils.persistence._reconstruct_persistent_obj` with a
class name, the source of that class's module, and a state. The source is left where it is.
Format: NVlabs/stylegan3, torch_utils/persistence.py and training/training_loop.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.weights.inert_modules import MAPPINGS, PARAMETER, TENSOR, Form, items_of, walk
from tasks.weights.inert_pickle import Call, Name, Reading, RefusalError, accept_only, note, parse
from tasks.weights.opening import open_untrusted
from tasks.weights.storages import STORAGES, Numbers, read_storage, view_storage

MAX_BYTES = 4 * 10**9
PARTS = re.compile(r"(mapping|synthesis)\.")
MAX_NODES = 300  # of the constructor's arguments, which are about 20
PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
STORAGE = Name("torch.storage", "_load_from_bytes")
DTYPE = Name("numpy", "dtype")
SCALARS = frozenset(Name(module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray"))
ARRAYS = frozenset(Name(module, "_reconstruct") for module in ("numpy.core.multiarray", "numpy._core.multiarray"))
SET = Name("builtins", "set")  # as protocol 3 has it
CALLED = frozenset({SET, PERSISTENT, PARAMETER, TENSOR, STORAGE, DTYPE}) | MAPPINGS | SCALARS | ARRAYS
ALLOWED = CALLED | {Name("numpy", "ndarray")}
NEEDED_BY = "StyleGAN3 snapshot"
NOT_ITS_FORM = "one of its networks is not as StyleGAN3 writes it"
NUMERIC = re.compile(r"b1|[iu][1248]|f[248]")


@dataclass(frozen=True)
class Generator:
    """The averaged generator (`G_ema`) of a snapshot.

    `tensors` have the official names and are views of what was read, not writable; `arguments` are the
    constructor's, as JSON has them; `parameters` counts the trained numbers, without buffers.
    """

    tensors: dict[str, Numbers]
    arguments: dict[str, Any]
    parameters: int
    digest: str  # SHA-256 of the snapshot


def read_generator(path: Path) -> Generator:
    """Read the generator of a StyleGAN3 snapshot; the whole file is checked, and nothing in it is run.

    Raises RequestError where the file names what a snapshot does not need, is broken, or holds something else.
    """
    with open_untrusted(path, "snapshot", MAX_BYTES) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        reading = parse(file, accept_only(ALLOWED, NEEDED_BY))
        storages = _check_calls(reading)
        state = _generator_state(reading.root)
        form = Form(lambda layer: _network(layer)[1], lambda tensor: _tensor(tensor, storages), NOT_ITS_FORM)
        named = list(walk(state, form))
        tensors = {name: tensor for name, tensor, _ in named}
        if "synthesis.input.freqs" not in tensors or not all(map(PARTS.match, tensors)):
            raise RefusalError("its generator is not StyleGAN3's (StyleGAN2's, for one, has another layout)")
        if 4 * sum(tensor.size for tensor in tensors.values()) > MAX_BYTES:
            raise RefusalError("its generator is larger than the file could hold")
        parameters = sum(tensor.size for _, tensor, trained in named if trained)
        return Generator(tensors, _read_arguments(state), parameters, digest)


def name_globals(path: Path) -> dict[str, bool]:
    """Every global that a file names, in its tensors too, and whether an import accepts it. Runs nothing.

    Reads as far as the file can be read. Raises RequestError where it cannot be opened or is no pickle.
    """
    found: dict[str, bool] = {}
    with open_untrusted(path, "snapshot", MAX_BYTES) as file:
        reading = parse(file, note(found, ALLOWED))
        for data in filter(None, map(_storage_bytes, reading.calls)):
            with suppress(RefusalError):  # the import says what is wrong; here its names matter
                read_storage(data, note(found, frozenset(STORAGES)))
    return dict(sorted(found.items()))


def _check_calls(reading: Reading) -> dict[Call, Numbers]:
    """Check every call of a file, also those outside the generator; gives the numbers of its storages."""
    storages = {}
    for call in reading.calls:
        if not (isinstance(call.callee, Name) and call.callee in CALLED):
            raise RefusalError("it calls what is not to be called")
        if call.callee == DTYPE:
            _numeric(call)
        if call.callee == STORAGE:
            storages[call] = read_storage(_storage_bytes(call) or b"", accept_only(frozenset(STORAGES), NEEDED_BY))
    return storages


def _storage_bytes(call: Call) -> bytes | None:
    match call:
        case Call(callee=callee, arguments=(bytes() as data,)) if callee == STORAGE:
            return data
    return None


def _generator_state(snapshot: Any) -> dict[Any, Any]:
    networks = items_of(snapshot)
    if networks is None or "G_ema" not in networks:
        raise RefusalError("it is no training snapshot: it has no G_ema")
    kind, state = _network(networks["G_ema"])
    if kind != "Generator":
        raise RefusalError("its G_ema is not a Generator")
    return state


def _network(value: Any) -> tuple[str, dict[Any, Any]]:
    """Class name and state of a network or a layer; the source beside them is not looked at."""
    match value:
        case Call(callee=callee, arguments=({"class_name": str() as kind, "state": dict() as state},)):
            if callee == PERSISTENT:
                return kind, state
    raise RefusalError(NOT_ITS_FORM)


def _tensor(value: Any, storages: dict[Call, Numbers]) -> Numbers:
    match value:
        case Call(callee=callee, arguments=(Call() as storage, offset, size, stride, *_)) if callee == TENSOR:
            tensor = view_storage(storages[storage], offset, size, stride) if storage in storages else None
            if tensor is not None and tensor.dtype.kind == "f":
                return tensor
    raise RefusalError("its generator holds what is no tensor of floats")


def _read_arguments(state: dict[Any, Any]) -> dict[str, Any]:
    arguments = items_of(state.get("_init_kwargs"))
    if arguments is None or state.get("_init_args") != ():
        raise RefusalError("it does not say how its generator was made")
    return dict(_plain(arguments, iter(range(MAX_NODES))))


def _plain(value: Any, budget: Iterator[int]) -> Any:
    """A value as JSON has it. `budget` bounds the work: a list that holds itself would be without end."""
    if next(budget, None) is None:
        raise RefusalError("its generator has too many arguments")
    items = items_of(value)
    if items is not None and all(isinstance(key, str) for key in items):
        return {key: _plain(entry, budget) for key, entry in items.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, budget) for entry in value]
    if isinstance(value, Call):
        value = _scalar(value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    raise RefusalError("its generator has an argument that is neither text nor a number")


def _scalar(call: Call) -> Any:
    """The number of a numpy scalar."""
    match call:
        case Call(callee=callee, arguments=(Call() as kind, bytes() as data)) if callee in SCALARS:
            numeric = _numeric(kind)
            if len(data) == numeric.itemsize:
                return np.frombuffer(data, numeric)[0].item()
    raise RefusalError("its generator has an argument that is neither text nor a number")


def _numeric(call: Call) -> np.dtype[Any]:
    """A numpy kind of number, in the byte order that its state gives."""
    match call:
        case Call(callee=callee, arguments=(str() as code, *_), state=(_, str() as order, None, None, None, *_)):
            if callee == DTYPE and NUMERIC.fullmatch(code) and order in ("<", ">", "|", "="):
                return np.dtype(order + code)
    raise RefusalError("it has arrays of something else than numbers")
