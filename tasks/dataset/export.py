"""Exports: a dataset's records in another layout, each exactly once, by parts that are frozen before any is made.

What is to be exported is written down first, create-only, in `.atelier-export/`. Each part is some shards of the
dataset and becomes one object, or some pictures and their metadata; a part that is done is not done again. Kill it at
any moment and run it again: it completes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.dataset.identity import read_identity
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.selection import Selection, check_columns, parse_condition
from tasks.dataset.writing import read_schema
from tasks.records import RequestError
from tasks.storage import Folder

Format = Literal["parquet", "webdataset", "imagefolder"]
FOLDER = ".atelier-export"
FROZEN = f"{FOLDER}/export.json"
# Parts at once: each has a file on local disk, and a row group in memory.
WORKERS = 4
Key = tuple[int, int]


class ExportRequest(BaseModel):
    """What is asked for. `object_bytes`: about so many bytes of pictures an object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format
    styles: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    label: str | None = None
    object_bytes: int


class FrozenExport(BaseModel):
    """An export as it was begun: what was asked for, of which plans (their digests), and the shards of each part.

    `plans` are those of the new dataset, as the first part of each: a Parquet export has several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    request: ExportRequest
    chain: tuple[str, ...]
    parts: tuple[tuple[Key, ...], ...]
    plans: tuple[int, ...] = ()


@dataclass(frozen=True)
class PartDone:
    """What became of a part: records, objects and bytes; `before` where an earlier run had done it."""

    records: int
    failed: int = 0
    objects: int = 1
    bytes: int = 0
    before: bool = False


class Exporter(Protocol):
    """A layout: how parts are cut, begun, made and ended."""

    def cut(self) -> tuple[list[list[Key]], list[int]]:
        """The shards of each part, and the number of the first part of each plan, where the layout has plans."""
        ...

    def begin(self, frozen: FrozenExport) -> None:
        """Write what comes before the parts."""
        ...

    def make(self, number: int, shards: Sequence[Key]) -> PartDone:
        """Make a part, or find it made."""
        ...

    def end(self) -> None:
        """Write what comes after the parts."""
        ...


@dataclass(frozen=True)
class Exported:
    """What an export holds, and how much of it this run made; `left` shards of the dataset are not in it."""

    uri: str
    format: str
    records: int
    failed: int
    objects: int
    bytes: int
    made: int
    left: int


def select(ledger: Ledger, request: ExportRequest) -> Selection:
    """The records that a request asks for. Raises RequestError at a style or a column that is not there."""
    digests = {s.name: s.digest for plan in ledger.chain for s in ledger.forgotten.keep_styles(plan.styles)}
    for name in request.styles:
        if name not in digests:
            raise RequestError(f"The dataset has no style {name!r}, only {', '.join(sorted(digests)[:20])}.")
    conditions = [parse_condition(text) for text in request.where]
    if conditions:
        check_columns(conditions, read_schema(ledger.folder, f"data/{shard_name(*next(committed(ledger)))}"))
    styles = frozenset(digests[name] for name in request.styles) if request.styles else None
    return Selection(styles, conditions, ledger.forgotten)


def export(
    ledger: Ledger,
    target: Folder,
    request: ExportRequest,
    exporter: Exporter,
    on_shards: Callable[[int, int], None] = lambda _done, _all: None,
) -> Exported:
    """Bring an export to its end; `on_shards` is called with shards that were exported, and how many there are in all.

    Raises RequestError where there is nothing to export, or something else at the target.
    """
    frozen = _freeze(ledger, target, request, exporter)
    total = sum(map(len, frozen.parts))
    exporter.begin(frozen)

    def make(item: tuple[int, tuple[Key, ...]]) -> PartDone:
        done = exporter.make(*item)
        on_shards(len(item[1]), total)
        return done

    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(make, enumerate(frozen.parts)))
    exporter.end()
    known = {key for part in frozen.parts for key in part}
    return Exported(
        uri=target.uri,
        format=request.format,
        records=sum(part.records for part in parts),
        failed=sum(part.failed for part in parts),
        objects=sum(part.objects for part in parts),
        bytes=sum(part.bytes for part in parts),
        made=sum(part.objects for part in parts if not part.before),
        left=sum(len(ledger.open_shards(plan)) for plan in ledger.open_plans()) + len(set(committed(ledger)) - known),
    )


def committed(ledger: Ledger) -> Iterator[Key]:
    """Shards with records or failures, in the order of the plans. Raises RequestError at one that is damaged."""
    for (seq, shard), (footer, _) in ledger.footers.items():
        if footer is None or (footer.plan_digest, footer.shard) != (ledger.chain[seq - 1].digest, shard):
            raise RequestError(
                f"{ledger.folder.uri}/data/{shard_name(seq, shard)} is not the shard that was planned: "
                "`atelier verify` says more; nothing was exported."
            )
        if not footer.abandoned and footer.records + footer.failed:
            yield seq, shard


def group_by_bytes(keys: Sequence[Key], sizes: Mapping[str, int], limit: int) -> Iterator[list[Key]]:
    """Runs of shards of at most `limit` bytes together, unless one alone is larger."""
    run: list[Key] = []
    held = 0
    for key in keys:
        size = sizes[f"data/{shard_name(*key)}"]
        if run and held + size > limit:
            yield run
            run, held = [], 0
        run.append(key)
        held += size
    if run:
        yield run


def _freeze(ledger: Ledger, target: Folder, request: ExportRequest, exporter: Exporter) -> FrozenExport:
    """What was written down when the export was begun, or is now."""
    found = target.read_or_none(FROZEN)
    chain = tuple(plan.digest for plan in ledger.chain)
    if found is None:
        if read_identity(target) is not None or target.list(""):
            raise RequestError(f"There is something at {target.uri} already: export to another place.")
        parts, plans = exporter.cut()
        if not parts:
            raise RequestError(f"The dataset {ledger.folder.uri} has nothing to export: run its job first.")
        frozen = FrozenExport(
            request=request, chain=chain, parts=tuple(tuple(part) for part in parts), plans=tuple(plans)
        )
        target.publish(FROZEN, frozen.model_dump_json().encode())
        found = target.read(FROZEN)  # ours, or that of another who began at the same time
    try:
        frozen = FrozenExport.model_validate_json(found)
    except ValidationError as error:
        raise RequestError(f"{target.uri}/{FROZEN} is damaged: export to another place.") from error
    if frozen.request != request or frozen.chain != chain[: len(frozen.chain)]:
        raise RequestError(f"{target.uri} has an export of something else: ask for the same, or export elsewhere.")
    return frozen
