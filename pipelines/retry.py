"""Retry: the failed pairs of a dataset, planned and made again."""

from __future__ import annotations

import time
from contextlib import suppress

from prefect import flow

from pipelines.control import RunControl, control_run, end_cancelled
from pipelines.stylize import close_run, finish_plan
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.hope import HopelessError
from tasks.actors.on_demand import PoolOnDemand
from tasks.actors.settings import ResourceSettings
from tasks.plan import Plan, read_chain
from tasks.records import RequestError
from tasks.storage import Folder


@flow(name="retry", flow_run_name="retry {root}")
def retry(root: str, reasons: tuple[str, ...] = ()) -> RunSummary:
    """Plan the failed pairs of a dataset again, and run that plan on what it was planned with.

    `reasons` keeps it to pairs that failed for these (`error_class`). Raises RequestError where there is no dataset,
    where a plan is still open, or where nothing failed for such a reason.
    """
    return end_cancelled(lambda: run_retry(root, reasons))


def run_retry(root: str, reasons: tuple[str, ...] = ()) -> RunSummary:
    """What `retry` does, in whatever flow run it is called."""
    started = time.monotonic()
    if not read_chain(Folder(root)):
        raise RequestError(f"The dataset at {root} has no plan: run a job first.")
    summary = RunSummary(output=root)
    with control_run(root) as control:
        last = read_chain(Folder(root))[-1]
        control.work(lambda: make_retried(root, last, summary, control, frozenset(reasons)), summary)
        close_run(summary)
    summary.seconds = time.monotonic() - started
    return summary


def make_retried(root: str, last: Plan, summary: RunSummary, control: RunControl, reasons: frozenset[str]) -> None:
    """Plan and make what had failed, or what a pause left of it; with what the last plan was made with."""
    actors = PoolOnDemand(ResourceSettings(), root, last.store, last.clip, control.check)
    with suppress(HopelessError), actors:
        held = [plan for plan in steps.find_open_plans(root) if plan.seq > last.seq]
        plan = held[0] if held else steps.make_retry(root, actors, reasons)
        if plan is not None:
            finish_plan(plan, plan.corpus, actors, summary)
