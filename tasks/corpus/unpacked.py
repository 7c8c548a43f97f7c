"""Compressed tars: unpacked as far as they are needed, into a file of their own, and no further than is sane."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from threading import Lock
from typing import Any

from tasks.corpus.folder import CHANGED
from tasks.corpus.listing import FoundFile
from tasks.corpus.tar_headers import TarError
from tasks.records import ImageError

CHUNK_BYTES = 2**20
# Pictures hardly shrink; labels, masks and bitmaps may by a hundred, and deflate by a thousand at most.
RATIO = 100
FREE_BYTES = 2**26


def check_expansion(file: Any, tar: FoundFile) -> _Bounded:
    """A compressed tar's bytes, to read and seek forward; TarError where there are too many for its size."""
    return _Bounded(gzip.GzipFile(fileobj=file), FREE_BYTES + RATIO * tar.bytes)


class _Bounded:
    def __init__(self, file: gzip.GzipFile, limit: int) -> None:
        self._file, self._limit = file, limit

    def seek(self, place: int) -> int:
        """Go to a place; less than asked for where the file ends before."""
        if place > self._limit:
            raise TarError(f"grows more than {RATIO} times when unpacked: write it as a plain .tar")
        try:
            return self._file.seek(place)
        except zlib.error as error:
            raise TarError("is damaged: copy it anew") from error

    def read(self, size: int) -> bytes:
        """Bytes from here on."""
        try:
            return self._file.read(size)
        except zlib.error as error:
            raise TarError("is damaged: copy it anew") from error


class Unpacked:
    """A compressed file in a temporary one, which grows as later bytes are asked for; for threads, too."""

    def __init__(self, file: Any) -> None:
        self._source = gzip.GzipFile(fileobj=file)
        self._held = tempfile.TemporaryFile(prefix="atelier-tar-")  # noqa: SIM115 (it lives as long as this)
        self._size, self._lock = 0, Lock()

    def read(self, start: int, size: int) -> bytes:
        """Some bytes. Raises ImageError where they are not there."""
        with self._lock:
            try:
                self._grow(start + size)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ImageError("changed", CHANGED) from error
            self._held.seek(start)
            return self._held.read(size)

    def _grow(self, stop: int) -> None:
        self._held.seek(self._size)
        while self._size < stop:
            chunk = self._source.read(min(CHUNK_BYTES, stop - self._size))
            if not chunk:
                return
            self._size += self._held.write(chunk)
