"""Who owns what: the pairs that earlier plans hold, and what of the wanted ones is left."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from tasks.corpus.base import Piece
from tasks.records import RequestError


@dataclass(frozen=True, slots=True)
class Want:
    """A piece and the styles (bits of a mask over a list of styles) that it still wants."""

    piece: Piece
    styles: int


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


@dataclass
class Ownership:
    """Which rows of which file are owned, by version and style; styles are bits, numbered as they come.

    `known` holds a piece of each owned file, with the file's newest version, size and time.
    """

    bits: dict[str, int] = field(default_factory=dict)
    known: dict[str, Piece] = field(default_factory=dict)
    spans: dict[str, _Spans] = field(default_factory=dict)

    def mask(self, digests: Iterable[str]) -> int:
        """Bit mask of style digests."""
        return _union(1 << self.bits.setdefault(digest, len(self.bits)) for digest in digests)

    def add(self, piece: Piece, mask: int) -> None:
        """Own a piece for the styles of a mask."""
        self.known[piece.path] = piece
        spans = self.spans.get(piece.path)
        if spans is None:
            self.spans[piece.path] = _Spans(*span(piece), piece.version, mask)
            return
        for want in self.missing(piece, mask, any_version=False):
            spans.insert(*span(want.piece), piece.version, want.styles)

    def missing(self, piece: Piece, mask: int, any_version: bool) -> list[Want]:
        """The parts of a piece, with their styles, that nobody owns yet."""
        spans = self.spans.get(piece.path)
        if spans is None:
            return [Want(piece, mask)]
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

    def changed(self, piece: Piece) -> bool:
        """Whether the piece's file is owned, but not in this version."""
        spans = self.spans.get(piece.path)
        return spans is not None and piece.version not in spans.versions


def subtract(pieces: Iterable[Piece], mask: int, owned: Ownership, on_change: str) -> list[Want]:
    """Wanted minus owned. Raises RequestError at a changed content where the corpus says `on_change: error`."""
    wants: list[Want] = []
    for piece in pieces:
        if on_change == "error" and owned.changed(piece):
            raise RequestError(
                f"{piece.path} has changed since it was stylized: set `corpus: {{on_change: version}}` to stylize "
                "the new version too, or `keep` to leave the old one."
            )
        wants.extend(owned.missing(piece, mask, any_version=on_change == "keep"))
    return wants


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
