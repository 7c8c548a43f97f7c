"""`atelier serve`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    jobs: Annotated[list[Path], typer.Argument(help="Jobs, YAML files.", show_default=False)],
    cron: Annotated[str, typer.Option(help="When to stylize what is new, in the five fields of cron.")] = "0 2 * * *",
    verify_cron: Annotated[str, typer.Option(help="When to verify the datasets.")] = "0 6 * * 0",
    timezone: Annotated[str, typer.Option(help="Time zone of both.")] = "UTC",
    limit: Annotated[int, typer.Option(min=1, help="Runs at once, of all jobs together.")] = 1,
) -> None:
    """Stylize and verify jobs on a schedule, by a Prefect server and no work pool, until this command is stopped."""
    from pipelines.serve import serve_jobs

    serve_jobs(jobs, cron, verify_cron, timezone, limit)
