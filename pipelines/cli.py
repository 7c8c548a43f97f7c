"""`atelier VERB`: thin; data on stdout, messages and progress on stderr, exit codes as DESIGN has them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.matrix_command import matrix
from pipelines.models_command import models_app
from pipelines.synthesize_command import synthesize
from pipelines.train_command import train_app
from tasks.records import RequestError

app = typer.Typer(
    name="atelier",
    help="Stylize whole image corpora into Parquet.\n\n"
    "Exit codes: 0 every wanted pair has a record; 1 too many failed; 2 the job or the request is wrong; "
    "3 incomplete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

JobFile = Annotated[Path, typer.Argument(help="The job, a YAML file.", show_default=False)]
Root = Annotated[str, typer.Argument(help="Path or URI of a dataset.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The console script."""
    # Prefect would print each RequestError with its traceback; the sentence below is enough.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
    try:
        app()
    except RequestError as error:
        typer.echo(f"atelier: {error}", err=True)
        sys.exit(2)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the demo's corpus and dataset.")] = Path("out/demo"),
    as_json: Json = False,
) -> None:
    """Stylize a sample corpus with embedded weights: no job, no download."""
    from pipelines.demo import demo_job

    _run(demo_job(output), as_json)


@app.command()
def run(
    job: JobFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before the plan, with a forecast.")] = False,
    as_json: Json = False,
) -> None:
    """Stylize what a job wants and nobody made yet. Run it again after any interruption."""
    from pipelines.job import load_job

    loaded = load_job(job)
    if dry_run:
        _print_forecast(loaded, as_json)
    else:
        _run(loaded, as_json)


@app.command()
def plan(job: JobFile, as_json: Json = False) -> None:
    """Say what a run would make and take: records, bytes, device time, codec cores. Writes nothing."""
    from pipelines.job import load_job

    _print_forecast(load_job(job), as_json)


@app.command()
def represent(job: JobFile, as_json: Json = False) -> None:
    """Fill the representation store with a job's styles; stylize nothing."""
    from pipelines.job import load_job
    from pipelines.represent import represent as flow

    made, held = flow(load_job(job))
    _print({"computed": made, "held": held}, as_json, f"{made} representations computed, {held} were there.")


@app.command()
def status(root: Root, as_json: Json = False) -> None:
    """Say how far each plan of a dataset is."""
    from tasks.dataset.ledger import Ledger

    plans = Ledger(_dataset(root)).status()
    rows = [
        {
            "plan": one.plan.seq,
            "kind": one.plan.kind,
            "created": one.plan.created,
            "pairs": one.plan.pairs,
            "shards": one.plan.shards,
            "open": one.open_shards,
            "records": one.records,
            "failed": one.failed,
            "abandoned": one.abandoned,
        }
        for one in plans
    ]
    lines = [
        f"plan {r['plan']} ({r['kind']}, {r['created']}): {r['pairs']} pairs in {r['shards']} shards, "
        f"{r['open']} open; {r['records']} records, {r['failed']} failed" + (", abandoned" if r["abandoned"] else "")
        for r in rows
    ]
    _print(rows, as_json, "\n".join(lines) or "No plan yet.")
    raise typer.Exit(3 if any(row["open"] for row in rows) else 0)


@app.command()
def verify(root: Root, as_json: Json = False) -> None:
    """Check plans against objects against footers against rows."""
    from dataclasses import asdict

    from tasks.dataset.verify import verify as check

    found = check(_dataset(root))
    lines = [
        *found.problems,
        f"{found.records} records, {found.failed} failed, {found.open_shards} open shards: "
        + ("whole." if found.is_whole else "not whole."),
    ]
    _print(asdict(found) | {"whole": found.is_whole}, as_json, "\n".join(lines))
    raise typer.Exit(0 if found.is_whole else 3)


@app.command()
def retry(root: Root, as_json: Json = False) -> None:
    """Plan the failed pairs again and run that plan."""
    from pipelines.retry import retry as flow

    _print_summary(flow(_dataset(root).uri), as_json)


@app.command()
def abandon(root: Root, as_json: Json = False) -> None:
    """Give up every open plan; what was committed stays, the rest may be planned again."""
    from tasks.dataset.chain import abandon_plans

    plans = abandon_plans(_dataset(root))
    said = f"Abandoned plan {', '.join(map(str, plans))}." if plans else "No plan is open."
    _print({"abandoned": plans}, as_json, said)


@app.command()
def report(root: Root, as_json: Json = False) -> None:
    """Write the HTML report of a dataset and print where it is."""
    from tasks.dataset.ledger import Ledger
    from tasks.dataset.verify import check
    from tasks.summary import report_data, write_report

    ledger = Ledger(_dataset(root))
    where = write_report(ledger.folder, report_data(ledger, check(ledger)))
    _print({"report": where}, as_json, where)


app.command()(matrix)
app.command()(synthesize)
app.add_typer(train_app, name="train")
app.add_typer(models_app, name="models")


@app.command()
def schema() -> None:
    """Print the job's JSON schema; editors complete from it."""
    from pipelines.job import Job

    typer.echo(json.dumps(Job.model_json_schema(), indent=2))


def _run(job: Any, as_json: bool) -> None:
    from pipelines.plan import find_nothing_to_do

    summary = find_nothing_to_do(job)
    if summary is None:
        from pipelines.stylize import stylize  # Prefect and Ray take seconds to import

        summary = stylize(job)
    _print_summary(summary, as_json)


def _print_summary(summary: Any, as_json: bool) -> None:
    _print(summary.to_json(), as_json, summary.describe())
    raise typer.Exit(summary.exit_code)


def _print_forecast(job: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from pipelines.forecast import forecast_job

    made = forecast_job(job)
    _print(asdict(made) if made else None, as_json, made.describe() if made else "Nothing to do.")


def _print(data: Any, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(data, indent=1, default=str) if as_json else text)


def _dataset(root: str) -> Any:
    """The folder of a dataset. Raises RequestError where there is none."""
    from tasks.dataset.identity import read_identity
    from tasks.storage import Folder

    # Actors have working directories of their own.
    folder = Folder(root if "://" in root else str(Path(root).expanduser().absolute()))
    if read_identity(folder) is None:
        raise RequestError(f"There is no dataset at {root}: it has no dataset.json.")
    return folder


if __name__ == "__main__":
    main()
