"""Numbers inside torch's pickles: a storage record as torch wrote it before its zip format, and views of it.

The record is five small pickles and the raw numbers. It is read as data, and never by `torch.load`: that one
makes room for as many numbers as a file claims to have, and its strict mode had a hole up to torch 2.5.
Format: `torch.serialization._legacy_save`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.weights.inert_pickle import Name, Outside, RefusalError, parse

Numbers = npt.NDArray[Any]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
PICKLES = 5  # magic number, protocol, system, the storage's record, keys of the storages that follow
MAX_DIMENSIONS = 8
STORAGES = {
    Name("torch", f"{kind}Storage"): np.dtype(code)
    for kind, code in {
        "Float": "<f4",
        "Double": "<f8",
        "Half": "<f2",
        "Long": "<i8",
        "Int": "<i4",
        "Short": "<i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}


def read_storage(data: bytes, meet: Callable[[Name], None]) -> Numbers:
    """The numbers of a storage record, [N], of its kind, not writable.

    `meet` gets every global that the record names. Raises RefusalError.
    """
    stream = io.BytesIO(data)
    pickles = [parse(stream, meet) for _ in range(PICKLES)]
    magic, protocol, system, record, keys = (pickle.root for pickle in pickles)
    if any(pickle.calls for pickle in pickles):
        raise RefusalError("it calls something inside a tensor's numbers")
    if (magic, protocol) != (MAGIC, PROTOCOL) or not _is_little_endian(system):
        raise RefusalError("its tensors are not as torch writes them")
    kind, count = _read_record(record, keys)
    numbers = memoryview(data)[stream.tell() :]
    if int.from_bytes(numbers[:8], "little") != count or len(numbers) != 8 + count * kind.itemsize:
        raise RefusalError("one of its tensors does not have as many numbers as it says")
    return np.frombuffer(numbers[8:], kind)


def view_storage(storage: Numbers, offset: Any, size: Any, stride: Any) -> Numbers:
    """A tensor of a storage, [*size], not writable: nothing is copied.

    Sizes, strides and offset are checked, as they come from a file. Raises RefusalError.
    """
    if not (_are_counts(size) and _are_counts(stride) and _are_counts((offset,)) and len(size) == len(stride)):
        raise RefusalError("one of its tensors has no proper shape")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    elements = math.prod(size)
    # As many elements as numbers at most: strides of 0 would make a huge tensor out of one number.
    if not 0 < elements <= storage.size or last >= storage.size:
        raise RefusalError("one of its tensors reaches beyond its numbers")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)


def _read_record(record: Any, keys: Any) -> tuple[np.dtype[Any], int]:
    match record:
        case Outside(identity=("storage", Name() as kind, str() as key, str(), int() as count, None)):
            if kind in STORAGES and keys == [key] and count >= 0:
                return STORAGES[kind], count
    raise RefusalError("one of its tensors has numbers of an unknown kind")


def _is_little_endian(system: Any) -> bool:
    return isinstance(system, dict) and system.get("little_endian") is True


def _are_counts(values: Any) -> bool:
    proper = isinstance(values, tuple) and len(values) <= MAX_DIMENSIONS
    return proper and all(type(value) is int and 0 <= value < 2**48 for value in values)
