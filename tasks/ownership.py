"""Who owns what: the pairs that earlier plans hold, and what of the wanted ones is left."""

from __future__ import annotations

import weakref
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import pyarrow as pa
import pyarrow.compute as pc

from tasks.corpus.base import Piece
from tasks.owned_contents import OwnedContents
from tasks.planned import to_planned
from tasks.records import RequestError
from tasks.wants import Want

AT_ONCE = 1024  # pieces that are looked up together


class _Spans:
    """Owned rows of one file: (first, stop, version, styles), sorted; no row is owned twice in one style."""

    __slots__ = ("entries", "longest", "versions")

    def __init__(self, first: int, stop: int, version: str, mask: int) -> None:
        self.entries = [(first, stop, version, mask)]
        self.longest = stop - first
        self.versions: tuple[str, ...] = (version,)

    def insert(self, first: int, stop: int, version: str, mask: int) -> None:
        if self.entries[-1][1:] == (first, version, mask):
            first = self.entries.pop()[0]
        insort(self.entries, (first, stop, version, mask))
        self.longest = max(self.longest, stop - first)
        if version not in self.versions:
            self.versions = (*self.versions, version)

    def overlapping(self, first: int, stop: int) -> list[tuple[int, int, str, int]]:
        low = bisect_left(self.entries, (first - self.longest,))
        high = bisect_left(self.entries, (stop,), low)
        return [entry for entry in self.entries[low:high] if entry[1] > first]


class Ownership:
    """Which contents are owned, and which rows of which table, by version and style.

    Styles are bits, numbered as they come, in `bits`. `known` gives a piece of each owned file, with the file's newest
    version, size and time. Rows of tables are held as spans; single contents, of which there may be millions, in a
    temporary database that keeps little in memory.
    """

    def __init__(self) -> None:
        self.bits: dict[str, int] = {}
        self.spans: dict[str, _Spans] = {}
        self.known = _Known(self)
        self.singles = OwnedContents()
        self.tables: dict[str, Piece] = {}

    def mask(self, digests: Iterable[str]) -> int:
        """Bit mask of style digests."""
        return _union(1 << self.bits.setdefault(digest, len(self.bits)) for digest in digests)

    def add(self, piece: Piece, mask: int) -> None:
        """Own a piece for the styles of a mask."""
        if not piece.rows:
            self.singles.add(piece, mask)
            return
        self.tables[piece.path] = piece
        spans = self.spans.get(piece.path)
        if spans is None:
            self.spans[piece.path] = _Spans(*span(piece), piece.version, mask)
            return
        for want in self.missing(piece, mask, any_version=False):
            spans.insert(*span(want.piece), piece.version, want.styles)

    def add_table(self, planned: pa.Table, masks: Sequence[int]) -> None:
        """Own planned pieces, given as columns; `masks` are those of the plan's groups."""
        if not pc.any(pc.greater(planned["rows"], 0)).as_py():
            self.singles.add_table(planned, masks)
            return
        for one in to_planned(planned):
            self.add(one.piece, masks[one.group])

    def look_ahead(self, pieces: Iterable[Piece]) -> None:
        """Have the contents that are asked about next at hand."""
        self.singles.look_ahead([piece.path for piece in pieces if not piece.rows])

    def is_new(self, piece: Piece) -> bool:
        """Whether nothing of the piece's file is owned."""
        return not (piece.path in self.spans if piece.rows else self.singles.find(piece.path))

    def missing(self, piece: Piece, mask: int, any_version: bool) -> list[Want]:
        """The parts of a piece, with their styles, that nobody owns yet."""
        if not piece.rows:
            left = mask
            for version, styles, *_ in self.singles.find(piece.path):
                if any_version or version == piece.version:
                    left &= ~styles
            return [Want(piece, left)] if left else []
        spans = self.spans.get(piece.path)
        return [Want(piece, mask)] if spans is None else _missing_rows(spans, piece, mask, any_version)

    def changed(self, piece: Piece) -> bool:
        """Whether the piece's file is owned, but not in this version."""
        if not piece.rows:
            owned = self.singles.find(piece.path)
            return bool(owned) and all(version != piece.version for version, *_ in owned)
        spans = self.spans.get(piece.path)
        return spans is not None and piece.version not in spans.versions


class _Known:
    """The newest piece of each owned file."""

    def __init__(self, owned: Ownership) -> None:
        self._owned = weakref.proxy(owned)

    def get(self, path: str) -> Piece | None:
        """A piece of the file at a path."""
        table: Piece | None = self._owned.tables.get(path)
        return table or self._owned.singles.newest(path)


def _missing_rows(spans: _Spans, piece: Piece, mask: int, any_version: bool) -> list[Want]:
    first, stop = span(piece)
    near = spans.overlapping(first, stop)
    owned = [entry for entry in near if any_version or entry[2] == piece.version]
    if not owned:
        return [Want(piece, mask)]
    edges = sorted({first, stop} | {edge for entry in owned for edge in entry[:2] if first < edge < stop})
    parts: list[tuple[int, int, int]] = []
    for start, end in pairwise(edges):
        left = mask & ~_union(m for a, b, _, m in owned if a <= start and end <= b)
        if parts and parts[-1][1:] == (start, left):
            start = parts.pop()[0]
        parts.append((start, end, left))
    return [Want(part(piece, start, end), left) for start, end, left in parts if left]


def subtract(pieces: Iterable[Piece], mask: int, owned: Ownership, on_change: str) -> Iterator[Want]:
    """Wanted minus owned. Raises RequestError at a changed content where the corpus says `on_change: error`."""
    left = iter(pieces)
    while some := list(islice(left, AT_ONCE)):
        owned.look_ahead(some)
        for piece in some:
            if owned.is_new(piece):
                yield Want(piece, mask)
                continue
            if on_change == "error" and owned.changed(piece):
                raise RequestError(
                    f"{piece.path} has changed since it was stylized: set `corpus: {{on_change: version}}` to stylize "
                    "the new version too, or `keep` to leave the old one."
                )
            yield from owned.missing(piece, mask, any_version=on_change == "keep")


def span(piece: Piece) -> tuple[int, int]:
    """First row of a piece and the row after its last; (0, 1) for one content, wherever it lies in a file."""
    return (piece.first_row, piece.first_row + piece.rows) if piece.rows else (0, 1)


def part(piece: Piece, start: int, end: int) -> Piece:
    """Some rows of a piece."""
    if not piece.rows or (start, end) == span(piece):
        return piece
    return Piece(piece.path, piece.version, piece.bytes, piece.modified, start, end - start)


def _union(masks: Iterable[int]) -> int:
    total = 0
    for mask in masks:
        total |= mask
    return total
