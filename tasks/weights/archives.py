"""Torch's zip format read as data: its pickle, and the raw numbers of the storages that the pickle points to.

A zip of one folder, whose entries are not compressed: `data.pkl`, `data/KEY` for each storage, `byteorder` of newer
versions, and a few more. Format: `torch.serialization._save`.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.weights.inert_pickle import Name, Outside, RefusalError
from tasks.weights.storages import STORAGES, Numbers

SIGNATURE = b"PK\x03\x04"  # which a zip begins with
ENTRY = b"PK\x01\x02"  # stands before each entry of a zip's directory
MAX_ENTRIES = 100  # InST's files have about 20
BFLOAT16 = Name("torch", "BFloat16Storage")
KINDS = STORAGES | {BFLOAT16: np.dtype("<u2")}
# What zipfile raises of a hostile or a broken file.
BROKEN = (zipfile.BadZipFile, struct.error, RuntimeError, EOFError, ValueError, OverflowError)


class Archive:
    """What torch saved: `pickle`, and the numbers of storages. Raises RefusalError, and reads nothing else."""

    def __init__(self, data: bytes) -> None:
        self._entries = _read_entries(data)
        if "data.pkl" not in self._entries:
            raise RefusalError("it is a zip, but none that torch wrote")
        if self._entries.get("byteorder", b"little") != b"little":
            raise RefusalError("it is of a big-endian machine")
        self.pickle = self._entries["data.pkl"]
        self._storages: dict[tuple[Name, str], Numbers] = {}

    def find_numbers(self, storage: Any) -> Numbers:
        """The numbers of a storage that the pickle points to, [N], not to be written to; bfloat16 as float32."""
        match storage:
            case Outside(identity=("storage", Name() as kind, str() as key, str(), int() as count)) if kind in KINDS:
                if (kind, key) not in self._storages:
                    self._storages[kind, key] = self._read_numbers(kind, key)
                if self._storages[kind, key].size == count:
                    return self._storages[kind, key]
                raise RefusalError("one of its tensors does not have as many numbers as it says")
        raise RefusalError("one of its tensors has numbers of an unknown kind")

    def _read_numbers(self, kind: Name, key: str) -> Numbers:
        data = self._entries.get(f"data/{key}", b"")
        if not data or len(data) % KINDS[kind].itemsize:
            raise RefusalError("one of its tensors does not have as many numbers as it says")
        numbers = np.frombuffer(data, KINDS[kind])
        # The upper half of a float32 is what a bfloat16 is.
        return (numbers.astype("<u4") << 16).view("<f4") if kind == BFLOAT16 else numbers


def _read_entries(data: bytes) -> dict[str, bytes]:
    """Bytes of each entry, by its name below the folder."""
    if data.count(ENTRY) > MAX_ENTRIES:  # counted before a directory of millions is read
        raise RefusalError(f"it is a zip of more than {MAX_ENTRIES} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_sizes(entries, len(data))
            _check_names([entry.filename for entry in entries])
            return {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    except BROKEN as error:
        raise RefusalError("it is not a whole zip") from error


def _check_sizes(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise RefusalError("it is a zip with compressed entries, which torch does not write")
    if sum(entry.file_size for entry in entries) > size:
        raise RefusalError("it is a zip whose entries are larger than itself")


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names) or len({name.partition("/")[0] for name in names}) != 1:
        raise RefusalError("it is a zip, but none that torch wrote")
