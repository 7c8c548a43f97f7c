"""Backfill: new styles and dates over old corpora, partition by partition, the cheapest first."""

from __future__ import annotations

import time
from dataclasses import dataclass

from prefect import flow

from pipelines.command import say
from pipelines.control import RunControl, control_run, end_cancelled
from pipelines.job import Job
from pipelines.partitioned import describe_cells, draft_some, forecast_cells
from pipelines.stylize import close_run, finish_open_plans, finish_plan, open_actors, prepare
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.on_demand import PoolOnDemand
from tasks.dataset.cells import publish_draft
from tasks.partitions import PartitionSettings
from tasks.plan import Wanted
from tasks.storage import Folder


@dataclass
class Backfill:
    """What a backfill was asked for: how many cells are planned and made at once, how many are left to begin."""

    job: Job
    partitions: PartitionSettings
    at_once: int = 1
    limit: int | None = None


@flow(name="backfill partitions", flow_run_name="backfill {job.output}")
def backfill(
    job: Job,
    partitions: PartitionSettings,
    at_once: int = 1,
    limit: int | None = None,
    take_over: bool = False,
) -> RunSummary:
    """Make what is left of each partition in the styles of each wave, the cheapest first, `at_once` at a time.

    At most `limit` are begun; the same again goes on with the next. Raises RequestError before an actor starts.
    """
    return end_cancelled(lambda: run_backfill(Backfill(job, partitions, at_once, limit), take_over))


def run_backfill(asked: Backfill, take_over: bool = False) -> RunSummary:
    """What `backfill` does, in whatever flow run it is called."""
    started = time.monotonic()
    summary = RunSummary(output=asked.job.output, max_failed=asked.job.max_failed)
    wanted = prepare(asked.job)
    with control_run(asked.job.output, take_over) as control:
        control.work(lambda: make_cells(asked, wanted, summary, control), summary)
        close_run(summary)
    summary.seconds = time.monotonic() - started
    return summary


def make_cells(asked: Backfill, wanted: Wanted, summary: RunSummary, control: RunControl) -> None:
    """Finish what is open, then plan and make some cells at a time. A lost place in the chain means: find them anew."""
    with open_actors(asked.job, control) as actors:
        finish_open_plans(asked.job, actors, summary)
        while not _make_found(asked, wanted, actors, summary):
            finish_open_plans(asked.job, actors, summary)


def _make_found(asked: Backfill, wanted: Wanted, actors: PoolOnDemand, summary: RunSummary) -> bool:
    """Whether every cell that was to be made is planned; False where another driver planned meanwhile."""
    seq, cells = steps.find_what_is_left(asked.job.output, wanted, asked.partitions, say)
    summary.unplanned = len(cells)
    if not cells or asked.limit == 0:
        return True
    ordered = forecast_cells(asked.job, wanted, cells, actors.share)
    chosen = ordered[: asked.limit]
    say(describe_cells(ordered, len(chosen)))
    for start in range(0, len(chosen), asked.at_once):
        some = [one.cell for one in chosen[start : start + asked.at_once]]
        seq += 1
        # No Prefect task: it would look through every piece of the draft for results of others.
        plan = publish_draft(Folder(asked.job.output), draft_some(asked.job, wanted, some, actors.share), wanted, seq)
        if plan is None:
            return False
        summary.unplanned -= len(some)
        asked.limit = None if asked.limit is None else asked.limit - len(some)
        say(f"Plan {seq}: {', '.join(cell.partition for cell in some)}")
        finish_plan(plan, plan.corpus, actors, summary)
    return True
