"""Shards: what is wanted, cut into slices small enough to lose and large enough to be worth a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.corpus.base import Piece
from tasks.ownership import Want, part, span
from tasks.styles import PlannedStyle

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


@dataclass(frozen=True, slots=True)
class PlannedPiece:
    """A piece, the shard that it lies in and the group of styles that it wants."""

    piece: Piece
    shard: int
    group: int


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
    wants: Sequence[Want], styles: Sequence[PlannedStyle], mask: Mapping[str, int], size: ShardSize
) -> tuple[tuple[Group, ...], list[PlannedPiece]]:
    """Cut wants into shards: each holds pieces that want the same styles of one wave."""
    buckets: dict[tuple[str, tuple[int, ...]], list[Piece]] = {}
    split = _split_styles(styles, mask, size.styles)
    for want in wants:
        for key in split(want.styles):
            buckets.setdefault(key, []).append(want.piece)
    groups: list[Group] = []
    planned: list[PlannedPiece] = []
    shard = 0
    for (wave, wanted), pieces in buckets.items():
        limit = size.contents(len(wanted), sum(piece.contents for piece in pieces))
        for slice_ in _slices(pieces, limit):
            planned += [PlannedPiece(piece, shard, len(groups)) for piece in slice_]
            shard += 1
        groups.append(Group(wave=wave, styles=wanted))
    return tuple(groups), planned


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


def by_shard(planned: Iterable[PlannedPiece]) -> dict[int, list[PlannedPiece]]:
    """Planned pieces by their shard."""
    shards: dict[int, list[PlannedPiece]] = {}
    for piece in planned:
        shards.setdefault(piece.shard, []).append(piece)
    return shards


def _slices(pieces: Sequence[Piece], limit: int) -> Iterator[list[Piece]]:
    """Runs of pieces of at most `limit` contents; a piece of a table is cut where it crosses the limit."""
    run: list[Piece] = []
    room = limit
    for piece in pieces:
        start, stop = span(piece)
        while start < stop:
            end = min(stop, start + room)
            run.append(part(piece, start, end))
            room -= end - start
            start = end
            if not room:
                yield run
                run, room = [], limit
    if run:
        yield run
