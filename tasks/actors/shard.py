"""A shard from its order to its commit: the work of an actor, without Ray."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tasks.actors.contents import ShardContent, batch_contents, padded_size, read_contents
from tasks.actors.loaded import Loaded, ReadyStyle
from tasks.actors.orders import ShardOrder
from tasks.actors.render import BatchRenderer, Failed, Rendered
from tasks.corpus import open_corpus
from tasks.dataset.footer import ShardFooter, SizeFill
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.images.encoding import encode, suffix
from tasks.images.fitting import Pixels
from tasks.records import ImageError, carried_name
from tasks.styles import pair_seed

# Called before each batch with the contents in hand and the number of records made: what the journal keeps.
Note = Callable[[list[str], int], None]


def stylize_shard(loaded: Loaded, order: ShardOrder, note: Note) -> ShardFooter:
    """Make and commit a shard. An ImageError is a failed record; anything else fails the shard."""
    run = ShardRun(loaded, order, note)
    with ShardSpool(run.corpus.carried) as spool, ThreadPoolExecutor(2 * loaded.settings.threads) as pool:
        with run.timed("busy"):
            run.fill(spool, pool)
        return commit(loaded.output, spool, run.footer())


def rehearse_shard(loaded: Loaded, order: ShardOrder, note: Note) -> None:
    """Do a shard's work and throw it away: to learn whether a content kills its process."""
    run = ShardRun(loaded, order, note)
    with ShardSpool(run.corpus.carried) as spool, ThreadPoolExecutor(2 * loaded.settings.threads) as pool:
        run.fill(spool, pool)


class ShardRun:
    """One attempt at a shard: batches of contents become rows in a spool."""

    def __init__(self, loaded: Loaded, order: ShardOrder, note: Note) -> None:
        self.loaded, self.order, self.note = loaded, order, note
        self.corpus = open_corpus(order.corpus)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.batches: dict[tuple[int, int], list[int]] = {}
        self.source_bytes = 0
        self.rows = 0
        self._in_hand: dict[str, None] = {}
        self._compressing: deque[tuple[Rendered, Future[tuple[bytes, float]]]] = deque()

    def fill(self, spool: ShardSpool, pool: ThreadPoolExecutor) -> None:
        """Stylize every content in every style; the rows go to the spool."""
        self.spool, self.pool = spool, pool
        with self.timed("load"):
            styles = self.loaded.ready(self.order.styles)
            renderer = BatchRenderer(self.loaded, styles, self.order.seed, self.timed)
        self._places = {style.planned.digest: place for place, style in enumerate(styles)}
        limit = self.loaded.settings.batch_pixels
        for batch in batch_contents(self._decoded(styles), renderer.stride, limit):
            self.note(list(self._in_hand), self.rows)
            self.batches.setdefault(padded_size(batch[0], renderer.stride), []).append(len(batch))
            for rendered in renderer.render(batch):
                self._take(rendered)
            for content in batch:
                self._in_hand.pop(content.entry.content_id, None)
        self._collect(down_to=0)
        self.note([], self.rows)

    def footer(self) -> ShardFooter:
        """What the attempt says of itself; the sink adds the counts."""
        order = self.order
        return ShardFooter(
            plan=order.plan,
            shard=order.shard,
            plan_digest=order.plan_digest,
            token=new_token(),
            attempt=order.attempt,
            seconds={stage: round(seconds, 4) for stage, seconds in sorted(self.seconds.items())},
            batches=[self._size_fill(size) for size in sorted(self.batches)],
            actors=self.loaded.settings.actors,
            source_bytes=self.source_bytes,
            device=self.loaded.settings.device,
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add a block's time to its stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def _decoded(self, styles: list[ReadyStyle]) -> Iterator[ShardContent]:
        """Contents with a picture; the others become failed records on their way."""
        contents = read_contents(self.corpus, self.order, self.pool, depth=4 * self.loaded.settings.threads)
        while True:
            with self.timed("wait"):
                content = next(contents, None)
            if content is None:
                return
            self.seconds["read"] += content.read_seconds
            self.seconds["decode"] += content.decode_seconds
            self.source_bytes += len(content.entry.data or b"")
            self._in_hand[content.entry.content_id] = None
            if isinstance(content.outcome, ImageError):
                for style in styles:
                    self._fail(content, style, content.outcome, content.stage)
            else:
                yield content

    def _take(self, rendered: Rendered | Failed) -> None:
        """Send pixels to the codec threads; at most a few pictures wait there."""
        if isinstance(rendered, Failed):
            self._fail(rendered.content, rendered.style, rendered.error, "render")
            return
        self._compressing.append((rendered, self.pool.submit(self._compress, rendered.pixels_HWC)))
        self._collect(down_to=8 * self.loaded.settings.threads)

    def _compress(self, pixels_HWC: Pixels) -> tuple[bytes, float]:
        started = time.perf_counter()
        return encode(pixels_HWC, self.order.images), time.perf_counter() - started

    def _collect(self, down_to: int) -> None:
        while len(self._compressing) > down_to:
            rendered, future = self._compressing.popleft()
            with self.timed("wait_codec"):
                picture, seconds = future.result()
            self.seconds["compress"] += seconds
            self._record(rendered, picture)

    def _record(self, rendered: Rendered, picture: bytes) -> None:
        content, style = rendered.content, rendered.style
        height, width = rendered.pixels_HWC.shape[:2]
        row = self._row(content, style) | {
            "width": width,
            "height": height,
            "source_width": content.picture.source_width,
            "source_height": content.picture.source_height,
            "seconds": rendered.seconds,
        }
        if rendered.scores is not None:
            row |= {name: getattr(rendered.scores, name) for name in SCORES}
            row["clip_model"] = self.loaded.settings.clip
        path = picture_path(content.entry.content_id, style.planned.name, suffix(self.order.images))
        self.spool.add_record(self._order_of(content, style), row, picture, path)
        self.rows += 1

    def _fail(self, content: ShardContent, style: ReadyStyle, error: ImageError, stage: str) -> None:
        row = self._row(content, style) | {
            "error_class": error.reason,
            "error_message": str(error),
            "error_stage": stage,
            "seconds": 0.0,
        }
        self.spool.add_failure(self._order_of(content, style), row)
        self.rows += 1

    def _row(self, content: ShardContent, style: ReadyStyle) -> dict[str, Any]:
        """What a record and a failure have in common."""
        entry, planned, order = content.entry, style.planned, self.order
        return {
            "content_id": entry.content_id,
            "content_uri": entry.content_uri,
            "content_version": entry.content_version,
            "style": planned.name,
            "style_digest": planned.digest,
            "method": planned.method.name,
            "method_version": planned.method.version,
            "weights_digest": planned.weights_digest,
            "representation": planned.representation,
            **{carried_name(name): value for name, value in entry.columns.items()},
            "strength": getattr(planned.method, "strength", None),
            "seed": pair_seed(order.seed, entry.content_id, planned.digest),
            "plan": order.plan,
            "shard": order.shard,
            "attempt": order.attempt,
        }

    def _order_of(self, content: ShardContent, style: ReadyStyle) -> tuple[int, int]:
        return self._places[style.planned.digest], content.place

    def _size_fill(self, size: tuple[int, int]) -> SizeFill:
        counts = self.batches[size]
        room = max(1, self.loaded.settings.batch_pixels // (size[0] * size[1]))
        fill = sum(counts) / (len(counts) * room)
        return SizeFill(height=size[0], width=size[1], images=sum(counts), batches=len(counts), fill=min(1.0, fill))


SCORES = ("clip_text", "clip_image", "clip_content", "clip_direction")
