"""`atelier forget` and `atelier gc`: what a dataset should not hold any more."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.command import Json, Root, open_dataset, print_data, say, write_report_anew
from tasks.records import RequestError

if TYPE_CHECKING:
    from tasks.dataset.forget import Takedown

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")]


def forget(
    root: Root,
    content: Annotated[
        list[str] | None, typer.Option(help="A content, by its content_id; may be given more than once.")
    ] = None,
    style: Annotated[list[str] | None, typer.Option(help="A style, by name; may be given more than once.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take contents or styles down: the objects that hold them are rewritten, and they do not come back.

    Without --content and --style, finishes a takedown that was interrupted. Every pair of them goes from data/ and
    failures/, a style's representation from the dataset's own store, and every report (the newest is written anew).
    Plans keep the names, tombstones in forgotten/ only digests of them. A style that contents drew from a bank is
    named as its records name it: its tensors leave the bank, and no other content draws differently for it. Copies
    elsewhere are not touched: exports, shared stores, older versions of objects in a bucket that keeps them, the
    corpus and the bank's own pictures. Styles of the same pictures under other names stay. An older atelier refuses
    the dataset from then on.
    """
    from tasks.datacard import FIGURES, write_card
    from tasks.dataset.forget import carry_out, find_takedown
    from tasks.dataset.ledger import Ledger
    from tasks.progress import make_bar

    folder = open_dataset(root)
    ledger = Ledger(folder)
    takedown = find_takedown(ledger, content or (), style or ())
    if yes:
        with make_bar(len(takedown.shards), "shard") as bar:
            carry_out(folder, takedown, lambda _: bar.update())
        if takedown.reports:
            write_report_anew(folder)
        if folder.exists(FIGURES):
            write_card(Ledger(folder))
    for remark in takedown.remarks:
        say(remark)
    print_data(_to_json(takedown, yes), as_json, _describe(takedown, yes))


def _to_json(takedown: Takedown, done: bool) -> dict[str, object]:
    return {
        "done": done,
        "records": takedown.records,
        "failed": takedown.failed,
        "shards": [f"{seq:05d}-{shard:05d}" for seq, shard in takedown.shards],
        "representations": list(takedown.representations),
        "banks": [bank.name for bank in takedown.banks],
        "reports": list(takedown.reports),
        "remarks": list(takedown.remarks),
    }


def _describe(takedown: Takedown, done: bool) -> str:
    counts = (
        f"{takedown.records} records and {takedown.failed} failures in {len(takedown.shards)} shards, "
        f"{len(takedown.representations)} representations, {_count_banks(takedown)}{len(takedown.reports)} reports"
    )
    return f"Forgotten: {counts}." if done else f"Would be forgotten: {counts}. Add --yes to do it."


def _count_banks(takedown: Takedown) -> str:
    held = sum(len(bank.styles) for bank in takedown.banks)
    return f"{held} styles in {len(takedown.banks)} banks, " if held else ""


def gc(
    root: Root,
    older_than: Annotated[
        str, typer.Option(help="Leave alone what is younger: it may be at work. 90m, 12h, 1d, 2w.")
    ] = "1d",
    keep_reports: Annotated[int, typer.Option(min=1, help="Reports to keep, the newest.")] = 10,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Find what interrupted or lost work left in a dataset, and delete it with --yes. Data is never among it.

    Temporary files and probes, pieces of plans that were never made, failures of shards that no plan has,
    representations in the dataset's own store that no plan uses (also of a job that was only represented so far),
    uploads to S3 that were never completed, old reports. A shared store is left alone.
    """
    from tasks.dataset.gc import delete_orphans, find_orphans
    from tasks.dataset.ledger import Ledger

    ledger = Ledger(open_dataset(root))
    orphans = find_orphans(ledger, parse_age(older_than), keep_reports)
    if yes:
        delete_orphans(ledger.folder, orphans)
    data = [
        {"name": one.name, "bytes": one.bytes, "modified": one.modified.isoformat(), "why": one.why} for one in orphans
    ]
    lines = [f"{one.name}: {one.why}" for one in orphans]
    total = f"{len(orphans)} orphans, {sum(one.bytes for one in orphans)} bytes"
    lines.append(f"{total}, deleted." if yes else f"{total}. Add --yes to delete them." if orphans else "No orphans.")
    print_data({"deleted": yes, "orphans": data}, as_json, "\n".join(lines))


def parse_age(text: str) -> timedelta:
    """`90m`, `12h`, `1d`, `2w` as a span of time. Raises RequestError."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if match is None:
        raise RequestError(f"{text!r} is no age: write a number and s, m, h, d or w, such as 12h or 1d.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
