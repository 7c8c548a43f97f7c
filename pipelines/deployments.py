"""Flows for deployments: each takes the path of a job file, and fails where a person should look.

Prefect stores parameters, so they are paths and plain values: a job's content, where it may name what the environment
holds, stays out of its database.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from prefect import flow

from pipelines.backfill import Backfill, run_backfill
from pipelines.control import end_cancelled
from pipelines.job import load_job
from pipelines.stylize import run_job
from pipelines.summary import RunSummary
from pipelines.synthesize import run_synthesis
from tasks import steps
from tasks.dataset.lease import read_lease
from tasks.dataset.ledger import Ledger
from tasks.partitions import PartitionSettings
from tasks.storage import Folder


class UnfinishedError(Exception):
    """A run ended, and its dataset is not as it should be."""


@flow(name="nightly", flow_run_name="stylize {job}")
def nightly(job: str) -> dict[str, Any]:
    """Stylize what is new of a job. Raises UnfinishedError where it is incomplete, or too many records failed."""
    return end_cancelled(lambda: _finish(run_job(load_job(job))))


@flow(name="weekly", flow_run_name="verify {job}")
def weekly(job: str) -> dict[str, Any]:
    """Verify the dataset of a job. Raises UnfinishedError at problems, and at open shards that nobody works on."""
    folder = Folder(load_job(job).output)
    found = steps.verify(Ledger(folder))
    lease = read_lease(folder)
    idle = lease is None or lease.is_over
    if found.problems or (found.open_shards and idle):
        left = [f"{found.open_shards} shards are open, and no run is at work."] * bool(found.open_shards and idle)
        raise UnfinishedError("\n".join([*found.problems, *left]))
    return {"records": found.records, "failed": found.failed, "open_shards": found.open_shards}


@flow(name="backfill", flow_run_name="backfill {job}")
def backfill(
    job: str,
    by: Literal["prefix", "date"] = "prefix",
    depth: int = 1,
    first: date | None = None,
    last: date | None = None,
    at_once: int = 1,
    limit: int | None = None,
) -> dict[str, Any]:
    """Make what is left of a job by partition, the cheapest first. What `limit` leaves to the next is no failure."""
    partitions = PartitionSettings(by=by, depth=depth, first=first, last=last)
    return end_cancelled(lambda: _finish(run_backfill(Backfill(load_job(job), partitions, at_once, limit))))


@flow(name="synthesis", flow_run_name="synthesize {job}")
def synthesis(job: str) -> dict[str, Any]:
    """Make what a job with a `draw` draws and nobody made yet. Raises UnfinishedError as `nightly` does."""
    return end_cancelled(lambda: _finish(run_synthesis(load_job(job))))


def _finish(summary: RunSummary) -> dict[str, Any]:
    left, summary.unplanned = summary.unplanned, 0
    if summary.exit_code:
        raise UnfinishedError(summary.describe())
    return summary.to_json() | {"unplanned": left}
