"""Serve jobs on a schedule without a work pool: runs are processes of the one that serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.flows import Flow
from prefect.schedules import Cron, Schedule
from prefect.settings import PREFECT_API_URL
from pydantic import ValidationError

from pipelines.deployments import backfill, nightly, weekly
from pipelines.job import load_job
from tasks.records import RequestError

TAG = "atelier"  # infra/automations.yaml watches runs that have it


def serve_jobs(jobs: Sequence[Path], cron: str, verify_cron: str, timezone: str, limit: int) -> None:
    """Stylize jobs by one schedule and verify them by another, at most `limit` at once, until SIGTERM or SIGINT.

    Raises RequestError at a wrong job or schedule, and where no server is configured.
    """
    if not PREFECT_API_URL.value():
        raise RequestError(
            "A schedule needs a Prefect server: `prefect server start`, and in PREFECT_API_URL the address it prints."
        )
    paths = [job.expanduser().resolve() for job in jobs]
    doubled = next((path.stem for path in paths if [other.stem for other in paths].count(path.stem) > 1), None)
    if doubled is not None:
        raise RequestError(f"Two jobs are named {doubled!r}: deployments go by the name of the file, so rename one.")
    nights, weeks = _schedule(cron, timezone), _schedule(verify_cron, timezone)
    for path in paths:
        load_job(path)
    flows: dict[Flow[..., Any], Schedule | None] = {nightly: nights, weekly: weeks, backfill: None}
    serve(*(_deploy(flow, path, schedule) for path in paths for flow, schedule in flows.items()), limit=limit)


def _deploy(flow: Flow[..., Any], job: Path, schedule: Schedule | None) -> RunnerDeployment:
    made = flow.to_deployment(
        name=job.stem,
        parameters={"job": str(job)},
        schedule=schedule,
        tags=[TAG],
        paused=False,  # whoever served them last has paused them when it stopped
        # By module: whatever folder this was started in, its processes find it.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)  # of a caller that is not async
    return made


def _schedule(cron: str, timezone: str) -> Schedule:
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise RequestError(
            f"The schedule {cron!r} in {timezone!r} is wrong: write five fields of cron, such as '0 2 * * *', and a "
            "time zone, such as Europe/Vienna."
        ) from error
    return Cron(cron, timezone=timezone)
