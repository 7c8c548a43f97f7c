"""Planned pieces by the million: written and read a row group at a time, in a file on local disk.

The same pieces give the same bytes, however they come. A plan is published as these bytes, and read back into such a
file, so that no process ever holds more than a few row groups of it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.base import Piece

PIECE_FIELDS = [
    ("path", pa.string()),
    ("version", pa.string()),
    ("bytes", pa.int64()),
    ("modified", pa.int64()),
    ("first_row", pa.int64()),
    ("rows", pa.int64()),
]
PIECE_SCHEMA = pa.schema(PIECE_FIELDS)
PIECES_SCHEMA = pa.schema([*PIECE_FIELDS, ("shard", pa.int32()), ("group", pa.int32())])
GROUP_ROWS = 2**16


@dataclass(frozen=True, slots=True)
class PlannedPiece:
    """A piece, the shard that it lies in and the group of styles that it wants."""

    piece: Piece
    shard: int
    group: int


class LocalFile:
    """A temporary file that goes when nobody holds it any more."""

    def __init__(self) -> None:
        place, self.path = tempfile.mkstemp(prefix="atelier-pieces-")
        os.close(place)
        weakref.finalize(self, os.unlink, self.path)


class PlannedPieces(Sequence[PlannedPiece]):
    """Planned pieces in shard order, in a file; each reading of them is a pass over it."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._metadata = pq.read_metadata(file.path)
        sizes = [self._metadata.row_group(number).num_rows for number in range(self._metadata.num_row_groups)]
        self._starts = [0, *accumulate(sizes)]
        self._last: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        return int(self._metadata.num_rows)

    def __iter__(self) -> Iterator[PlannedPiece]:
        for batch in self.batches():
            yield from to_planned(batch)

    @overload
    def __getitem__(self, place: int) -> PlannedPiece: ...

    @overload
    def __getitem__(self, place: slice) -> list[PlannedPiece]: ...

    def __getitem__(self, place: int | slice) -> PlannedPiece | list[PlannedPiece]:
        if isinstance(place, slice):
            return self._take(range(*place.indices(len(self))))
        return self._take([range(len(self))[place]])[0]

    def batches(self) -> Iterator[pa.Table]:
        """Row groups, one after another."""
        with pq.ParquetFile(self._file.path) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=PIECES_SCHEMA.names, use_threads=False)

    def runs(self) -> Iterator[tuple[int, list[PlannedPiece]]]:
        """Each shard with its pieces, one after another."""
        for shard, pieces in groupby(self, key=lambda planned: planned.shard):
            yield shard, list(pieces)

    def tally(self) -> Tally:
        """How much each shard and each group holds."""
        contents: Counter[int] = Counter()
        groups: dict[int, int] = {}
        for batch in self.batches():
            shards = batch["shard"].to_numpy()
            held = np.maximum(1, batch["rows"].to_numpy())
            first, starts = np.unique(shards, return_index=True)
            contents.update(dict(zip(first.tolist(), np.add.reduceat(held, starts).tolist(), strict=True)))
            groups.update(zip(first.tolist(), batch["group"].to_numpy()[starts].tolist(), strict=True))
        return Tally(contents, groups)

    def digest(self) -> str:
        """SHA-256 of the file."""
        with open(self._file.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def data(self) -> bytes:
        """The file."""
        with open(self._file.path, "rb") as file:
            return file.read()

    def _take(self, places: Sequence[int]) -> list[PlannedPiece]:
        found: dict[int, PlannedPiece] = {}
        for number, some in groupby(sorted(places), key=lambda place: bisect_right(self._starts, place) - 1):
            inside = list(some)
            taken = self._row_group(number).take([place - self._starts[number] for place in inside])
            found |= zip(inside, to_planned(taken), strict=True)
        return [found[place] for place in places]

    def _row_group(self, number: int) -> pa.Table:
        """A row group; the last one stays, for whoever goes from shard to shard."""
        last = self._last
        if last is None or last[0] != number:
            with pq.ParquetFile(self._file.path) as file:
                last = number, file.read_row_group(number, columns=PIECES_SCHEMA.names, use_threads=False)
            self._last = last
        return last[1]


class PiecesByShard(Mapping[int, list[PlannedPiece]]):
    """Pieces of each shard, read where they are asked for: what stays in memory is where they lie."""

    def __init__(self, pieces: PlannedPieces) -> None:
        self._pieces = pieces
        self._places: dict[int, slice] = {}
        start = 0
        for batch in pieces.batches():
            shards, firsts, counts = np.unique(batch["shard"].to_numpy(), return_index=True, return_counts=True)
            for shard, first, count in zip(shards.tolist(), firsts.tolist(), counts.tolist(), strict=True):
                begun = self._places[shard].start if shard in self._places else start + first
                self._places[shard] = slice(begun, start + first + count)
            start += len(batch)

    def __getitem__(self, shard: int) -> list[PlannedPiece]:
        return self._pieces[self._places[shard]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@dataclass(frozen=True)
class Tally:
    """Contents of each shard, and its group."""

    contents: Counter[int]
    groups: dict[int, int]

    def by_group(self) -> Counter[int]:
        """Contents of each group."""
        found: Counter[int] = Counter()
        for shard, count in self.contents.items():
            found[self.groups[shard]] += count
        return found


class PieceWriter:
    """Writes planned pieces in row groups of one size."""

    def __init__(self) -> None:
        self._file = LocalFile()
        self._writer = pq.ParquetWriter(self._file.path, PIECES_SCHEMA, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, pieces: pa.Table, shards: Any, group: int) -> None:
        """Add pieces (columns of `PIECE_SCHEMA`) with the shard of each, all of one group."""
        groups = np.full(len(pieces), group, np.int32)
        table = pa.Table.from_arrays(
            [*pieces.columns, pa.array(shards, pa.int32()), pa.array(groups)], PIECES_SCHEMA.names
        )
        self._add(table)

    def add_planned(self, planned: Sequence[PlannedPiece]) -> None:
        """Add pieces one by one."""
        table = to_table([one.piece for one in planned])
        numbers = [pa.array([getattr(one, name) for one in planned], pa.int32()) for name in ("shard", "group")]
        self._add(pa.Table.from_arrays([*table.columns, *numbers], PIECES_SCHEMA.names))

    def close(self) -> PlannedPieces:
        """What was written."""
        self._write(self._rows)
        self._writer.close()
        return PlannedPieces(self._file)

    def _add(self, table: pa.Table) -> None:
        self._waiting.append(table.cast(PIECES_SCHEMA))
        self._rows += len(table)
        if self._rows >= GROUP_ROWS:
            self._write(self._rows - self._rows % GROUP_ROWS)

    def _write(self, rows: int) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        if rows:
            # One chunk a row group: the bytes of a page must not depend on how pieces came.
            for start in range(0, rows, GROUP_ROWS):
                group = table.slice(start, min(GROUP_ROWS, rows - start)).combine_chunks()
                self._writer.write_table(group, row_group_size=GROUP_ROWS)
        self._waiting, self._rows = [table.slice(rows)], len(table) - rows


def hold_pieces(planned: Iterable[PlannedPiece]) -> PlannedPieces:
    """Planned pieces in a file, if they are not in one."""
    if isinstance(planned, PlannedPieces):
        return planned
    writer = PieceWriter()
    writer.add_planned(list(planned))
    return writer.close()


def to_table(pieces: Sequence[Piece]) -> pa.Table:
    """Pieces as columns."""
    columns = [pa.array([getattr(piece, name) for piece in pieces], kind) for name, kind in PIECE_FIELDS]
    return pa.Table.from_arrays(columns, schema=PIECE_SCHEMA)


def to_pieces(table: pa.Table | pa.RecordBatch) -> Iterator[Piece]:
    """Columns as pieces."""
    return map(Piece, *(table[name].to_pylist() for name in PIECE_SCHEMA.names))


def to_planned(table: pa.Table) -> Iterator[PlannedPiece]:
    """Columns as planned pieces."""
    return map(PlannedPiece, to_pieces(table), table["shard"].to_pylist(), table["group"].to_pylist())
