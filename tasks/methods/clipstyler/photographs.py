"""The photographs that a decoder is tuned on: those of a folder, or the neutral ones; no torch is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

from tasks.images.decoding import decode
from tasks.images.fitting import Pixels
from tasks.records import ImageError, RequestError
from tasks.samples.photographs import neutral_photographs
from tasks.storage import Folder

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST = 1000  # which are read whole to be digested, at every plan


def load_photographs(uri: str | None) -> list[Pixels]:
    """The pictures of a folder in the order of their names, uint8 HWC; None: the neutral photographs.

    Raises RequestError where one is damaged.
    """
    if uri is None:
        return neutral_photographs()
    return [_decode(name, data) for name, data in _read(uri)]


def digest_photographs(uri: str) -> str:
    """SHA-256 over the files' names and bytes. Raises RequestError where there are none, or too many."""
    digest = hashlib.sha256()
    for name, data in _read(uri):
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _read(uri: str) -> Iterator[tuple[str, bytes]]:
    folder = Folder(uri)
    names = list(islice((name for name in sorted(folder.list("")) if name.lower().endswith(SUFFIXES)), MOST + 1))
    if not 0 < len(names) <= MOST:
        found = f"more than {MOST}" if names else "no"
        raise RequestError(
            f"The folder of photographs {uri} has {found} pictures ({', '.join(SUFFIXES)}): "
            f"name one that has 1 to {MOST}."
        )
    for name in names:
        yield name, folder.read(name)


def _decode(name: str, data: bytes) -> Pixels:
    try:
        return decode(data)
    except ImageError as error:
        raise RequestError(f"The photograph {name} is no usable picture ({error}): replace or remove it.") from error
