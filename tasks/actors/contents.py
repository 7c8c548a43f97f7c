"""Contents of a shard: fetched and decoded ahead on threads, and put into batches of equal padded size."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tasks.actors.orders import ShardOrder
from tasks.actors.regions import Maps, RegionMap, read_maps
from tasks.corpus.base import Corpus, Entry, Piece
from tasks.corpus.labels import move_labels
from tasks.corpus.masks import ReadMask, open_masks
from tasks.images.decoding import Picture, read_picture
from tasks.images.padding import padded_side
from tasks.images.placement import place
from tasks.records import ImageError
from tasks.regions.settings import RegionSettings

# Encoded pictures read ahead; decoded pictures, finished or on their way; decoded pictures that wait for others
# of their size. Bytes, because pictures of 100 megapixels and of 100x100 pixels come through the same queues.
READ_BYTES = 2**28
DECODE_BYTES = 2**29
WAITING_BYTES = 2**28
# What a picture is expected to take once decoded; photographs take 2 bits a pixel as JPEG and 24 as RGB.
EXPANSION = 12
# Contents are announced so many at a time: a death is blamed on those announced and not finished.
ANNOUNCED = 16
# What became of the process that worked on a content, twice.
PROCESS_ERRORS = {
    "process_died": "The process that worked on this image died twice.",
    "process_hung": "The process that worked on this image stopped making progress twice, and was ended.",
}

Item = TypeVar("Item")
Result = TypeVar("Result")
Announce = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Prompt:
    """Words to make a picture of, and the size that it gets."""

    text: str
    width: int
    height: int


@dataclass(frozen=True)
class ShardContent:
    """One content of a shard: its place, its entry without the encoded bytes, its picture or prompt, or why none.

    `maps` are its own regions, for layouts of composite styles that differ from content to content; `labels` are the
    corpus's columns where boxes or masks among them were moved with the picture.
    """

    place: int
    entry: Entry
    outcome: Picture | Prompt | ImageError
    stage: str = "decode"
    source_bytes: int = 0
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    maps: Maps = field(default_factory=dict)
    labels: Mapping[str, Any] | None = None

    @property
    def columns(self) -> Mapping[str, Any]:
        """The corpus's own columns, with labels that lie on the picture brought along with it."""
        return self.entry.columns if self.labels is None else self.labels

    @property
    def picture(self) -> Picture:
        """The picture; ask only where there is one."""
        assert isinstance(self.outcome, Picture)
        return self.outcome

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what is made of the content; ask only where it can be made."""
        if isinstance(self.outcome, Prompt):
            return self.outcome.height, self.outcome.width
        height, width = self.picture.pixels_HWC.shape[:2]
        return height, width

    @property
    def pixel_bytes(self) -> int:
        """Memory that the decoded picture and its maps take."""
        maps = sum(found.levels_HW.nbytes for found in self.maps.values() if isinstance(found, RegionMap))
        return maps + (self.outcome.pixels_HWC.nbytes if isinstance(self.outcome, Picture) else 0)


@dataclass(frozen=True)
class _ReadEntry:
    place: int
    entry: Entry
    seconds: float

    @property
    def source_bytes(self) -> int:
        return len(self.entry.data or (self.entry.prompt or "").encode())


def read_contents(
    corpus: Corpus, order: ShardOrder, pool: Executor, depth: int, announce: Announce, patience: float | None = None
) -> Iterator[ShardContent]:
    """Contents in the corpus's order, each read and decoded on a thread; at most `depth` ahead of the caller.

    `announce` is called with the ids of contents before any of them is touched. Excluded contents come as
    errors: they took an actor down twice. Raises TimeoutError where a read takes more than `patience` seconds: a
    store that says nothing is no content's fault.
    """

    def read(piece: Piece) -> tuple[list[Entry], float]:
        started = time.perf_counter()
        return list(corpus.read(piece)), time.perf_counter() - started

    masks = _mask_readers(corpus, order)

    def decode(item: _ReadEntry) -> ShardContent:
        return _add_maps(_decode(item, order), order, masks)

    pieces = _announced(order.pieces, announce)
    # A piece of a table holds many pictures; its readers bound its bytes.
    pieces_ahead = depth if all(piece.rows == 0 for piece in order.pieces) else 2
    parts = _ahead(pool, read, pieces, pieces_ahead, READ_BYTES, _expected_bytes, _entry_bytes, patience)
    entries = (_ReadEntry(place, *entry) for place, entry in enumerate(_flatten(parts)))
    return _ahead(
        pool,
        decode,
        entries,
        depth,
        DECODE_BYTES,
        lambda item: EXPANSION * item.source_bytes,
        lambda content: content.pixel_bytes,
    )


def batch_contents(
    contents: Iterable[ShardContent], stride: int, limit_pixels: Callable[[], int]
) -> Iterator[list[ShardContent]]:
    """Batches of equal padded size, at most `limit_pixels` unless one picture alone is larger."""
    waiting: dict[tuple[int, int], list[ShardContent]] = {}
    for content in contents:
        size = padded_size(content, stride)
        batch = waiting.setdefault(size, [])
        batch.append(content)
        if (len(batch) + 1) * size[0] * size[1] > limit_pixels():
            yield waiting.pop(size)
        elif sum(map(_batch_bytes, waiting.values())) > WAITING_BYTES:
            yield waiting.pop(max(waiting, key=lambda key: _batch_bytes(waiting[key])))
    yield from waiting.values()


def padded_size(content: ShardContent, stride: int) -> tuple[int, int]:
    """(height, width) of a content after padding."""
    height, width = content.size
    return padded_side(height, stride), padded_side(width, stride)


def _mask_readers(corpus: Corpus, order: ShardOrder) -> dict[RegionSettings, ReadMask | None]:
    """What reads a mask, for each layout that needs one; None for one that needs the content's pixels alone."""
    layouts = [style.regions for style in order.styles if style.regions is not None and style.regions.differs]
    return {layout: open_masks(layout, corpus) if layout.reads_masks else None for layout in layouts}


