"""What a report shows, as plain values: bounded, already read from storage, never a URI to follow.

Pictures are the bytes of small JPEG, PNG or WebP files (`tasks.report.thumbnails.thumbnail` makes them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ScoreSummary:
    """How one score is spread over one style: `percentiles` holds the 101 values from 0 % to 100 %."""

    count: int
    percentiles: tuple[float, ...]

    def at(self, percent: int) -> float:
        """Value below which `percent` (0 to 100) of the scores lie."""
        return self.percentiles[percent]


@dataclass(frozen=True)
class StyleSummary:
    """A style, what renders it, and what became of its pairs; `scores` is keyed by score name."""

    name: str
    method: str
    weights: str = ""
    digest: str = ""
    records: int = 0
    failed: int = 0
    thumbnail: bytes | None = None
    texts: Sequence[str] = ()
    scores: Mapping[str, ScoreSummary] = field(default_factory=dict)


@dataclass(frozen=True)
class GalleryCell:
    """One pair: its picture with its scores, or no picture and the reason of its failure."""

    style: str
    image: bytes | None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class GalleryRow:
    """One content image beside the pictures made of it."""

    content_id: str
    content_image: bytes | None
    cells: Sequence[GalleryCell]


@dataclass(frozen=True)
class FailureReason:
    """Failed records that share a reason and a stage, with one of them as the example."""

    error_class: str
    stage: str
    count: int
    example_content_id: str = ""
    example_message: str = ""


@dataclass(frozen=True)
class StageTime:
    """Seconds that a stage was at work, summed over its lanes (threads or devices, over all actors).

    The stage named `wait` is a device's idle time. Without `lanes` only shares of the sum can be shown.
    """

    stage: str
    seconds: float
    lanes: int | None = None


@dataclass(frozen=True)
class SizeFill:
    """Batches of one padded size: pixels, images, and the mean share of the batch bound in use (0 to 1)."""

    height: int
    width: int
    images: int
    batches: int
    fill: float


@dataclass(frozen=True)
class Throughput:
    """How fast the run was and on what; seconds, bytes, and rates a second over the whole run."""

    images_per_second: float
    records_per_second: float
    wall_seconds: float
    actors: int
    device: str
    bytes_in: int = 0
    bytes_out: int = 0
    batch_fill: float | None = None


@dataclass(frozen=True)
class RunRow:
    """One plan of the dataset's history."""

    seq: int
    created: str
    records: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class ReportData:
    """Everything that one report shows; whatever is empty or None is left out of the page.

    `created` is ISO 8601. `facts` are settings to print as they are. `verification` holds the problems
    found: none when empty, and None where nothing was verified.
    """

    title: str
    root: str
    created: str
    plans: Sequence[int] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    failed: int = 0
    styles: Sequence[StyleSummary] = ()
    gallery: Sequence[GalleryRow] = ()
    failures: Sequence[FailureReason] = ()
    timing: Sequence[StageTime] = ()
    throughput: Throughput | None = None
    sizes: Sequence[SizeFill] = ()
    runs: Sequence[RunRow] = ()
    verification: Sequence[str] | None = None

    @property
    def failed_share(self) -> float:
        """Share of all pairs that failed, 0 to 1."""
        return self.failed / max(1, self.failed + self.records)
