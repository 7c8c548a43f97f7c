"""What is still wanted, by the million: pieces spooled to local disk, by the styles that they want."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from tasks.corpus.base import Piece
from tasks.planned import PIECE_SCHEMA, LocalFile, to_pieces, to_table

SPOOL_ROWS = 2**14


@dataclass(frozen=True, slots=True)
class Want:
    """A piece and the styles (bits of a mask over a list of styles) that it still wants."""

    piece: Piece
    styles: int


class Spool:
    """Pieces in the order in which they come; few are held, the rest is in a file."""

    def __init__(self) -> None:
        self.contents = self.pieces = 0
        self._held: list[Piece] = []
        self._file: LocalFile | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def append(self, piece: Piece) -> None:
        """Add a piece."""
        self._held.append(piece)
        self.contents += piece.rows or 1
        self.pieces += 1
        if len(self._held) >= SPOOL_ROWS:
            self._flush()

    def tables(self) -> Iterator[pa.Table]:
        """All pieces as columns, some at a time. Nothing may be added after."""
        if self._file is not None:
            self._close()
            with pa.OSFile(self._file.path) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    yield pa.Table.from_batches([batch])
        if self._held:
            yield to_table(self._held)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if self._writer is None:
            self._file = LocalFile()
            self._writer = pa.ipc.new_stream(self._file.path, PIECE_SCHEMA)
        self._writer.write_table(to_table(self._held))
        self._held = []


class Wants:
    """Pieces by the styles that they want, each kind in its order."""

    def __init__(self, wants: Iterable[Want] = ()) -> None:
        self.spools: dict[int, Spool] = {}
        for want in wants:
            self.add(want)

    def add(self, want: Want) -> None:
        """Add one; none may be added once they were read."""
        spool = self.spools.get(want.styles)
        if spool is None:
            spool = self.spools[want.styles] = Spool()
        spool.append(want.piece)

    def __iter__(self) -> Iterator[Want]:
        for styles, spool in self.spools.items():
            for table in spool.tables():
                yield from (Want(piece, styles) for piece in to_pieces(table))

    @property
    def pairs(self) -> int:
        """Pairs that are wanted."""
        return sum(spool.contents * styles.bit_count() for styles, spool in self.spools.items())

    def __bool__(self) -> bool:
        return bool(self.spools)

    def choose(self, styles: int, count: int) -> list[Piece]:
        """At most `count` pieces that want any of some styles, spread over all that do."""
        spools = [spool for wanted, spool in self.spools.items() if wanted & styles]
        step = sum(spool.pieces for spool in spools) // count + 1
        chosen: list[Piece] = []
        skip = 0
        for table in (table for spool in spools for table in spool.tables()):
            chosen += to_pieces(table.take(pa.array(range(skip, len(table), step), pa.int64())))
            skip = (skip - len(table)) % step
        return chosen
