"""Tombstones of takedowns: contents and styles that may not come back, by digests of what they are called."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from tasks.corpus.base import Piece
from tasks.ownership import part
from tasks.storage import Folder
from tasks.styles import PlannedStyle

FOLDER = "forgotten"
# Of a pair: content id, content version, style digest.
PairKey = tuple[str, str, str]
NAME = re.compile(r"forgotten/(content|style)-([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Forgotten:
    """What was taken down: digests of content ids and of style digests. Empty, it is false."""

    contents: frozenset[str] = frozenset()
    styles: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.contents or self.styles)

    def __or__(self, other: Forgotten) -> Forgotten:
        return Forgotten(self.contents | other.contents, self.styles | other.styles)

    def has_content(self, content_id: str) -> bool:
        """Whether a content was taken down, in whatever version."""
        return bool(self.contents) and digest_name(content_id) in self.contents

    def has_style(self, style_digest: str) -> bool:
        """Whether a style was taken down."""
        return bool(self.styles) and digest_name(style_digest) in self.styles

    def of(self, pairs: Collection[PairKey]) -> set[PairKey]:
        """Those pairs that were taken down."""
        contents = {one for one in {content_id for content_id, _, _ in pairs} if self.has_content(one)}
        styles = {one for one in {digest for _, _, digest in pairs} if self.has_style(one)}
        return {pair for pair in pairs if pair[0] in contents or pair[2] in styles} if contents or styles else set()

    def rows(self, table: pa.Table) -> pa.BooleanArray:
        """Which rows of records or failures are of a pair that was taken down."""
        columns = [table["content_id"].to_pylist(), table["style_digest"].to_pylist()]
        contents = {one for one in set(columns[0]) if self.has_content(one)}
        styles = {one for one in set(columns[1]) if self.has_style(one)}
        return pa.array([c in contents or s in styles for c, s in zip(*columns, strict=True)], pa.bool_())

    def count(self, table: pa.Table) -> int:
        """How many rows of records or failures are of such pairs."""
        return pc.sum(self.rows(table)).as_py() or 0

    def keep_styles(self, styles: Iterable[PlannedStyle]) -> tuple[PlannedStyle, ...]:
        """The styles that were not taken down."""
        return tuple(style for style in styles if not self.has_style(style.digest))

    def keep_pieces(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Pieces without the contents that were taken down; a piece of a table is cut around its rows."""
        for piece in pieces:
            yield from self._parts(piece) if self.contents else (piece,)

    def _parts(self, piece: Piece) -> Iterator[Piece]:
        rows = enumerate(piece.content_ids(), piece.first_row)
        for gone, run in groupby(rows, lambda row: self.has_content(row[1])):
            numbers = [number for number, _ in run]
            if not gone:
                yield part(piece, numbers[0], numbers[-1] + 1) if piece.rows else piece


def read_forgotten(folder: Folder) -> Forgotten:
    """Every takedown of a dataset, by the names of its tombstones alone."""
    found = [match.groups() for match in map(NAME.fullmatch, folder.list(FOLDER)) if match]
    contents, styles = (frozenset(d for kind, d in found if kind == wanted) for wanted in ("content", "style"))
    return Forgotten(contents, styles)


def mark_forgotten(folder: Folder, forgotten: Forgotten) -> None:
    """Leave a tombstone for each; one that is there stays. Nothing in it says what was taken down."""
    data = json.dumps({"forgotten": datetime.now(UTC).isoformat(timespec="seconds")}).encode()
    for kind, digests in (("content", forgotten.contents), ("style", forgotten.styles)):
        for digest in sorted(digests):
            folder.publish(f"{FOLDER}/{kind}-{digest}.json", data)


def digest_name(name: str) -> str:
    """What a tombstone keeps of a content id or a style digest."""
    return hashlib.sha256(name.encode()).hexdigest()
