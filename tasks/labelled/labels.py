"""The classes of a labelled table: how many pictures each has, and which come first in the draw.

Only the columns of classes are read, never a picture, in memory bounded by classes and not by rows.
Dimension key: N rows of a batch.
"""

from __future__ import annotations

import hashlib
import heapq
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.corpus.listing import READERS, Root, with_suffix
from tasks.corpus.parquet import SUFFIX, find_image_column
from tasks.labelled.features import ClassNames, is_number, name_classes, names_beside
from tasks.labelled.place import RowPlace, file_version
from tasks.labelled.rows import ROWS
from tasks.labelled.settings import TableSettings
from tasks.records import RequestError
from tasks.storage import open_filesystem, storage_errors

BATCH_ROWS = 2**16
# Of each class, so many more pictures than are wanted are ranked, to take the place of broken ones: in memory some 150
# bytes each. A class that has more broken ones has a broken table.
SPARE = 1024

# Place in the draw, path of the file below the table, row.
Ranked = tuple[bytes, str, int]


@dataclass
class Found:
    """What a table was found to hold, of the pictures that `where` lets through.

    `counts` and `ranked` are by class; `labels` holds the names known for each column, with or without pictures;
    `rows` counts all; `unnamed` are columns of numbers that nobody names, so that the numbers are the names;
    `unlabelled` counts pictures whose label is null, -1 or a number without a name.
    """

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    ranked: dict[str, list[Ranked]] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    unlabelled: int = 0

    def add(self, other: Found, keep: int) -> None:
        """Take in what other rows hold; of each class at least the first `keep` in the draw, and not many more."""
        self.rows += other.rows
        self.counts += other.counts
        self.unlabelled += other.unlabelled
        for name, ranked in other.ranked.items():
            mine = self.ranked.setdefault(name, [])
            mine += ranked
            if len(mine) > 2 * keep:
                self.ranked[name] = heapq.nsmallest(keep, mine)
        for column, labels in other.labels.items():
            self.labels.setdefault(column, set()).update(labels)


