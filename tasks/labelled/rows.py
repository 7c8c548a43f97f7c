"""Pictures of single rows of Parquet files, read a row group at a time and no further than the last row wanted.

A process keeps what it has read within bounds: footers, the latest pictures, and what it found each picture to be.
What a job has chosen is copied beside its representations, so that no actor reads a row group for a picture.
"""

from __future__ import annotations

import hashlib
import posixpath
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from tasks.labelled.copies import FOLDER, Copies, copy_name
from tasks.labelled.place import RowPlace, file_version, find_file, parse_place
from tasks.records import ImageError
from tasks.storage import Folder, open_filesystem, storage_errors

# Pictures kept: about 500 of WikiArt's (0.46 MB each).
KEPT_BYTES = 2**28
FOOTERS = 512
# A column chunk is read a buffer at a time; on object storage each is one request.
BUFFER_BYTES = 2**23
BATCH_ROWS = 16
# Row groups read at one time hold no more than this, and Arrow takes three times as much to read them; those of
# huggan/wikiart hold 1000 pictures, 460 MB.
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
    """Reads rows' pictures, and remembers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[tuple[str, str], pq.FileMetaData] = OrderedDict()
        self._pictures: OrderedDict[RowPlace, bytes] = OrderedDict()
        self._bytes = 0
        self._checked: dict[str, Checked] = {}
        self.copies = Copies()

    def read(self, place: RowPlace) -> bytes:
        """The encoded picture of a row. Raises ImageError, RequestError and what its store raises."""
        copy = self.copies.read(place)
        if copy is not None:
            return copy
        file = self._open(place.file)
        kept = RowPlace(place.file, place.row, place.image, file_version(file.found))
        held = self._held(kept)
        if held is not None:
            return held
        ((_, picture),) = _read_rows(file, [place.row], place.image)
        if isinstance(picture, ImageError):
            raise picture
        self._keep(kept, picture)
        return picture

    def footer(self, uri: str) -> pq.FileMetaData:
        """The footer of a Parquet file. Raises ArrowInvalid, RequestError and what its store raises."""
        return self._open(uri).footer

    def checked(self, uri: str) -> Checked | None:
        """What was found of a picture, where its place has a version."""
        with self._lock:
            return self._checked.get(uri)

    def remember(self, digests: Mapping[str, str]) -> None:
        """Take over what earlier plans found of pictures: their SHA-256 by their URI."""
        found = {uri: Checked(digest) for uri, digest in digests.items() if _version(uri)}
        with self._lock:
            self._checked = found | self._checked

    def check(self, places: Sequence[RowPlace]) -> dict[str, Checked]:
        """Read and decode what is not known yet of these pictures, each row group once, several at one time."""
        known = {place.uri: self.checked(place.uri) for place in places}
        found: dict[str, Checked] = {}
        for results in self._each_group({p for p in places if known[p.uri] is None}, self._check_group):
            found |= results
        with self._lock:
            self._checked |= {uri: one for uri, one in found.items() if _version(uri)}
        return found | {uri: one for uri, one in known.items() if one is not None}

    def copy(self, places: Iterable[RowPlace], folder: Folder) -> None:
        """Put copies of pictures where they are found from now on, by whoever looks there; reads only what it lacks.

        Raises what the stores raise.
        """
        self.copies.look_in(folder)
        there = folder.list(FOLDER)
        missing = {place for place in places if place.version and copy_name(place) not in there}
        held = {place: data for place in missing if (data := self._held(place)) is not None}
        for place, data in held.items():
            folder.publish(copy_name(place), data)
        for copies in self._each_group(missing - set(held), self._read_group):
            for place, data in copies.items():
                folder.publish(copy_name(place), data)

    def _each_group(self, places: Iterable[RowPlace], work: Callable[[_File, Sequence[RowPlace]], T]) -> Iterator[T]:
        """Do something with the places of each row group, several groups at one time."""
        by_file = groupby(sorted(places, key=lambda place: (place.file, place.row)), key=lambda place: place.file)
        files = [(self._open(uri), list(group)) for uri, group in by_file]
        works = [(file, part) for file, group in files for part in _by_group(file.footer, group)]
        with ThreadPoolExecutor(_at_once([file.footer for file, _ in works])) as pool:
            yield from pool.map(lambda one: work(*one), works)
        pa.default_memory_pool().release_unused()

    def _read_group(self, file: _File, places: Sequence[RowPlace]) -> dict[RowPlace, bytes]:
        by_row = {place.row: place for place in places}
        read = _read_rows(file, sorted(by_row), places[0].image)
        return {by_row[row]: picture for row, picture in read if isinstance(picture, bytes)}

    def _check_group(self, file: _File, places: Sequence[RowPlace]) -> dict[str, Checked]:
        by_row = {place.row: place for place in places}
        found = {}
        for row, picture in _read_rows(file, sorted(by_row), places[0].image):
            found[by_row[row].uri] = _check(picture)
            if isinstance(picture, bytes):
                self._keep(by_row[row], picture)
        return found

    def _held(self, place: RowPlace) -> bytes | None:
        with self._lock:
            if place in self._pictures:
                self._pictures.move_to_end(place)
            return self._pictures.get(place)

    def _keep(self, place: RowPlace, picture: bytes) -> None:
        """Of a file without a version, nobody could tell whether it is still the same."""
        if not place.version or len(picture) > KEPT_BYTES:
            return
        with self._lock:
            self._bytes += len(picture) - len(self._pictures.pop(place, b""))
            self._pictures[place] = picture
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._pictures.popitem(last=False)[1])

    def _open(self, uri: str) -> _File:
        root, found = find_file(uri)
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
        return _File(root, found, footer)


# One for the process: planning asks twice for what it has read, and reports and scores once more.
ROWS = RowReader()


def is_unchanged(uri: str) -> bool:
    """Whether a row's file is still of the version that was read when the picture was chosen.

    False where that cannot be known, and of whatever is no row.
    """
    place = parse_place(uri)
    if place is None or not place.version:
        return False
    try:
        return file_version(find_file(place.file)[1]) == place.version
    except storage_errors(open_filesystem(place.file)[0]):
        return False


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
    """The bytes of a cell: binary, or a struct of bytes and path; a path may lead to a file beside the table."""
    data = value if isinstance(value, bytes) else (value or {}).get("bytes")
    if data is not None:
        return bytes(data)
    path = value.get("path") if isinstance(value, dict) else None
    if not path:
        return ImageError("empty_file", "the row has no picture")
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
