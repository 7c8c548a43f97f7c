"""Contents of a shard: fetched and decoded ahead on threads, and put into batches of equal padded size."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

from tasks.actors.orders import ShardOrder
from tasks.corpus.base import Corpus, Entry, Piece
from tasks.images.decoding import Picture, read_picture
from tasks.images.padding import padded_side
from tasks.records import ImageError

# Decoded pictures that may wait for others of their size before a batch goes out unfilled.
WAITING_PICTURES = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ShardContent:
    """One content of a shard: its place, its entry, and its picture or why there is none."""

    place: int
    entry: Entry
    outcome: Picture | ImageError
    stage: str
    read_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def picture(self) -> Picture:
        """The picture; ask only where there is one."""
        assert isinstance(self.outcome, Picture)
        return self.outcome


def read_contents(corpus: Corpus, order: ShardOrder, pool: Executor, depth: int) -> Iterator[ShardContent]:
    """Contents in the corpus's order, each read and decoded on a thread; at most `depth` ahead of the caller.

    Excluded contents come as errors: they killed an actor twice.
    """

    def read(piece: Piece) -> tuple[list[Entry], float]:
        started = time.perf_counter()
        return list(corpus.read(piece)), time.perf_counter() - started

    def decode(item: tuple[int, Entry, float]) -> ShardContent:
        return _decode(*item, order)

    # A piece of a table holds many pictures: reading few of them ahead keeps memory flat.
    pieces_ahead = depth if all(piece.rows == 0 for piece in order.pieces) else 2
    entries = _flatten(_ahead(pool, read, order.pieces, pieces_ahead))
    return _ahead(pool, decode, ((place, *entry) for place, entry in enumerate(entries)), depth)


def batch_contents(contents: Iterable[ShardContent], stride: int, limit_pixels: int) -> Iterator[list[ShardContent]]:
    """Batches of equal padded size, at most `limit_pixels` unless one picture alone is larger."""
    waiting: dict[tuple[int, int], list[ShardContent]] = {}
    for content in contents:
        size = padded_size(content, stride)
        batch = waiting.setdefault(size, [])
        batch.append(content)
        if (len(batch) + 1) * size[0] * size[1] > limit_pixels:
            yield waiting.pop(size)
        elif sum(map(len, waiting.values())) >= WAITING_PICTURES:
            yield waiting.pop(max(waiting, key=lambda key: len(waiting[key])))
    yield from waiting.values()


def padded_size(content: ShardContent, stride: int) -> tuple[int, int]:
    """(height, width) of a content after padding."""
    height, width = content.picture.pixels_HWC.shape[:2]
    return padded_side(height, stride), padded_side(width, stride)


def _decode(place: int, entry: Entry, read_seconds: float, order: ShardOrder) -> ShardContent:
    if entry.content_id in order.excluded:
        error = ImageError("process_died", "The process that worked on this image died twice.")
        return ShardContent(place, entry, error, "process", read_seconds)
    if entry.error is not None or entry.data is None:
        error = entry.error or ImageError("missing", "The image is missing.")
        return ShardContent(place, entry, error, "read", read_seconds)
    started = time.perf_counter()
    outcome: Picture | ImageError
    try:
        outcome = read_picture(entry.data, order.images)
    except ImageError as error:
        outcome = error
    return ShardContent(place, entry, outcome, "decode", read_seconds, time.perf_counter() - started)


def _flatten(pieces: Iterable[tuple[list[Entry], float]]) -> Iterator[tuple[Entry, float]]:
    for entries, seconds in pieces:
        for entry in entries:
            yield entry, seconds / len(entries)


def _ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], depth: int) -> Iterator[Result]:
    """Results in order, with at most `depth` calls running ahead of the caller."""
    queue: deque[Future[Result]] = deque()
    for item in items:
        queue.append(pool.submit(function, item))
        if len(queue) > depth:
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()
