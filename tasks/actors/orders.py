"""What travels between the driver and its actors: URIs and small settings, never images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.actors.settings import STALLED_SECONDS
from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.forgotten import Forgotten
from tasks.images.settings import ImageSettings
from tasks.plan import Plan
from tasks.shards import PlannedPiece
from tasks.styles import PlannedStyle

# Pixels in one pass through a network. On a CPU small passes stay in the caches; a GPU wants to be filled.
BATCH_PIXELS = {"cpu": 2**19, "cuda": 16 * 2**20}


@dataclass(frozen=True)
class ActorSettings:
    """What an actor is made with; the same for every actor of a run.

    `batch_pixels` None: by the device. `stalled_after`: seconds without a sign of life after which it is ended.
    """

    output: str
    store: str
    clip: str
    device: str = "cpu"
    threads: int = 1
    batch_pixels: int | None = None
    gpu_share: float = 0.0
    actors: int = 1
    stalled_after: float = STALLED_SECONDS

    @property
    def limit_pixels(self) -> int:
        """Pixels in one pass through a network."""
        return self.batch_pixels or BATCH_PIXELS[self.device]

    @property
    def codec_threads(self) -> int:
        """Threads that read, decode and encode: two at least, so that neither side waits for the other."""
        return max(2, self.threads)


@dataclass(frozen=True)
class ShardOrder:
    """A shard to make: its pieces, its styles, and what the plan froze.

    `excluded` contents took their process down, by the error class that says how. `alone`: no two contents at once,
    since they did so only together. `forgotten` counts pairs that were planned and have been taken down since: they
    are in no piece and style of it.
    """

    plan: int
    shard: int
    plan_digest: str
    corpus: CorpusSettings
    images: ImageSettings
    seed: int
    styles: tuple[PlannedStyle, ...]
    pieces: tuple[Piece, ...]
    attempt: int = 0
    excluded: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    forgotten: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """The shard's name in the chain: (plan, shard)."""
        return self.plan, self.shard

    @property
    def pairs(self) -> int:
        """Number of records that the shard will have, stylized or failed."""
        return len(self.styles) * sum(piece.contents for piece in self.pieces)

    def again(self, excluded: Mapping[str, str] | None = None, *, alone: bool = False) -> ShardOrder:
        """The next attempt at this shard."""
        excluded = {**self.excluded, **(excluded or {})}
        return replace(self, attempt=self.attempt + 1, excluded=excluded, alone=self.alone or alone)

    def without(self, forgotten: Forgotten) -> ShardOrder:
        """The order without what was taken down."""
        if not forgotten:
            return self
        kept = replace(
            self, pieces=tuple(forgotten.keep_pieces(self.pieces)), styles=forgotten.keep_styles(self.styles)
        )
        return replace(kept, forgotten=self.pairs - kept.pairs)

    def contents(self) -> list[str]:
        """Ids of the shard's contents, in order."""
        return [content_id for piece in self.pieces for content_id in piece.content_ids()]

    def only(self, content_id: str) -> ShardOrder:
        """This shard with one of its contents alone."""
        pieces = tuple(piece for piece in self.pieces if content_id in piece.content_ids())
        others = {other for piece in pieces for other in piece.content_ids()} - {content_id}
        return replace(self, pieces=pieces, excluded=dict.fromkeys(others, "process_died"))


def make_order(plan: Plan, planned: list[PlannedPiece], corpus: CorpusSettings) -> ShardOrder:
    """The order for one shard of a plan; the corpus may have moved since the plan was made."""
    group = plan.groups[planned[0].group]
    return ShardOrder(
        plan=plan.seq,
        shard=planned[0].shard,
        plan_digest=plan.digest,
        corpus=corpus,
        images=plan.images,
        seed=plan.seed,
        styles=tuple(plan.styles[index] for index in group.styles),
        pieces=tuple(piece.piece for piece in planned),
    )


def split_together(styles: Sequence[PlannedStyle]) -> Iterator[list[PlannedStyle]]:
    """Styles in calls: as many together as their method makes something of, so that the others are told of sooner."""
    for method in dict.fromkeys(style.method for style in styles):
        group = [style for style in styles if style.method == method]
        for start in range(0, len(group), method.represent_at_once):
            yield group[start : start + method.represent_at_once]
