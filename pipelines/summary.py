"""What a run did and how the dataset stands after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.dataset.footer import ACTOR_STAGES
from tasks.dataset.verify import Verification


@dataclass
class RunSummary:
    """What a run did, and how the dataset stands after it. Counts are of records; seconds are wall time."""

    output: str
    made: int = 0
    represented: int = 0
    seconds: float = 0.0
    represent_seconds: float = 0.0
    stylize_seconds: float = 0.0
    records: int = 0
    failed: int = 0
    open_shards: int = 0
    unplanned: int = 0  # partitions that a backfill left to the next one
    problems: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    report: str | None = None
    stopped: str = ""
    card: str | None = None
    max_failed: float = 0.01

    def count(self, verification: Verification) -> None:
        """Take over how the dataset stands."""
        self.records, self.failed = verification.records, verification.failed
        self.open_shards, self.problems = verification.open_shards, verification.problems

    @property
    def exit_code(self) -> int:
        """0 whole and within `max_failed`; 1 too many failed; 3 incomplete."""
        if self.open_shards or self.problems or self.given_up or self.stopped or self.unplanned:
            return 3
        return 1 if self.failed > self.max_failed * (self.records + self.failed) else 0

    @property
    def images_per_second(self) -> float:
        """Stylized images per second while actors were at work."""
        return self.made / self.stylize_seconds if self.stylize_seconds else 0.0

    def describe(self) -> str:
        """The summary in a few lines."""
        lines = [f"{self.records} records, {self.failed} failed in {self.output}"]
        if self.made:
            lines.append(
                f"{self.made} made in {self.seconds:.1f} s, {self.images_per_second:.1f} images/s while stylizing; "
                f"{self.represented} styles represented"
            )
            lines.append(f"Where the time went: {_shares(self.stages)}")
        elif not self.open_shards and not self.unplanned:
            lines.append(f"Nothing to do ({self.seconds:.1f} s)")
        lines += [f"Problem: {problem}" for problem in self.problems]
        lines += self.given_up
        lines += [self.stopped] if self.stopped else []
        if self.unplanned:
            lines.append(f"{self.unplanned} partitions are left: the same command again goes on with them")
        if self.open_shards:
            lines.append(f"{self.open_shards} shards are open: run the job again")
        elif self.exit_code == 1:
            lines.append(f"More than {self.max_failed:.1%} failed: see failures/ and the report")
        lines += [f"Report: {self.report}"] if self.report else []
        return "\n".join([*lines, *([f"Card: {self.card}"] if self.card else [])])

    def to_json(self) -> dict[str, Any]:
        """The summary as plain values."""
        return asdict(self) | {
            "stages": dict(self.stages),
            "exit_code": self.exit_code,
            "images_per_second": self.images_per_second,
        }


def _shares(stages: Counter[str]) -> str:
    """Shares of the actors' time, largest first; what threads did meanwhile is not counted twice."""
    busy = stages["busy"] or 1.0
    own = {stage: stages[stage] for stage in ACTOR_STAGES}
    shown = sorted(((s, v) for s, v in own.items() if v > 0.005 * busy), key=lambda item: -item[1])
    return ", ".join(f"{stage.replace('_', ' for ')} {value / busy:.0%}" for stage, value in shown)
