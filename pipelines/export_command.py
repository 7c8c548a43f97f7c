"""`atelier export`: a dataset's records in another layout."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.command import Json, Root, make_absolute, open_dataset, print_data, say

if TYPE_CHECKING:
    from tasks.dataset.export import Exported, Exporter, ExportRequest
    from tasks.dataset.ledger import Ledger
    from tasks.storage import Folder


def export(
    root: Root,
    to: Annotated[str, typer.Option("--to", help="Where to: an empty place, path or URI.")],
    layout: Annotated[
        Literal["parquet", "webdataset", "imagefolder"],
        typer.Option(
            "--format",
            help="parquet: a new dataset, compacted. webdataset: tars. imagefolder: a tree by style, metadata.jsonl.",
        ),
    ] = "parquet",
    style: Annotated[list[str] | None, typer.Option(help="Only this style; may be given more than once.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help='Only records of which this holds, such as "clip_text >= 0.25"; all of several must.'),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="webdataset: the column of class numbers; default: the corpus's own.")
    ] = None,
    size: Annotated[
        int, typer.Option(min=1, max=4096, help="Megabytes of an object at most, unless one shard is larger.")
    ] = 512,
    as_json: Json = False,
) -> None:
    """Export records: a compacted dataset, WebDataset tars or an ImageFolder; each exactly once.

    Run it again after any interruption, with the same options: what is done is not done again. `parquet` makes a
    dataset that every verb takes, and that owns what this one owns. Exit code 3 where shards of the dataset are open,
    or were committed after the export was begun: they are not in it.
    """
    from tasks.dataset import export as exports
    from tasks.dataset.ledger import Ledger
    from tasks.progress import LateBar
    from tasks.storage import Folder

    ledger, target = Ledger(open_dataset(root)), Folder(make_absolute(to))
    request = exports.ExportRequest(
        format=layout, styles=tuple(style or ()), where=tuple(where or ()), label=label, object_bytes=size * 10**6
    )
    with LateBar("shard") as bar:
        done = exports.export(ledger, target, request, _open(ledger, target, request), bar.show)
    problems = _verify(target) if layout == "parquet" else []
    for problem in problems:
        say(problem)
    print_data(asdict(done) | {"problems": problems}, as_json, _describe(done))
    raise typer.Exit(3 if done.left or problems else 0)


def _open(ledger: Ledger, target: Folder, request: ExportRequest) -> Exporter:
    from tasks.dataset.archives import ArchiveExporter
    from tasks.dataset.compact import CompactExporter
    from tasks.dataset.trees import TreeExporter

    kinds: dict[str, Any] = {
        "parquet": CompactExporter,
        "webdataset": ArchiveExporter,
        "imagefolder": TreeExporter,
    }
    exporter: Exporter = kinds[request.format](ledger, target, request)
    return exporter


def _verify(target: Folder) -> list[str]:
    """What is wrong with the new dataset, by the same check as any other's."""
    from tasks.dataset.verify import verify

    return verify(target).problems


def _describe(done: Exported) -> str:
    lines = [
        f"{done.records} records, {done.failed} failed in {done.objects} objects of {done.uri}, {done.bytes} bytes; "
        f"{done.made} made now"
    ]
    if done.left:
        lines.append(f"{done.left} shards of the dataset are not in it: run its job to the end, and export elsewhere.")
    return "\n".join(lines)
