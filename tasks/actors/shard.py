"""A shard from its order to its commit: the work of an actor, without Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tasks.actors.contents import ShardContent, batch_contents, padded_size, read_contents
from tasks.actors.loaded import Loaded, ReadyStyle, name_drawn
from tasks.actors.orders import ShardOrder
from tasks.actors.render import BatchRenderer, Failed, Rendered
from tasks.actors.rows import failure_row, record_row
from tasks.actors.stages import StageClock
from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus
from tasks.dataset.footer import ShardFooter, SizeFill
from tasks.dataset.forgotten import read_forgotten
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.images.encoding import encode, suffix
from tasks.images.fitting import Pixels
from tasks.labelled.features import names_in_schema
from tasks.records import ImageError

# Called with the contents in hand and the number of records made, before contents are touched: the journal.
Note = Callable[[list[str], int], None]

# Stylized pictures that wait for a codec thread.
COMPRESSING_BYTES = 2**27
COMPRESSING_PER_THREAD = 8
READ_AHEAD_PER_THREAD = 2
# Of the time after which a silent actor is ended: who waits for the store says so before that.
READ_PATIENCE = 0.5


def stylize_shard(loaded: Loaded, order: ShardOrder, note: Note) -> ShardFooter:
    """Make and commit a shard. An ImageError is a failed record; anything else fails the shard.

    Gives the footer that stands; the seconds of the commit are in this copy alone, since they come after it.
    """
    with open_run(loaded, order, note) as run:
        with run.clock.timed("busy"):
            run.fill()
        footer = run.footer()
        with run.clock.timed("busy"), run.clock.timed("publish"):
            standing = commit(loaded.output, run.spool, footer)
        return standing.model_copy(update={"seconds": run.clock.seconds()})


def rehearse_shard(loaded: Loaded, order: ShardOrder, note: Note) -> None:
    """Do a shard's work and throw it away: to learn whether a content kills its process."""
    with open_run(loaded, order, note) as run:
        run.fill()


@contextmanager
def open_run(loaded: Loaded, order: ShardOrder, note: Note) -> Iterator[ShardRun]:
    """An attempt at a shard, with its spool on local disk and its threads; both end with the block."""
    corpus = open_corpus(order.corpus)
    loaded.forgotten = read_forgotten(loaded.output)
    order = order.without(loaded.forgotten)
    with ShardSpool(corpus.carried) as spool, _open_threads(loaded.settings.codec_threads) as pool:
        yield ShardRun(loaded, order, corpus, spool, pool, note)


@contextmanager
def _open_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the block; after an error nobody waits for them, since a store may hold one for long."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _next(contents: Iterator[ShardContent], patience: float) -> ShardContent | None:
    """The next content, None after the last. Raises OSError where the store keeps it back."""
    try:
        return next(contents, None)
    except TimeoutError as error:
        raise OSError(f"a read of the corpus took more than {patience:g} s") from error


