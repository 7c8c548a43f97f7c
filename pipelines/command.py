"""What commands have in common: arguments, the folder of a dataset, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.records import RequestError

Root = Annotated[str, typer.Argument(help="Path or URI of a dataset.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Do not wait for a run that works on the dataset: make it stop.")
]


def open_dataset(root: str) -> Any:
    """The folder of a dataset. Raises RequestError where there is none."""
    from tasks.dataset.identity import read_identity
    from tasks.storage import Folder

    folder = Folder(make_absolute(root))
    if read_identity(folder) is None:
        raise RequestError(f"There is no dataset at {root}: it has no dataset.json.")
    return folder


def make_absolute(path: str) -> str:
    """A path from the root of the disk, since actors have working directories of their own; a URI as it is."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


def print_data(data: Any, as_json: bool, text: str) -> None:
    """Print data as JSON, or as text."""
    typer.echo(json.dumps(data, indent=1, default=str) if as_json else text)


def say(text: str) -> None:
    """Tell of something on stderr."""
    typer.echo(text, err=True)


def run_flow(flow: Callable[..., Any], *arguments: object) -> Any:
    """What a flow gives. One that was cancelled by way of Prefect's server ends the command as incomplete."""
    from prefect.exceptions import CancelledRun

    try:
        return flow(*arguments)
    except CancelledRun as error:
        typer.echo(f"atelier: {error}", err=True)
        raise typer.Exit(3) from error


def print_summary(summary: Any, as_json: bool) -> None:
    """Print what a run did; ends the command."""
    print_data(summary.to_json(), as_json, summary.describe())
    raise typer.Exit(summary.exit_code)


def print_forecast(job: Any, as_json: bool) -> None:
    """Print what a run of a job would make and take."""
    from pipelines.forecast import forecast_job

    made = forecast_job(job)
    print_data(asdict(made) if made else None, as_json, made.describe() if made else "Nothing to do.")


def write_report_anew(folder: Any) -> str:
    """Write the report of a dataset as it stands now; gives its URI."""
    from tasks.dataset.ledger import Ledger
    from tasks.dataset.verify import check
    from tasks.summary import report_data, write_report

    ledger = Ledger(folder)
    return write_report(folder, report_data(ledger, check(ledger)))
