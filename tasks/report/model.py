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
    mean: float

    def at(self, percent: int) -> float:
        """Value below which `percent` (0 to 100) of the scores lie."""
        return self.percentiles[percent]


@dataclass(frozen=True)
class StyleReference:
    """What a style is made of: a picture, or a text with the picture that was painted for it, if one was.

    `weight` is its share of the style, 0 to 1. A picture that is gone is None beside an empty text; one of a table has
    its file and row as `place`. Of a composite style `share` is the mean part of the pictures that it has, and
    `direction` its own part's mean score along it.
    """

    weight: float = 1.0
    text: str = ""
    image: bytes | None = None
    place: str = ""
    painted: bytes | None = None
    share: float | None = None
    direction: float | None = None


@dataclass(frozen=True)
class InvertedPart:
    """The first of `count` pictures that stand for a style; for a part of it, where that has a `name`."""

    pictures: Sequence[bytes]
    count: int
    name: str = ""


@dataclass(frozen=True)
class StepPlace:
    """Where between two styles a style lies: `at` is 0 at the start and 1 at the end."""

    start: str
    end: str
    at: float


@dataclass(frozen=True)
class StyleSummary:
    """A style, what renders it, and what became of its pairs; `scores` is keyed by score name.

    `references` are the first ones, `more_references` how many are left out. `regions` say how a composite style lays
    them out. `inverted` are pictures that stand for the references in `renderer`; a `step` of a path shows none.
    """

    name: str
    method: str
    weights: str = ""
    digest: str = ""
    records: int = 0
    failed: int = 0
    references: Sequence[StyleReference] = ()
    more_references: int = 0
    scores: Mapping[str, ScoreSummary] = field(default_factory=dict)
    regions: str = ""
    inverted: Sequence[InvertedPart] = ()
    renderer: str = ""
    step: StepPlace | None = None


@dataclass(frozen=True)
class GalleryCell:
    """One pair: its picture with its scores, or no picture and the reason of its failure."""

    style: str
    image: bytes | None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class GalleryRow:
    """One content, an image or a prompt, beside the pictures made of it."""

    content_id: str
    content_image: bytes | None
    cells: Sequence[GalleryCell]
    prompt: str = ""


@dataclass(frozen=True)
class PathStop:
    """A style on a path between two, which are stops themselves, at 0 and at 1."""

    style: str
    at: float


@dataclass(frozen=True)
class StylePath:
    """A path from its first stop to its last; each of `rows` has one cell a stop.

    `more_steps` are steps between the stops that are left out.
    """

    stops: Sequence[PathStop]
    rows: Sequence[GalleryRow] = ()
    more_steps: int = 0

    @property
    def start(self) -> str:
        """Name of the style that the path starts from."""
        return self.stops[0].style

    @property
    def end(self) -> str:
        """Name of the style that the path leads to."""
        return self.stops[-1].style


@dataclass(frozen=True)
class ScoredRecord:
    """One record by its score: its picture, and all the scores it has."""

    content_id: str
    style: str
    image: bytes | None
    scores: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Extremes:
    """The records highest and lowest in one score, each the most extreme first."""

    score: str
    best: Sequence[ScoredRecord] = ()
    worst: Sequence[ScoredRecord] = ()


@dataclass(frozen=True)
class IntendedMatrix:
    """What one CLIP model says of a sample: S styles as asked for (rows) against outputs of each style (columns).

    `margins` are mean direction cosines minus their row's mean over all sampled outputs. Of each style's `outputs`,
    `first` is the share to which it is the nearest of the S; by chance 1/S. `role` is `scorer` or `judge`.
    """

    role: str
    model: str
    styles: Sequence[str]
    margins: Sequence[Sequence[float]]
    first: Sequence[float]
    outputs: Sequence[int]

    @property
    def first_overall(self) -> float:
        """Share of all outputs to which the style they were made in is the nearest, 0 to 1."""
        pairs = zip(self.first, self.outputs, strict=True)
        return sum(share * count for share, count in pairs) / sum(self.outputs)


@dataclass(frozen=True)
class Arrivals:
    """Whether the styles arrived: a matrix a model, how many styles are in none, and why something is missing."""

    matrices: Sequence[IntendedMatrix] = ()
    more_styles: int = 0
    notes: Sequence[str] = ()


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
    found: none when empty, and None where nothing was verified. Scores are those of `score_model`;
    `scored_by_others` are records whose scores are another model's and are left out.
    """

    title: str
    root: str
    created: str
    plans: Sequence[int] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    failed: int = 0
    styles: Sequence[StyleSummary] = ()
    score_model: str = ""
    scored_by_others: int = 0
    arrivals: Arrivals = field(default_factory=Arrivals)
    extremes: Extremes | None = None
    gallery: Sequence[GalleryRow] = ()
    paths: Sequence[StylePath] = ()
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