class LabelledTable:
    """The Parquet files of a table. Raises RequestError where there are none, or they cannot be listed."""

    def __init__(self, settings: TableSettings) -> None:
        self.settings = settings
        self.uri = settings.table.rstrip("/")
        filesystem, path = open_filesystem(self.uri)
        try:
            is_file = filesystem.info(path)["type"] == "file"
        except storage_errors(filesystem) as error:
            raise RequestError(
                f"The table {self.uri} cannot be found or read ({type(error).__name__}): check its path."
            ) from error
        self.root = Root(filesystem, posixpath.dirname(path) if is_file else path)
        names = self.root.files() if not is_file else [self.root.file(posixpath.basename(path))]
        files = names if is_file else with_suffix(names, [SUFFIX])
        if not files:
            raise RequestError(f"The table {self.uri} has no {SUFFIX} files: name a folder that has.")
        self.folder_uri = posixpath.dirname(self.uri) if is_file else self.uri
        self.files = {file.path: file for file in files}

    def find(self) -> Found:
        """Read the labels of every file, several at one time. Raises RequestError where a file cannot serve."""
        keep = self.settings.pictures + SPARE
        found = Found()
        with ThreadPoolExecutor(READERS) as pool:
            schemas = dict(zip(self.files, pool.map(self._read_schema, self.files), strict=True))
            names = name_classes(schemas, self.columns, self._names_beside)
            for part in pool.map(lambda path: self._find_in(path, names[path], keep), self.files):
                found.add(part, keep)
        found.ranked = {name: heapq.nsmallest(keep, ranked) for name, ranked in found.ranked.items()}
        found.unnamed = [column for column in self.columns if _is_bare(column, schemas, names)]
        return found

    def place(self, path: str, row: int) -> RowPlace:
        """Where a picture is, with its file's version."""
        return RowPlace(f"{self.folder_uri}/{path}", row, self.settings.image, file_version(self.files[path]))

    def _read_schema(self, path: str) -> pa.Schema:
        with self._explained(path) as uri:
            schema = ROWS.footer(uri, self.root, self.files[path]).schema.to_arrow_schema()
            self._check_columns(schema, uri)
            return schema

    def _find_in(self, path: str, names: ClassNames, keep: int) -> Found:
        found = Found(labels={column: set(labels) for column, labels in names.items()})
        with (
            self._explained(path) as uri,
            self.root.filesystem.open(self.root.within(path), "rb", cache_type="none") as handle,
        ):
            footer = ROWS.footer(uri, self.root, self.files[path])
            table = pq.ParquetFile(handle, metadata=footer, pre_buffer=True)
            for first, batch in _batches(table, self.columns):
                columns = {column: _labels(batch[column], names.get(column)) for column in self.columns}
                found.add(self._rank(path, first, columns), keep)
        return found

    @contextmanager
    def _explained(self, path: str) -> Iterator[str]:
        """A file's URI, for a block whose errors are told of it."""
        uri = f"{self.folder_uri}/{path}"
        try:
            yield uri
        except pa.ArrowInvalid as error:
            raise RequestError(f"{uri} is no Parquet file, or a damaged one: remove or replace it.") from error
        except storage_errors(self.root.filesystem) as error:
            raise RequestError(f"{uri} of the table {self.uri} cannot be read: check it.") from error

    @property
    def columns(self) -> list[str]:
        """The columns that decide which pictures belong to which class."""
        return [self.settings.by, *self.settings.where]

    def _check_columns(self, schema: pa.Schema, uri: str) -> None:
        find_image_column(schema, self.settings.image, uri)
        usable = [one.name for one in schema if _is_labels(one.type)]
        hint = f"choose among {', '.join(usable)}" if usable else "it has no columns of classes"
        for column in self.columns:
            if column not in schema.names:
                raise RequestError(f"{uri} has no column {column!r}: {hint}.")
            if column not in usable:
                kind = str(schema.field(column).type)
                raise RequestError(f"{uri} has {kind[:60]} in the column {column!r}, and no classes: {hint}.")

    def _names_beside(self, column: str, columns: Collection[str]) -> list[str] | None:
        return names_beside(self.root.filesystem, self.root.path, column, columns)

    def _rank(self, path: str, first: int, columns: Mapping[str, _Labels]) -> Found:
        """Count a batch's rows by class, and give each its place in the draw."""
        by = columns[self.settings.by]
        wanted_N = np.ones(len(by.codes_N), bool)
        for column, values in self.settings.where.items():
            wanted_N &= columns[column].are_among(values)
        found = Found(
            rows=len(by.codes_N),
            labels={column: set(one.names) for column, one in columns.items()},
            unlabelled=int((wanted_N & (by.codes_N < 0)).sum()),
        )
        wanted_N &= by.codes_N >= 0 if self.settings.classes is None else by.are_among(self.settings.classes)
        for row in np.flatnonzero(wanted_N).tolist():
            name = by.names[by.codes_N[row]]
            found.counts[name] += 1
            found.ranked.setdefault(name, []).append(_draw(self.settings.seed, path, first + row))
        return found


@dataclass(frozen=True)
class _Labels:
    """Labels of a batch's rows: indices into `names`, -1 where there is none."""

    codes_N: NDArray[np.int64]
    names: Sequence[str]

    def are_among(self, wanted: Sequence[str]) -> NDArray[np.bool_]:
        codes = [code for code, name in enumerate(self.names) if name in set(wanted)]
        return np.isin(self.codes_N, np.array(codes, np.int64))


def _draw(seed: int, path: str, row: int) -> Ranked:
    """The place of a row in the draw: a function of what it is, whatever else there is and whoever reads it."""
    return hashlib.sha256(f"{seed}\n{path}\n{row}".encode()).digest()[:16], path, row


def _labels(column: pa.Array, names: Sequence[str] | None) -> _Labels:
    """Class numbers have their names; other values are their own, where they are neither -1 nor empty."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if names is not None:
        codes_N = column.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        return _Labels(np.where((codes_N < 0) | (codes_N >= len(names)), -1, codes_N), names)
    nothing = -1 if pa.types.is_integer(column.type) else ""
    encoded = pc.dictionary_encode(pc.if_else(pc.equal(column, nothing), None, column))
    codes_N = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return _Labels(codes_N, [str(value) for value in encoded.dictionary.to_pylist()])


def _is_bare(column: str, schemas: Mapping[str, pa.Schema], names: Mapping[str, ClassNames]) -> bool:
    return any(is_number(schema.field(column).type) and column not in names[path] for path, schema in schemas.items())


def _is_labels(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_number(value) or pa.types.is_string(value) or pa.types.is_large_string(value)


def _batches(table: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The first row of each batch, and its columns."""
    first = 0
    for batch in table.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        yield first, {name: batch.column(name) for name in columns}
        first += len(batch)