class ShardRun:
    """One attempt at a shard: batches of contents become rows in a spool.

    Networks run on the calling thread; reading, decoding and encoding on those of the pool. Every queue between
    them is bounded by count and by bytes.
    """

    def __init__(
        self,
        loaded: Loaded,
        order: ShardOrder,
        corpus: Corpus,
        spool: ShardSpool,
        pool: ThreadPoolExecutor,
        note: Note,
    ) -> None:
        self.loaded, self.order, self.corpus = loaded, order, corpus
        self.spool, self.clock = spool, StageClock()
        self._pool, self._note = pool, note
        self._places = {style.digest: place for place, style in enumerate(order.styles)}
        self._batches: dict[tuple[int, int], list[int]] = {}
        self._in_hand: dict[str, None] = {}
        self._compressing: deque[tuple[Rendered, Future[tuple[bytes, float]]]] = deque()
        self._compressing_bytes = 0
        self._source_bytes = 0
        self._rows = 0
        self._gone = 0

    def fill(self) -> None:
        """Stylize every content in every style; the rows go to the spool."""
        if not self.order.pairs:  # all of it was taken down, and so may be the representations
            return
        with self.clock.timed("load"):
            classes = names_in_schema(self.corpus.carried.metadata)
            styles = self.loaded.ready(self.order.styles, self.order.seed, classes)
            renderer = BatchRenderer(self.loaded, styles, self.order.seed, self.clock)
            if self.order.alone:
                renderer.limit_pixels = 1
        self._announce(())
        for batch in batch_contents(self._decoded(styles), renderer.stride, lambda: renderer.limit_pixels):
            self._batches.setdefault(padded_size(batch[0], renderer.stride), []).append(len(batch))
            for outcome in renderer.render(batch):
                self._take(outcome)
            self._finish(batch)
            self._announce(())
        self._collect(down_to=0)
        self._announce(())

    def footer(self) -> ShardFooter:
        """What the attempt says of itself; the sink adds the counts."""
        order, settings = self.order, self.loaded.settings
        return ShardFooter(
            plan=order.plan,
            shard=order.shard,
            plan_digest=order.plan_digest,
            token=new_token(),
            attempt=order.attempt,
            seconds=self.clock.seconds(),
            batches=[self._size_fill(size) for size in sorted(self._batches)],
            actors=settings.actors,
            forgotten=order.forgotten + self._gone,
            source_bytes=self._source_bytes,
            device=settings.device,
        )

    def _decoded(self, styles: Sequence[ReadyStyle]) -> Iterator[ShardContent]:
        """Contents with a picture; the others become failed records on their way."""
        depth = READ_AHEAD_PER_THREAD * self.loaded.settings.codec_threads
        patience = READ_PATIENCE * self.loaded.settings.stalled_after
        contents = read_contents(self.corpus, self.order, self._pool, depth, self._announce, patience)
        while True:
            with self.clock.timed("wait"):
                content = _next(contents, patience)
            if content is None:
                return
            self.clock.add("read", content.read_seconds)
            self.clock.add("decode", content.decode_seconds)
            self._source_bytes += content.source_bytes
            if isinstance(content.outcome, ImageError):
                for style in styles:
                    self._fail(content, name_drawn(style, content), content.outcome, content.stage)
                self._finish([content])
            else:
                yield content

    def _announce(self, content_ids: Sequence[str]) -> None:
        """Tell the journal what is in hand before it is touched: a process that dies then is charged to it."""
        self._in_hand.update(dict.fromkeys(content_ids))
        self._note(list(self._in_hand), self._rows)

    def _finish(self, contents: Sequence[ShardContent]) -> None:
        for content in contents:
            self._in_hand.pop(content.entry.content_id, None)

    def _take(self, outcome: Rendered | Failed) -> None:
        """Send pixels to the codec threads; what waits there is bounded."""
        if isinstance(outcome, Failed):
            self._fail(outcome.content, outcome.style, outcome.error, outcome.stage)
            return
        self._compressing.append((outcome, self._pool.submit(self._compress, outcome.pixels_HWC)))
        self._compressing_bytes += outcome.pixels_HWC.nbytes
        self._collect(down_to=COMPRESSING_PER_THREAD * self.loaded.settings.codec_threads)

    def _compress(self, pixels_HWC: Pixels) -> tuple[bytes, float]:
        started = time.perf_counter()
        return encode(pixels_HWC, self.order.images), time.perf_counter() - started

    def _collect(self, down_to: int) -> None:
        """Take finished pictures from the codec threads until at most so many, and so many bytes, wait."""
        while len(self._compressing) > down_to or self._compressing_bytes > COMPRESSING_BYTES:
            rendered, future = self._compressing.popleft()
            self._compressing_bytes -= rendered.pixels_HWC.nbytes
            with self.clock.timed("wait_codec"):
                picture, seconds = future.result()
            self.clock.add("compress", seconds)
            self._record(rendered, picture, seconds)

    def _record(self, rendered: Rendered, picture: bytes, compress_seconds: float) -> None:
        content, style = rendered.content, rendered.style
        seconds = rendered.seconds + compress_seconds + self._share(content)
        row = record_row(self.order, rendered, seconds, self.loaded.clip_model)
        path = picture_path(content.entry.content_id, style.planned.name, suffix(self.order.images))
        self.spool.add_record((self._places[style.wanted], content.place), row, picture, path)
        self._rows += 1

    def _fail(self, content: ShardContent, style: ReadyStyle, error: ImageError, stage: str) -> None:
        if self.loaded.forgotten.has_style(style.planned.digest):  # drawn: the order has no other such style
            self._gone += 1
            return
        row = failure_row(self.order, style, content, error, stage, self._share(content))
        self.spool.add_failure((self._places[style.wanted], content.place), row)
        self._rows += 1

    def _share(self, content: ShardContent) -> float:
        """A record's part of the time that reading and decoding its content took."""
        return (content.read_seconds + content.decode_seconds) / len(self.order.styles)

    def _size_fill(self, size: tuple[int, int]) -> SizeFill:
        counts = self._batches[size]
        room = max(1, self.loaded.settings.limit_pixels // (size[0] * size[1]))
        fill = sum(counts) / (len(counts) * room)
        return SizeFill(height=size[0], width=size[1], images=sum(counts), batches=len(counts), fill=min(1.0, fill))
