"""Verify: plans against objects against footers against rows. Every owned pair is one record, or one failure."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.listing import map_ahead
from tasks.dataset.drawn import DrawCheck, open_check
from tasks.dataset.footer import ShardFooter
from tasks.dataset.identity import NAME as DATASET
from tasks.dataset.identity import read_identity
from tasks.dataset.ledger import (
    PAIR_COLUMNS,
    READERS,
    Ledger,
    PairKey,
    pair_rows,
    planned_pairs,
    read_columns,
    shard_name,
)
from tasks.ownership import Ownership, Want
from tasks.plan import Plan
from tasks.planned import PiecesByShard, PlannedPiece
from tasks.records import RequestError
from tasks.storage import Folder

# Footer and rows of what stands in a shard's place; None where nothing does.
Found = tuple[ShardFooter | None, int] | None


@dataclass
class Verification:
    """What verify found: counts, and each problem as one sentence with the object it is about.

    `forgotten` counts pairs of committed shards that were taken down; they have no record, and are not lost. `pictures`
    counts those that were decoded and are good, where it was asked for.
    """

    records: int = 0
    failed: int = 0
    forgotten: int = 0
    pictures: int = 0
    open_shards: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every owned pair has exactly one record or failure."""
        return not self.problems and not self.open_shards


def verify(folder: Folder) -> Verification:
    """Check a dataset as it stands now.

    Damage is a problem, named; a hole in the chain of plans is a RequestError, for nothing can be known then.
    """
    return check(Ledger(folder))


def check(ledger: Ledger) -> Verification:
    """Check one reading of a dataset: plans, footers and the identity columns of the rows; no pictures."""
    found = Verification(problems=[*_check_identity(ledger), *_strangers(ledger)])
    owned, failed = Ownership(), set[PairKey]()
    for plan in ledger.chain:
        try:
            shards = ledger.shards(plan)
            found.problems += _overlaps(ledger, plan, owned)
        except RequestError as error:
            found.problems.append(str(error))
            continue
        draws, problems = open_check(ledger.folder, plan, ledger.forgotten)
        found.problems += problems
        with ThreadPoolExecutor(READERS) as pool:
            work = _list_work(ledger, plan, shards, draws)
            for one in map_ahead(pool, lambda item: _check_shard(*item), work, 2 * READERS):
                _add(found, one, plan, failed)
    found.failed = len(failed)
    return found


@dataclass
class _Shard:
    """What one shard holds."""

    open: bool = False
    records: int = 0
    forgotten: int = 0
    failed: list[PairKey] = field(default_factory=list)
    retried: set[PairKey] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def _list_work(
    ledger: Ledger, plan: Plan, shards: PiecesByShard, draws: DrawCheck | None
) -> Iterator[tuple[Ledger, Plan, int, list[PlannedPiece], Found, DrawCheck | None]]:
    """Each shard with its pieces and its footer, looked up here: each thread would begin to read all of them."""
    for shard in range(plan.shards):
        yield ledger, plan, shard, shards.get(shard, []), ledger.footers.get((plan.seq, shard)), draws


def _add(found: Verification, one: _Shard, plan: Plan, failed: set[PairKey]) -> None:
    found.records += one.records
    found.forgotten += one.forgotten
    found.open_shards += one.open
    found.problems += one.problems
    strangers = one.retried - failed
    if strangers:
        found.problems.append(f"plan {plan.seq} retries {len(strangers)} pairs that had not failed")
    failed -= one.retried
    failed |= set(one.failed)


def _check_shard(
    ledger: Ledger,
    plan: Plan,
    shard: int,
    planned: list[PlannedPiece],
    found: Found,
    draws: DrawCheck | None,
) -> _Shard:
    """Check what was found in a shard's place, its footer and rows; None where nothing is there."""
    name = f"data/{shard_name(plan.seq, shard)}"
    if found is None:
        abandoned = plan.seq in ledger.abandoned
        problems = [f"{name}: its abandoning is not finished; run `atelier abandon` again"] if abandoned else []
        return _Shard(open=not abandoned, problems=problems)
    footer, rows = found
    if footer is None or (footer.plan_digest, footer.shard) != (plan.digest, shard):
        return _Shard(problems=[f"{name}: not the shard that was planned"])
    try:
        return _check_rows(ledger, plan, footer, rows, planned, draws)
    except (ValueError, OSError, KeyError) as error:
        return _Shard(problems=[f"{name}: cannot be read ({type(error).__name__})"])


