"""`atelier synthesize`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synthesize(
    job: Annotated[Path, typer.Argument(help="The job, a YAML file with a `draw`.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before the bank, with a forecast.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Do not wait for a run that works on the dataset: make it stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make labelled training data: each content in styles drawn from a bank, its labels carried along."""
    import json

    from pipelines.job import load_job
    from tasks.records import RequestError

    loaded = load_job(job)
    if loaded.draw is None:
        raise RequestError("The job has no `draw`: add one (`draw: {styles: 1}`), or run it with `atelier run`.")
    if dry_run:
        from dataclasses import asdict

        from pipelines.forecast import forecast_job

        made = forecast_job(loaded)
        shown = asdict(made) if made else None
        text = made.describe() if made else "Nothing to do."
        typer.echo(json.dumps(shown, indent=1) if as_json else text)
        return
    from pipelines.cli import print_summary, run_flow
    from pipelines.synthesize import synthesize as flow  # Prefect and Ray take seconds to import

    print_summary(run_flow(flow, loaded, take_over), as_json)
