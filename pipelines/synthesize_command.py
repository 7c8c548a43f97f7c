"""`atelier synthesize`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.command import Json, TakeOver, print_forecast, print_summary, run_flow


def synthesize(
    job: Annotated[Path, typer.Argument(help="The job, a YAML file with a `draw`.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before the bank, with a forecast.")] = False,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Make labelled training data: each content in styles drawn from a bank, its labels carried along."""
    from pipelines.job import load_job
    from pipelines.plan import ask_for_draw

    loaded = load_job(job)
    ask_for_draw(loaded)
    if dry_run:
        print_forecast(loaded, as_json)
        return
    from pipelines.synthesize import synthesize as flow  # Prefect and Ray take seconds to import

    print_summary(run_flow(flow, loaded, take_over), as_json)