def _add_maps(
    content: ShardContent, order: ShardOrder, masks: Mapping[RegionSettings, ReadMask | None]
) -> ShardContent:
    """A content with its own regions, where it has a picture and any style asks for them."""
    if not masks or isinstance(content.outcome, ImageError):
        return content
    started = time.perf_counter()
    maps = read_maps(content.entry, content.picture, order.images, masks)
    return replace(content, maps=maps, decode_seconds=content.decode_seconds + time.perf_counter() - started)


def _decode(item: _ReadEntry, order: ShardOrder) -> ShardContent:
    entry, data = replace(item.entry, data=None), item.entry.data
    if entry.content_id in order.excluded:
        reason = order.excluded[entry.content_id]
        died = ImageError(reason, PROCESS_ERRORS[reason])
        return ShardContent(item.place, entry, died, "process", item.source_bytes, item.seconds)
    if entry.prompt is not None:
        assert order.corpus.size is not None  # preflight saw to it
        prompt = Prompt(entry.prompt, *order.corpus.size)
        return ShardContent(item.place, entry, prompt, "read", item.source_bytes, item.seconds)
    if entry.error is not None or data is None:
        error = entry.error or ImageError("missing", "The image is missing.")
        return ShardContent(item.place, entry, error, "read", item.source_bytes, item.seconds)
    started = time.perf_counter()
    outcome: Picture | ImageError
    labels, stage = None, "decode"
    try:
        outcome = read_picture(data, order.images)
        stage = "labels"
        labels = _move_labels(entry, outcome, order)
    except ImageError as error:
        outcome = error
    took = time.perf_counter() - started
    return ShardContent(item.place, entry, outcome, stage, item.source_bytes, item.seconds, took, labels=labels)


def _move_labels(entry: Entry, picture: Picture, order: ShardOrder) -> Mapping[str, Any] | None:
    """The corpus's columns, where some of them lie on the picture."""
    labels = order.corpus.labels
    if labels is None or not labels.moves:
        return None
    source = (picture.source_width, picture.source_height)
    return move_labels(entry.columns, labels, place(*source, order.images), source, order.images)


def _announced(pieces: Iterable[Piece], announce: Announce) -> Iterator[Piece]:
    chunk: list[Piece] = []
    ids: list[str] = []
    for piece in pieces:
        chunk.append(piece)
        ids += piece.content_ids()
        if len(ids) >= ANNOUNCED:
            announce(ids)
            yield from chunk
            chunk, ids = [], []
    if chunk:
        announce(ids)
        yield from chunk


def _flatten(parts: Iterable[tuple[list[Entry], float]]) -> Iterator[tuple[Entry, float]]:
    for entries, seconds in parts:
        for entry in entries:
            yield entry, seconds / len(entries)


def _ahead(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int,
    room: int,
    expect: Callable[[Item], int],
    weigh: Callable[[Result], int],
    patience: float | None = None,
) -> Iterator[Result]:
    """Results in order, with at most `depth` calls and about `room` bytes ahead of the caller.

    `expect` guesses the bytes of a result that is not there yet, `weigh` knows those of one that is. Raises
    TimeoutError where a result is waited for more than `patience` seconds.
    """
    queue: deque[tuple[int, Future[Result]]] = deque()
    for item in items:
        expected = expect(item)
        while queue and (len(queue) >= depth or expected + _held(queue, weigh) > room):
            yield queue.popleft()[1].result(patience)
        queue.append((expected, pool.submit(function, item)))
    while queue:
        yield queue.popleft()[1].result(patience)


def _held(queue: Iterable[tuple[int, Future[Result]]], weigh: Callable[[Result], int]) -> int:
    return sum(weigh(f.result()) if f.done() and f.exception() is None else expected for expected, f in queue)


def _expected_bytes(piece: Piece) -> int:
    return piece.bytes if piece.rows == 0 else 0


def _entry_bytes(part: tuple[list[Entry], float]) -> int:
    return sum(len(entry.data or b"") for entry in part[0])


def _batch_bytes(batch: Iterable[ShardContent]) -> int:
    return sum(content.pixel_bytes for content in batch)
