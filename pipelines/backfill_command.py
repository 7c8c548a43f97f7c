"""`atelier backfill`: its options."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipelines.command import Json, TakeOver, print_data, print_summary, run_flow


def backfill(
    job: Annotated[Path, typer.Argument(help="The job, a YAML file.", show_default=False)],
    by: Annotated[
        Literal["prefix", "date"],
        typer.Option(help="Partitions: leading folders, or the first date in a path (2026-11-27 or 2026/11/27)."),
    ] = "prefix",
    depth: Annotated[int, typer.Option(min=1, max=32, help="Leading folders that name a partition.")] = 1,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The earliest date, of partitions by date.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The latest date, of partitions by date.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Partitions that are planned and made at once.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Begin at most so many; the next time goes on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before, with the forecast.")] = False,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Make what is left of a job partition by partition, each in the styles of one method, the cheapest first."""
    from pipelines.job import load_job

    loaded = load_job(job)
    partitions = _partitions(by, depth, first, last)
    if dry_run:
        _print_forecast(loaded, partitions, limit, as_json)
        return
    from pipelines.backfill import backfill as flow

    print_summary(run_flow(flow, loaded, partitions, at_once, limit, take_over), as_json)


def _partitions(by: Literal["prefix", "date"], depth: int, first: datetime | None, last: datetime | None) -> Any:
    from pydantic import ValidationError

    from tasks.partitions import PartitionSettings
    from tasks.records import RequestError

    try:
        return PartitionSettings(
            by=by, depth=depth, first=first.date() if first else None, last=last.date() if last else None
        )
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise RequestError(f"The partitions are wrong: {reason}.") from error


def _print_forecast(job: Any, partitions: Any, limit: int | None, as_json: bool) -> None:
    from pipelines.partitioned import describe_cells, forecast_backfill

    cells = forecast_backfill(job, partitions)
    chosen = len(cells[:limit])
    print_data([one.to_json() for one in cells], as_json, describe_cells(cells, chosen))
