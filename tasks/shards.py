"""Shards: what is wanted, cut into slices small enough to lose and large enough to be worth a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tasks.corpus.base import Piece
from tasks.ownership import part, span
from tasks.planned import PiecesByShard, PieceWriter, PlannedPiece, PlannedPieces, hold_pieces, to_pieces, to_table
from tasks.styles import PlannedStyle
from tasks.wants import Spool, Want, Wants

# A shard is the unit of retry and of commit.
SHARD_IMAGES = 256
SHARD_BYTES = 256 * 2**20
SHARD_SECONDS = 120.0
# Enough shards that the last ones do not leave actors idle for long.
SHARDS_PER_ACTOR = 4


class Group(BaseModel):
    """Styles that the same pieces still want; all of one wave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wave: str
    styles: tuple[int, ...]


@dataclass(frozen=True)
class ShardSize:
    """Bounds of a shard. `pair_seconds` is what one output takes on one actor, roughly."""

    images: int | Literal["auto"] = "auto"
    pair_seconds: float = 0.1
    pair_bytes: int = 2**18
    actors: int = 1

    def contents(self, styles: int, total: int) -> int:
        """Contents in a shard for a number of styles and a total of contents."""
        if self.images != "auto":
            return self.images
        by_time = SHARD_SECONDS / (self.pair_seconds * styles)
        by_bytes = SHARD_BYTES / (self.pair_bytes * styles)
        by_balance = -(-total // (SHARDS_PER_ACTOR * self.actors))
        return max(1, int(min(by_time, by_bytes, by_balance, SHARD_IMAGES)))

    @property
    def styles(self) -> int:
        """Styles in a shard at most: one content in a large bank of styles is more than a shard."""
        return max(1, int(min(SHARD_SECONDS / self.pair_seconds, SHARD_BYTES / self.pair_bytes)))


def cut(
    wants: Wants | Iterable[Want], styles: Sequence[PlannedStyle], mask: Mapping[str, int], size: ShardSize
) -> tuple[tuple[Group, ...], PlannedPieces]:
    """Cut wants into shards: each holds pieces that want the same styles of one wave."""
    held = wants if isinstance(wants, Wants) else Wants(wants)
    buckets: dict[tuple[str, tuple[int, ...]], list[Spool]] = {}
    split = _split_styles(styles, mask, size.styles)
    for wanted, spool in held.spools.items():
        for key in split(wanted):
            buckets.setdefault(key, []).append(spool)
    writer, shard = PieceWriter(), 0
    for group, ((_, chosen), spools) in enumerate(buckets.items()):
        cutter = _Cutter(shard, size.contents(len(chosen), sum(spool.contents for spool in spools)))
        for table in (table for spool in spools for table in spool.tables()):
            writer.add(*cutter.cut(table), group)
        shard = cutter.end()
    return tuple(Group(wave=wave, styles=chosen) for wave, chosen in buckets), writer.close()


class _Cutter:
    """Numbers shards of at most `limit` contents; a piece of a table is cut where it crosses the limit."""

    def __init__(self, shard: int, limit: int) -> None:
        self._shard, self._limit, self._room = shard, limit, limit

    def cut(self, pieces: pa.Table) -> tuple[pa.Table, Sequence[int] | NDArray[np.int64]]:
        """Pieces, cut where they must be, with the shard of each."""
        if not pc.any(pc.greater(pieces["rows"], 0)).as_py():
            return pieces, self._take(np.ones(len(pieces), np.int64))
        parts: list[Piece] = []
        shards: list[int] = []
        for piece in to_pieces(pieces):
            start, stop = span(piece)
            while start < stop:
                end = min(stop, start + self._room)
                parts.append(part(piece, start, end))
                shards += self._take(np.array([end - start])).tolist()
                start = end
        return to_table(parts), shards

    def end(self) -> int:
        """The number of the next shard; no piece comes into the last one any more."""
        return self._shard + (self._room < self._limit)

    def _take(self, contents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Shards of pieces that are no larger than the room that is left, or of one content each."""
        after = self._limit - self._room + np.cumsum(contents)
        shards = self._shard + (after - 1) // self._limit
        full, rest = divmod(int(after[-1]), self._limit)
        self._shard, self._room = self._shard + full, self._limit - rest
        return np.asarray(shards, np.int64)


def _split_styles(
    styles: Sequence[PlannedStyle], mask: Mapping[str, int], limit: int
) -> Callable[[int], list[tuple[str, tuple[int, ...]]]]:
    """From the styles that a piece wants, as bits, to runs of at most `limit` of one wave.

    Few different sets are wanted, each by many pieces: a set is split once.
    """
    members: dict[str, list[int]] = {}
    for index, style in enumerate(styles):
        members.setdefault(style.wave, []).append(index)

    @cache
    def split(wanted: int) -> list[tuple[str, tuple[int, ...]]]:
        runs: list[tuple[str, tuple[int, ...]]] = []
        for wave, indices in members.items():
            chosen = [index for index in indices if wanted >> mask[styles[index].digest] & 1]
            runs += [(wave, tuple(chosen[start : start + limit])) for start in range(0, len(chosen), limit)]
        return runs

    return split


def by_shard(planned: Iterable[PlannedPiece]) -> PiecesByShard:
    """Planned pieces, which come in shard order, by their shard."""
    return PiecesByShard(hold_pieces(planned))
