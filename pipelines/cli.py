"""`atelier VERB`: thin; data on stdout, messages and progress on stderr, exit codes as DESIGN has them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.backfill_command import backfill
from pipelines.command import (
    Json,
    Root,
    TakeOver,
    open_dataset,
    print_data,
    print_forecast,
    print_summary,
    run_flow,
    write_report_anew,
)
from pipelines.endings import end_well
from pipelines.export_command import export
from pipelines.matrix_command import matrix
from pipelines.models_command import models_app
from pipelines.serve_command import serve
from pipelines.status_command import status
from pipelines.synthesize_command import synthesize
from pipelines.takedown_commands import forget, gc
from pipelines.train_command import train_app

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


def main() -> None:
    """The console script."""
    if sys.argv[1:2] != ["serve"]:  # what it serves is seen in its log alone
        # Prefect would print each RequestError with its traceback; the sentence below is enough.
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
    end_well(app)


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
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Stylize what a job wants and nobody made yet. Run it again after any interruption."""
    from pipelines.job import load_job

    loaded = load_job(job)
    if dry_run:
        print_forecast(loaded, as_json)
    else:
        _run(loaded, as_json, take_over)


@app.command()
def plan(job: JobFile, as_json: Json = False) -> None:
    """Say what a run would make and take: records, bytes, device time, codec cores. Writes nothing."""
    from pipelines.job import load_job

    print_forecast(load_job(job), as_json)


@app.command()
def represent(job: JobFile, as_json: Json = False) -> None:
    """Fill the representation store with a job's styles; stylize nothing."""
    from pipelines.job import load_job
    from pipelines.represent import represent as flow

    made, held = flow(load_job(job))
    print_data({"computed": made, "held": held}, as_json, f"{made} representations computed, {held} were there.")


app.command()(status)


@app.command()
def verify(
    root: Root,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read everything: decode every picture, and hold every row against its plan.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check plans against objects against footers against rows. Exit code 3 where anything is wrong or open."""
    from dataclasses import asdict

    from tasks.dataset.verify import verify as check

    folder = open_dataset(root)
    found = _verify_deeply(folder) if deep else check(folder)
    lines = [
        *found.problems,
        f"{found.records} records, {found.failed} failed, {found.open_shards} open shards"
        + (f", {found.forgotten} pairs forgotten" if found.forgotten else "")
        + (f", {found.pictures} pictures decoded" if deep else "")
        + (": whole." if found.is_whole else ": not whole."),
    ]
    print_data(asdict(found) | {"whole": found.is_whole}, as_json, "\n".join(lines))
    raise typer.Exit(0 if found.is_whole else 3)


@app.command()
def retry(
    root: Root,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only pairs that failed for this reason (error_class); may be given more than once."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan the failed pairs again and run that plan."""
    from pipelines.retry import retry as flow

    print_summary(run_flow(flow, open_dataset(root).uri, tuple(reason or ())), as_json)


@app.command()
def abandon(
    root: Root,
    plan: Annotated[int | None, typer.Option(min=1, help="Only this plan; default: every open one.")] = None,
    as_json: Json = False,
) -> None:
    """Give up open plans; what was committed stays, the rest may be planned again."""
    from tasks.dataset.chain import abandon_plans

    plans = abandon_plans(open_dataset(root), plan)
    said = f"Abandoned plan {', '.join(map(str, plans))}." if plans else "No plan is open."
    print_data({"abandoned": plans}, as_json, said)


@app.command()
def report(root: Root, as_json: Json = False) -> None:
    """Write the HTML report of a dataset and print where it is."""
    where = write_report_anew(open_dataset(root))
    print_data({"report": where}, as_json, where)


app.command()(export)
app.command()(forget)
app.command()(gc)
app.command()(matrix)
app.command()(backfill)
app.command()(serve)
app.command()(synthesize)
app.add_typer(train_app, name="train")
app.add_typer(models_app, name="models")


@app.command()
def schema() -> None:
    """Print the job's JSON schema; editors complete from it."""
    from pipelines.job import Job

    typer.echo(json.dumps(Job.model_json_schema(), indent=2))


def _run(job: Any, as_json: bool, take_over: bool = False) -> None:
    from pipelines.plan import find_nothing_to_do

    summary = find_nothing_to_do(job)
    if summary is None:
        from pipelines.stylize import stylize  # Prefect and Ray take seconds to import

        summary = run_flow(stylize, job, take_over)
    print_summary(summary, as_json)


def _verify_deeply(folder: Any) -> Any:
    """The deep verification, with progress on stderr."""
    from tasks.dataset.deep import check_deeply
    from tasks.dataset.ledger import Ledger
    from tasks.progress import make_bar

    ledger = Ledger(folder)
    with make_bar(sum(max(0, rows) for _, rows in ledger.footers.values()), "picture") as bar:
        return check_deeply(ledger, bar.update)


if __name__ == "__main__":
    main()
