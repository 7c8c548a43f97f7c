"""Pictures of single rows of Parquet files, read a row group at a time and no further than the last row wanted.

A process keeps some footers, and what it found each picture to be. What a job has drawn is copied beside its
representations while it is read, so that no actor, and no later run, reads a row group for a picture.
"""

from __future__ import annotations

import hashlib
import posixpath
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.folder import read_picture_file
from tasks.corpus.listing import READERS, FoundFile, Root
from tasks.corpus.parquet import find_image_column
from tasks.images.decoding import decode
from tasks.labelled.copies import Copies, copy, not_copied
from tasks.labelled.place import RowPlace, file_version, find_file, parse_place
from tasks.records import ImageError
from tasks.storage import Folder

FOOTERS = 512
# A column chunk is read a buffer at a time; on object storage each is one request.
BUFFER_BYTES = 2**23
BATCH_ROWS = 16
# Row groups read at one time hold no more than this, and Arrow takes three times as much to read them; a shard of
# huggan/wikiart has 0.52 GB, in row groups that nobody here has seen.
GROUPS_BYTES = 2**29


T = TypeVar("T")


@dataclass(frozen=True)
class Checked:
    """What a picture was found to be: the SHA-256 of its bytes, or why it is no usable picture."""

    sha256: str | None
    reason: str = ""


@dataclass(frozen=True)
class _File:
    """A Parquet file that was opened: its place, version and footer."""

    root: Root
    found: FoundFile
    footer: pq.FileMetaData

    def open(self) -> Any:
        return self.root.filesystem.open(self.root.within(self.found.path), "rb", cache_type="none")