def _check_rows(
    ledger: Ledger,
    plan: Plan,
    footer: ShardFooter,
    rows: int,
    planned: list[PlannedPiece],
    draws: DrawCheck | None = None,
) -> _Shard:
    """Compare a shard's rows and failures with its plan. Raises ValueError or OSError where it is damaged."""
    name = f"data/{shard_name(footer.plan, footer.shard)}"
    problems = list(_compare_copy(ledger.folder, footer))
    if footer.abandoned:
        tombless = [] if plan.seq in ledger.abandoned else [f"{name}: abandoned, but its plan is not"]
        return _Shard(problems=problems + tombless + ([f"{name}: abandoned, but holds {rows} rows"] if rows else []))
    data = read_columns(ledger.folder, name, [*PAIR_COLUMNS, *(draws.columns if draws else [])])
    records = Counter(pair_rows(data))
    table = footer.failure_table()
    failures = [] if table is None else list(pair_rows(table))
    planned_here = {pair for piece in planned for pair in planned_pairs(plan, piece)}
    got = records + Counter(failures)
    gone = ledger.forgotten.of(planned_here)
    if draws:
        missing = planned_here - gone - set(got)
        gone |= draws.taken_down(planned_here - gone, missing, footer.forgotten - len(gone))
    problems += _compare_counts(name, footer, rows, records.total(), len(failures))
    problems += _compare_pairs(name, planned_here - gone, got, gone)
    tables = [data] if table is None else [data, table]
    if held := sum(map(ledger.forgotten.count, tables)):
        problems.append(f"{name}: {held} pairs were taken down and are still there; run `atelier forget` again")
    for one in tables if draws else ():
        problems += draws.problems(name, one) if draws else ()
    return _Shard(
        records=records.total(),
        forgotten=len(gone - set(got)),
        failed=[pair for pair in failures if pair not in gone],
        retried=planned_here - gone if plan.kind == "retry" else set(),
        problems=problems,
    )


def _compare_counts(name: str, footer: ShardFooter, rows: int, records: int, failed: int) -> Iterator[str]:
    if not footer.records == rows == records:
        yield f"{name}: the footer says {footer.records} records, the file has {rows}, its rows name {records}"
    if footer.failed != failed:
        yield f"{name}: the footer says {footer.failed} failures and holds {failed}"


def _compare_pairs(name: str, wanted: set[PairKey], got: Counter[PairKey], gone: set[PairKey]) -> Iterator[str]:
    lost, strange = wanted - set(got), set(got) - wanted - gone
    doubled = [pair for pair, count in got.items() if count > 1]
    for what, pairs in (("lost", lost), ("not planned", strange), ("doubled", doubled)):
        if pairs:
            yield f"{name}: {len(pairs)} pairs {what}, for one {min(pairs)[0]}"


def _compare_copy(folder: Folder, footer: ShardFooter) -> Iterator[str]:
    """`failures/` is a copy of what the footer holds."""
    name = f"failures/{shard_name(footer.plan, footer.shard)}"
    data, table = folder.read_or_none(name), footer.failure_table()
    try:
        copy = None if data is None else pq.read_table(io.BytesIO(data))
    except (ValueError, OSError):  # of bytes in memory: damaged
        yield f"{name}: cannot be read"
        return
    if _text(copy) != _text(table):
        yield f"{name}: differs from the failures in the footer of its shard"


def _text(table: pa.Table | None) -> str:
    """Rows as text, in which NaN equals NaN."""
    return "" if table is None else repr(table.to_pylist())


def _check_identity(ledger: Ledger) -> Iterator[str]:
    try:
        if ledger.chain and read_identity(ledger.folder) is None:
            yield f"{DATASET}: is missing"
    except RequestError as error:
        yield str(error)


def _strangers(ledger: Ledger) -> Iterator[str]:
    shards = [shard_name(plan.seq, shard) for plan in ledger.chain for shard in range(plan.shards)]
    expected = {f"{place}/{name}" for place in ("data", "failures") for name in shards}
    for name in [*ledger.data, *ledger.folder.list("failures")]:
        if name not in expected:
            yield f"{name}: no plan expects it"


def _overlaps(ledger: Ledger, plan: Plan, owned: Ownership) -> Iterator[str]:
    """No pair is wanted by two plans; only a retry takes up pairs that are owned."""
    twice = 0
    masks = [owned.mask(plan.styles[i].digest for i in group.styles) for group in plan.groups]
    for planned in ledger.owned_pieces(plan):
        mask = masks[planned.group]
        free = owned.missing(planned.piece, mask, any_version=False) == [Want(planned.piece, mask)]
        twice += plan.kind == "wanted" and not free
        owned.add(planned.piece, mask)
    if twice:
        yield f"plan {plan.seq}: {twice} of its pieces are in an earlier plan too, or twice in this one"
