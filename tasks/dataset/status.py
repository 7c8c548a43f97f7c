"""How far a dataset is, from storage alone: whoever makes it, wherever.

Shards tell when they were committed and how long they took; of what is in flight storage knows only this: shards are
handed out in order, so one that is open while a later one of its wave is done was handed out before that one was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from tasks.dataset.footer import ShardFooter
from tasks.dataset.ledger import Ledger, PlanStatus
from tasks.plan import Plan

# Rates are of the last so many seconds in which commits came; a shard is about two minutes of work.
RECENT_SECONDS = 900.0
# So long without a commit, or so many times the median shard, and work counts as interrupted.
PAUSE_SECONDS, PAUSE_SHARDS = 600.0, 5
# A shard that is open for so many times the median is a straggler.
STRAGGLING = 3.0


@dataclass(frozen=True)
class Straggler:
    """An open shard that others overtook, and the seconds since it was handed out, at least."""

    shard: int
    seconds: float


@dataclass(frozen=True)
class Pace:
    """How fast a plan goes, by the commits of its newest stretch of work.

    `images_per_second` are stylized pictures, `shard_seconds` the median of what a shard took, `idle_seconds` how long
    ago the last commit was. `eta_seconds` is None where nobody seems to be at work, and there are no stragglers then.
    """

    images_per_second: float
    shard_seconds: float
    last_commit: str
    idle_seconds: float
    eta_seconds: float | None = None
    stragglers: tuple[Straggler, ...] = ()


@dataclass(frozen=True)
class PlanProgress:
    """A plan, how far it is, why pairs of it failed, and its pace, if anything was committed."""

    status: PlanStatus
    reasons: Mapping[str, int] = field(default_factory=dict)
    pace: Pace | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, flat."""
        status, plan = self.status, self.status.plan
        return {
            "plan": plan.seq,
            "kind": plan.kind,
            "created": plan.created,
            "pairs": plan.pairs,
            "shards": plan.shards,
            "open": status.open_shards,
            "records": status.records,
            "failed": status.failed,
            "forgotten": status.forgotten,
            "abandoned": status.abandoned,
            "reasons": dict(self.reasons),
            "pace": None if self.pace is None else asdict(self.pace),
        }


@dataclass(frozen=True)
class Commit:
    """A shard that was committed: when, after how many seconds of work, with how many pairs and pictures."""

    shard: int
    at: datetime
    seconds: float
    pairs: int
    records: int

    @property
    def begun(self) -> datetime:
        """When an actor took it up."""
        return self.at - timedelta(seconds=self.seconds)


def read_progress(ledger: Ledger, now: datetime, alive: bool | None = None) -> list[PlanProgress]:
    """How far each plan is. `alive`: whether a run is known to be at work, or known not to be; None: by its commits."""
    return [_read_plan(ledger, status, now, alive) for status in ledger.status()]


def _read_plan(ledger: Ledger, status: PlanStatus, now: datetime, alive: bool | None) -> PlanProgress:
    plan = status.plan
    found = {shard: ledger.footers.get((plan.seq, shard), (None, 0))[0] for shard in range(plan.shards)}
    ours = {shard: footer for shard, footer in found.items() if footer and not footer.abandoned}
    commits = sorted(_commits(ours), key=lambda commit: commit.at)
    pace = _measure(ledger, status, commits, now, alive) if commits else None
    return PlanProgress(status, dict(_count_reasons(ours).most_common()), pace)


def _count_reasons(footers: Mapping[int, ShardFooter]) -> Counter[str]:
    tables = (footer.failure_table() for footer in footers.values() if footer.failed)
    return Counter(reason for table in tables if table is not None for reason in table["error_class"].to_pylist())


def _commits(footers: Mapping[int, ShardFooter]) -> Iterator[Commit]:
    for shard, footer in footers.items():
        if footer.finished:
            at, seconds = datetime.fromisoformat(footer.finished), footer.seconds.get("busy", 0.0)
            yield Commit(shard, at, seconds, footer.records + footer.failed, footer.records)


def _measure(ledger: Ledger, status: PlanStatus, commits: Sequence[Commit], now: datetime, alive: bool | None) -> Pace:
    typical = median(commit.seconds for commit in commits)
    pause = max(PAUSE_SECONDS, PAUSE_SHARDS * typical)
    stretch = _newest_stretch(commits, pause)
    recent, seconds = _recent(stretch)
    idle = max(0.0, (now - commits[-1].at).total_seconds())
    at_work = status.open_shards > 0 and (idle < pause if alive is None else alive)
    pairs = sum(commit.pairs for commit in recent)
    return Pace(
        images_per_second=sum(commit.records for commit in recent) / seconds,
        shard_seconds=typical,
        last_commit=commits[-1].at.isoformat(timespec="seconds"),
        idle_seconds=idle,
        eta_seconds=status.open_pairs * seconds / pairs if at_work and pairs else None,
        stragglers=tuple(_find_stragglers(ledger, status.plan, stretch, typical, now)) if at_work else (),
    )


def _newest_stretch(commits: Sequence[Commit], pause: float) -> Sequence[Commit]:
    """The commits since the last pause, which ends where work was interrupted and begun again."""
    start = 0
    for number, (before, after) in enumerate(pairwise(commits), 1):
        if (after.begun - before.at).total_seconds() > pause:
            start = number
    return commits[start:]


def _recent(stretch: Sequence[Commit]) -> tuple[Sequence[Commit], float]:
    """The last commits of a stretch, and the seconds in which they were made."""
    end = stretch[-1].at
    first = next(n for n, commit in enumerate(stretch) if (end - commit.at).total_seconds() <= RECENT_SECONDS)
    begun = min(commit.begun for commit in stretch[first:])
    begun = max(begun, stretch[first - 1].at) if first else begun
    # Times are whole seconds.
    return stretch[first:], max(1.0, (end - begun).total_seconds())


def _find_stragglers(
    ledger: Ledger, plan: Plan, stretch: Sequence[Commit], typical: float, now: datetime
) -> Iterator[Straggler]:
    done, left = {commit.shard: commit for commit in stretch}, set(ledger.open_shards(plan))
    earliest: dict[str, datetime] = {}  # when the first of the later shards of a wave was begun
    waves = _find_waves(ledger, plan)
    for shard in reversed(range(plan.shards)):
        wave = waves.get(shard, "")
        if shard in done:
            earliest[wave] = min(done[shard].begun, earliest.get(wave, now))
        elif shard in left and wave in earliest:
            seconds = (now - earliest[wave]).total_seconds()
            if seconds > STRAGGLING * typical:
                yield Straggler(shard, seconds)


def _find_waves(ledger: Ledger, plan: Plan) -> dict[int, str]:
    """The wave of each shard; nothing where all are of one, for pieces may be many."""
    if len({group.wave for group in plan.groups}) == 1:
        return {}
    return {shard: plan.groups[group].wave for shard, group in ledger.pieces(plan).tally().groups.items()}
