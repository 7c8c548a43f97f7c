"""The photographs that a decoder is tuned on: those of a folder, or the neutral ones; no torch is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from functools import lru_cache

from tasks.images.decoding import decode
from tasks.images.fitting import Pixels
from tasks.records import ImageError, RequestError
from tasks.samples.photographs import neutral_photographs
from tasks.storage import Folder

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST = 1000  # which are read whole to be digested, once a process


def load_photographs(uri: str | None) -> Iterator[Pixels]:
    """The pictures of a folder in the order of their names, uint8 HWC, one by one; None: the neutral photographs.

    Raises RequestError where one is damaged.
    """
    if uri is None:
        yield from neutral_photographs()
        return
    folder = Folder(uri)
    for name in _names(folder):
        yield _decode(name, folder.read(name))


def digest_photographs(uri: str) -> str:
    """SHA-256 over the files' names and bytes. Raises RequestError where there are none, or too many.

    They are read again only where what the store tells of them has changed: every style's keys ask for it.
    """
    folder = Folder(uri)
    told = folder.describe("")
    return _digest(uri, tuple((name, repr(sorted(told[name].items()))) for name in _names(folder, told)))


@lru_cache(maxsize=16)
def _digest(uri: str, told: tuple[tuple[str, str], ...]) -> str:
    folder, digest = Folder(uri), hashlib.sha256()
    for name, _ in told:
        data = folder.read(name)
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _names(folder: Folder, told: Collection[str] | None = None) -> list[str]:
    names = [name for name in (folder.list("") if told is None else told) if name.lower().endswith(SUFFIXES)]
    if not 0 < len(names) <= MOST:
        found = f"{len(names)}" if names else "no"
        raise RequestError(
            f"The folder of photographs {folder.uri} has {found} pictures ({', '.join(SUFFIXES)}): "
            f"name one that has 1 to {MOST}."
        )
    return names


def _decode(name: str, data: bytes) -> Pixels:
    try:
        return decode(data)
    except ImageError as error:
        raise RequestError(f"The photograph {name} is no usable picture ({error}): replace or remove it.") from error