class RowReader:
    """Reads rows' pictures, and remembers what they were found to be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[tuple[str, str], pq.FileMetaData] = OrderedDict()
        self._checked: dict[str, Checked] = {}
        self.copies = Copies()

    def read(self, place: RowPlace) -> bytes:
        """The encoded picture of a row, or its copy. Raises ImageError, RequestError and what its store raises."""
        copied = self.copies.read(place)
        if copied is not None:
            return copied
        ((_, picture),) = _read_rows(self._open(place.file), [place.row], place.image)
        if isinstance(picture, ImageError):
            raise picture
        return picture

    def footer(self, uri: str, root: Root, found: FoundFile) -> pq.FileMetaData:
        """The footer of a Parquet file. Raises ArrowInvalid and what its store raises."""
        key = (uri, file_version(found))
        with self._lock:
            footer = self._footers.get(key)
        if footer is None:
            with root.filesystem.open(root.within(found.path), "rb", cache_type="none") as file:
                footer = pq.read_metadata(file)
        with self._lock:
            self._footers[key] = footer
            self._footers.move_to_end(key)
            while len(self._footers) > FOOTERS:
                self._footers.popitem(last=False)
        return footer

    def checked(self, uri: str) -> Checked | None:
        """What was found of a picture, here or by an earlier plan."""
        with self._lock:
            return self._checked.get(uri)

    def remember(self, digests: Mapping[str, str]) -> None:
        """Take over what earlier plans found of pictures: their SHA-256 by their URI, where that has a version."""
        found = {uri: Checked(digest) for uri, digest in digests.items() if _version(uri)}
        with self._lock:
            self._checked = found | self._checked

    def check(self, places: Collection[RowPlace], keep: Folder | None = None) -> dict[str, Checked]:
        """Read and decode what is not known yet of these pictures; by URI. Copies of all are in `keep` then.

        A copy is read rather than its table, and of a table each row group once, several at one time. Raises
        RequestError and what the tables' stores raise.
        """
        known = {place.uri: one for place in places if (one := self.checked(place.uri)) is not None}
        unknown = {place for place in places if place.uri not in known}
        lacking: set[RowPlace] = set()
        if keep is not None:
            self.copies.look_in(keep)
            usable = {place for place in places if place in unknown or known[place.uri].sha256 is not None}
            lacking = not_copied(usable, keep)
        found = self._check_copies(unknown - lacking)
        unread = lacking | {place for place in unknown if place.uri not in found}
        for results in self._each_group(unread, lambda file, group: self._check_group(file, group, keep)):
            found |= results
        with self._lock:
            self._checked |= found
        return known | found

    def _check_copies(self, places: Collection[RowPlace]) -> dict[str, Checked]:
        def check(place: RowPlace) -> Checked | None:
            copied = self.copies.read(place)
            return None if copied is None else _check(copied)

        with ThreadPoolExecutor(READERS) as pool:
            found = zip(places, pool.map(check, places), strict=True)
            return {place.uri: one for place, one in found if one is not None}

    def _each_group(self, places: Iterable[RowPlace], work: Callable[[_File, Sequence[RowPlace]], T]) -> Iterator[T]:
        """Do something with the places of each row group and column, several at one time."""
        ordered = sorted(places, key=lambda place: (place.file, place.image or "", place.row))
        uris = {place.file for place in ordered}
        with ThreadPoolExecutor(READERS) as pool:
            files = dict(zip(uris, pool.map(self._open, uris), strict=True))
        works = [
            (files[uri], part)
            for (uri, _), group in groupby(ordered, key=lambda place: (place.file, place.image))
            for part in _by_group(files[uri].footer, list(group))
        ]
        with ThreadPoolExecutor(_at_once([file.footer for file, _ in works])) as pool:
            yield from pool.map(lambda one: work(*one), works)
        pa.default_memory_pool().release_unused()

    def _check_group(self, file: _File, places: Sequence[RowPlace], keep: Folder | None) -> dict[str, Checked]:
        by_row = {place.row: place for place in places}
        found = {}
        for row, picture in _read_rows(file, sorted(by_row), places[0].image):
            found[by_row[row].uri] = _check(picture)
            # A broken one as well, so that its row group is not read again to find it so.
            if keep is not None and isinstance(picture, bytes):
                copy(by_row[row], picture, keep)
        return found

    def _open(self, uri: str) -> _File:
        root, found = find_file(uri)
        return _File(root, found, self.footer(uri, root, found))


# One for the process: a run asks twice what its pictures are.
ROWS = RowReader()


def _check(picture: bytes | ImageError) -> Checked:
    try:
        if isinstance(picture, ImageError):
            raise picture
        decode(picture)
    except ImageError as error:
        return Checked(None, str(error))
    return Checked(hashlib.sha256(picture).hexdigest())


def _read_rows(file: _File, rows: Sequence[int], image: str | None) -> Iterator[tuple[int, bytes | ImageError]]:
    """Each row, in order, with its picture or why there is none; rows are sorted, and of any row groups."""
    column = find_image_column(file.footer.schema.to_arrow_schema(), image, file.found.path)
    left = list(rows)
    first = 0
    with file.open() as handle:
        table = pq.ParquetFile(handle, metadata=file.footer, buffer_size=BUFFER_BYTES)
        for group in range(file.footer.num_row_groups):
            stop = first + file.footer.row_group(group).num_rows
            inside = [row for row in left if row < stop]
            left = left[len(inside) :]
            if inside:
                yield from _read_group(file, table, group, column, first, inside)
            first = stop
    yield from ((row, ImageError("missing", "the row is not there")) for row in left)


def _read_group(
    file: _File, table: pq.ParquetFile, group: int, column: str, first: int, rows: Sequence[int]
) -> Iterator[tuple[int, bytes | ImageError]]:
    """Rows of one group, whose first row is `first`; decoding goes no further than the last of them."""
    left = list(rows)
    try:
        batches = table.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column], use_threads=False)
        while left:
            batch = next(batches)
            while left and left[0] < first + len(batch):
                yield left[0], _picture(file, batch.column(0)[left[0] - first].as_py())
                left.pop(0)
            first += len(batch)
    except (pa.ArrowInvalid, OSError, StopIteration) as error:
        if not _is_damage(error):
            raise
        yield from ((row, ImageError("corrupt", "the Parquet file is damaged")) for row in left)


def _is_damage(error: Exception) -> bool:
    """Arrow has a bare OSError without a number for pages that it cannot read; those of stores have either."""
    return not isinstance(error, OSError) or (type(error) is OSError and error.errno is None)


def _picture(file: _File, value: Any) -> bytes | ImageError:
    """The bytes of a cell, none where it is empty: binary, or a struct of bytes and path.

    A path may lead to a file beside the table.
    """
    data = value if isinstance(value, bytes) else (value or {}).get("bytes")
    if data is not None:
        return bytes(data)
    path = value.get("path") if isinstance(value, dict) else None
    if not path:
        return b""
    place = posixpath.normpath(path)
    if place.startswith(("/", "../")) or place == ".." or "://" in path:
        return ImageError("missing", "the table points to a file that is not beside it")
    found, error = read_picture_file(file.root, place, 0)
    return error if found is None and error is not None else bytes(found or b"")


def _by_group(footer: pq.FileMetaData, places: Sequence[RowPlace]) -> list[list[RowPlace]]:
    """Places of one file, sorted by row, parted by row group; those behind the last row come with the last."""
    parts: dict[int, list[RowPlace]] = {}
    group, stop = -1, 0
    for place in places:
        while place.row >= stop and group + 1 < footer.num_row_groups:
            group += 1
            stop += footer.row_group(group).num_rows
        parts.setdefault(group, []).append(place)
    return list(parts.values())


def _at_once(footers: Sequence[pq.FileMetaData]) -> int:
    """How many row groups are read at one time."""
    sizes = [f.row_group(group).total_byte_size for f in footers for group in range(f.num_row_groups)]
    return max(1, min(READERS, GROUPS_BYTES // max([1, *sizes])))


def _version(uri: str) -> str:
    place = parse_place(uri)
    return place.version if place else ""
