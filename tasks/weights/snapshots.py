"""StyleGAN3's training snapshots, pickles that carry source code, read for their generator; none of it is run.

A snapshot is a dict of networks; each is a call of `torch_utils.persistence._reconstruct_persistent_obj` with a
class name, the source of that class's module, and a state. The source is left where it is.
Format: NVlabs/stylegan3, torch_utils/persistence.py and training/training_loop.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from tasks.records import RequestError
from tasks.weights.inert_pickle import Call, Name, Reading, RefusalError, parse
from tasks.weights.storages import STORAGES, Numbers, read_storage, view_storage

MAX_BYTES = 4 * 10**9
PARTS = re.compile(r"(mapping|synthesis)\.")
MAX_NODES = 300  # of the constructor's arguments, which are about 20
PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
PARAMETER = Name("torch._utils", "_rebuild_parameter")
TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
STORAGE = Name("torch.storage", "_load_from_bytes")
DTYPE = Name("numpy", "dtype")
MAPPINGS = frozenset({Name("dnnlib.util", "EasyDict"), Name("collections", "OrderedDict")})
SCALARS = frozenset(Name(module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray"))
ARRAYS = frozenset(Name(module, "_reconstruct") for module in ("numpy.core.multiarray", "numpy._core.multiarray"))
SET = Name("builtins", "set")  # as protocol 3 has it
CALLED = frozenset({SET, PERSISTENT, PARAMETER, TENSOR, STORAGE, DTYPE}) | MAPPINGS | SCALARS | ARRAYS
ALLOWED = CALLED | {Name("numpy", "ndarray")}
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
    with _open(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        reading = parse(file, _accept(ALLOWED))
        storages = _check_calls(reading)
        state = _generator_state(reading.root)
        named = list(_walk(state, storages))
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
    with _open(path) as file:
        reading = parse(file, _note(found, ALLOWED))
        for data in filter(None, map(_storage_bytes, reading.calls)):
            with suppress(RefusalError):  # the import says what is wrong; here its names matter
                read_storage(data, _note(found, frozenset(STORAGES)))
    return dict(sorted(found.items()))


@contextmanager
def _open(path: Path) -> Iterator[BufferedReader]:
    """The file; refusals while it is open become the sentence that a user reads."""
    try:
        if not path.is_file():
            raise RequestError(f"There is no snapshot at {path}.")
        if path.stat().st_size > MAX_BYTES:
            raise RefusalError(f"it is larger than {MAX_BYTES / 1e9:g} GB")
        with open(path, "rb") as file:
            yield file
    except RefusalError as refusal:
        raise RequestError(f"{path.name} is refused: {refusal}; nothing in it was run.") from refusal
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error


def _accept(allowed: frozenset[Name]) -> Callable[[Name], None]:
    def meet(name: Name) -> None:
        if name not in allowed:
            raise RefusalError(f"it names {name}, which no StyleGAN3 snapshot needs")

    return meet


def _note(found: dict[str, bool], allowed: frozenset[Name]) -> Callable[[Name], None]:
    def meet(name: Name) -> None:
        # Different names can look alike: `b.c` of `a`, and `c` of `a.b`.
        found[str(name)] = name in allowed and found.get(str(name), True)

    return meet


def _check_calls(reading: Reading) -> dict[Call, Numbers]:
    """Check every call of a file, also those outside the generator; gives the numbers of its storages."""
    storages = {}
    for call in reading.calls:
        if not (isinstance(call.callee, Name) and call.callee in CALLED):
            raise RefusalError("it calls what is not to be called")
        if call.callee == DTYPE:
            _numeric(call)
        if call.callee == STORAGE:
            storages[call] = read_storage(_storage_bytes(call) or b"", _accept(frozenset(STORAGES)))
    return storages


def _storage_bytes(call: Call) -> bytes | None:
    match call:
        case Call(callee=callee, arguments=(bytes() as data,)) if callee == STORAGE:
            return data
    return None


def _generator_state(snapshot: Any) -> dict[Any, Any]:
    networks = _items(snapshot)
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
    raise RefusalError("one of its networks is not as StyleGAN3 writes it")


def _items(value: Any) -> dict[Any, Any] | None:
    """Items of a dict or of one of its kinds; None of anything else."""
    match value:
        case dict():
            return value
        case Call(callee=callee, arguments=()) if callee in MAPPINGS:
            return value.items
    return None


def _walk(state: dict[Any, Any], storages: dict[Call, Numbers]) -> Iterator[tuple[str, Numbers, bool]]:
    """Names, tensors, and whether they are trained, of a network and its layers, as `named_parameters` has them."""
    seen: set[int] = set()
    waiting = [("", state)]
    while waiting:
        prefix, state = waiting.pop()
        if id(state) in seen:  # shared layers would be without end, or without bound
            raise RefusalError("it has a layer in two places")
        seen.add(id(state))
        for kind in ("_parameters", "_buffers"):
            for name, value in _named(state, kind):
                yield prefix + name, _tensor(value, storages), kind == "_parameters"
        for name, value in _named(state, "_modules"):
            waiting.append((f"{prefix}{name}.", _network(value)[1]))


def _named(state: dict[Any, Any], part: str) -> Iterator[tuple[str, Any]]:
    items = _items(state.get(part))
    if items is None:
        raise RefusalError("one of its networks is not as StyleGAN3 writes it")
    for name, value in items.items():
        if not (isinstance(name, str) and re.fullmatch(r"\w{1,64}", name, re.ASCII)):
            raise RefusalError("one of its tensors or layers has no proper name")
        if value is not None:  # a bias that a layer does without
            yield name, value


def _tensor(value: Any, storages: dict[Call, Numbers]) -> Numbers:
    match value:
        case Call(callee=callee, arguments=(data, *_)) if callee == PARAMETER:
            value = data
    match value:
        case Call(callee=callee, arguments=(Call() as storage, offset, size, stride, *_)) if callee == TENSOR:
            tensor = view_storage(storages[storage], offset, size, stride) if storage in storages else None
            if tensor is not None and tensor.dtype.kind == "f":
                return tensor
    raise RefusalError("its generator holds what is no tensor of floats")


def _read_arguments(state: dict[Any, Any]) -> dict[str, Any]:
    arguments = _items(state.get("_init_kwargs"))
    if arguments is None or state.get("_init_args") != ():
        raise RefusalError("it does not say how its generator was made")
    return dict(_plain(arguments, iter(range(MAX_NODES))))


def _plain(value: Any, budget: Iterator[int]) -> Any:
    """A value as JSON has it. `budget` bounds the work: a list that holds itself would be without end."""
    if next(budget, None) is None:
        raise RefusalError("its generator has too many arguments")
    items = _items(value)
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
