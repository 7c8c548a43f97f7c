"""Where the time went, as shares and as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.formats import percent
from tasks.report.model import StageTime

IDLE_STAGE = "wait"
# A stage at work for less than this share of its time has room left: queues, not the stage, held the run.
SATURATED = 0.7


@dataclass(frozen=True)
class StageShare:
    """A stage with its share: of the time its lanes had (`busy`), or else of the sum of all stages."""

    stage: str
    seconds: float
    lanes: int | None
    share: float
    is_busiest: bool


def knows_lanes(timing: Sequence[StageTime], wall_seconds: float) -> bool:
    """Whether every stage can be measured against the time that it had."""
    return wall_seconds > 0 and all(stage.lanes for stage in timing)


def share_stages(timing: Sequence[StageTime], wall_seconds: float) -> list[StageShare]:
    """Every stage in its given order with its share, the busiest one marked."""
    total = sum(stage.seconds for stage in timing) or 1.0
    by_lanes = knows_lanes(timing, wall_seconds)
    shares = [stage.seconds / (wall_seconds * stage.lanes if by_lanes and stage.lanes else total) for stage in timing]
    working = [share for stage, share in zip(timing, shares, strict=True) if stage.stage != IDLE_STAGE]
    top = max(working, default=0.0)
    return [
        StageShare(stage.stage, stage.seconds, stage.lanes, share, _is_top(stage, share, top))
        for stage, share in zip(timing, shares, strict=True)
    ]


def state_bottleneck(timing: Sequence[StageTime], wall_seconds: float) -> str:
    """One sentence that names the stage which held the run, or says that none did."""
    stages = share_stages(timing, wall_seconds)
    busiest = next((stage for stage in stages if stage.is_busiest), None)
    if busiest is None:
        return "No stage times were recorded."
    idle = next((stage.share for stage in stages if stage.stage == IDLE_STAGE), None)
    waited = "" if idle is None else f"; devices waited {percent(idle)}"
    if not knows_lanes(timing, wall_seconds):
        waited = waited and f"{waited} of it"
        return f"Most time went into {busiest.stage}: {percent(busiest.share)} of all stage time{waited}."
    if busiest.share < SATURATED:
        return (
            f"No stage was saturated: the busiest, {busiest.stage}, worked {percent(busiest.share)} of the run{waited}."
        )
    return f"The bottleneck was {busiest.stage}: at work {percent(busiest.share)} of the run{waited}."


def _is_top(stage: StageTime, share: float, top: float) -> bool:
    return top > 0 and share == top and stage.stage != IDLE_STAGE
