"""Retry: the failed pairs of a dataset, planned and made again."""

from __future__ import annotations

import time
from contextlib import suppress

from prefect import flow

from pipelines.stylize import close_run, finish_plan
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.hope import HopelessError
from tasks.actors.on_demand import PoolOnDemand
from tasks.actors.settings import ResourceSettings
from tasks.plan import read_chain
from tasks.records import RequestError
from tasks.storage import Folder


@flow(name="retry", flow_run_name="retry {root}")
def retry(root: str, reasons: tuple[str, ...] = ()) -> RunSummary:
    """Plan the failed pairs of a dataset again, and run that plan on what it was planned with.

    `reasons` keeps it to pairs that failed for these (`error_class`). Raises RequestError where there is no dataset,
    where a plan is still open, or where nothing failed for such a reason.
    """
    started = time.monotonic()
    chain = read_chain(Folder(root))
    if not chain:
        raise RequestError(f"The dataset at {root} has no plan: run a job first.")
    summary = RunSummary(output=root)
    with suppress(HopelessError), PoolOnDemand(ResourceSettings(), root, chain[-1].store, chain[-1].clip) as actors:
        plan = steps.make_retry(root, actors, frozenset(reasons))
        if plan is not None:
            finish_plan(plan, plan.corpus, actors, summary)
    close_run(summary)
    summary.seconds = time.monotonic() - started
    return summary
