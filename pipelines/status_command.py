"""`atelier status`: how far a dataset is, once or again and again, from storage alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.command import Json, Root, open_dataset, print_data

if TYPE_CHECKING:
    from tasks.dataset.ledger import Ledger
    from tasks.dataset.status import Pace, PlanProgress

NAMED = 5  # stragglers of a plan


def status(
    root: Root,
    as_json: Json = False,
    watch: Annotated[
        float | None, typer.Option(min=0.1, help="Look again after so many seconds, until nothing is open.")
    ] = None,
) -> None:
    """Say how far each plan is: shards, images per second, time to go, stragglers, failures by reason.

    Reads storage alone, so it can be asked on any machine. Exit code 3 while shards are open.
    """
    from tasks.dataset.lease import read_lease
    from tasks.dataset.ledger import Ledger
    from tasks.dataset.status import read_progress

    folder = open_dataset(root)
    ledger: Ledger | None = None
    while True:
        ledger = Ledger(folder, ledger)
        lease = read_lease(folder)
        plans = read_progress(ledger, datetime.now(UTC), None if lease is None else not lease.is_over)
        is_open = any(one.status.open_shards for one in plans)
        if watch is None or not is_open:
            break
        _show(plans, as_json, compact=True)
        time.sleep(watch)
    _show(plans, as_json, compact=watch is not None)
    raise typer.Exit(3 if is_open else 0)


def _show(plans: list[PlanProgress], as_json: bool, compact: bool) -> None:
    """Print all plans; watched, a line of JSON each time."""
    data = [one.to_json() for one in plans]
    if as_json and compact:
        typer.echo(json.dumps(data, default=str))
        return
    print_data(data, as_json, "\n".join(line for one in plans for line in describe(one)) or "No plan yet.")


def describe(one: PlanProgress) -> Iterator[str]:
    """A plan in a few lines."""
    status, plan = one.status, one.status.plan
    yield (
        f"plan {plan.seq} ({plan.kind}, {plan.created}): {plan.pairs} pairs in {plan.shards} shards, "
        f"{status.open_shards} open; {status.records} records, {status.failed} failed"
        + (f", {status.forgotten} forgotten" if status.forgotten else "")
        + (", abandoned" if status.abandoned else "")
    )
    if one.reasons:
        yield "  failed: " + ", ".join(f"{reason} {count}" for reason, count in one.reasons.items())
    if one.pace is not None and status.open_shards:
        yield from _describe_pace(one.pace)


def _describe_pace(pace: Pace) -> Iterator[str]:
    going = f"{_say(pace.eta_seconds)} to go" if pace.eta_seconds is not None else "nobody seems to be at work"
    yield (
        f"  {pace.images_per_second:.2f} images/s, {pace.shard_seconds:.1f} s a shard; "
        f"the last commit {_say(pace.idle_seconds)} ago; {going}"
    )
    for one in pace.stragglers[:NAMED]:
        times = one.seconds / max(pace.shard_seconds, 0.001)
        yield f"  shard {one.shard} is open for at least {_say(one.seconds)}, {times:.0f} times the median"
    if len(pace.stragglers) > NAMED:
        yield f"  and {len(pace.stragglers) - NAMED} stragglers more"


def _say(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
