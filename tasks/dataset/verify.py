"""Verify: plans against objects against footers against rows. Every owned pair is one record, or one failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.dataset.footer import ShardFooter
from tasks.dataset.ledger import READERS, Ledger, pair_rows, planned_pairs, read_pairs, shard_name
from tasks.plan import Ownership, Plan, PlannedPiece, by_shard
from tasks.storage import Folder

PairKey = tuple[str, str, str]


@dataclass
class Verification:
    """What verify found: counts, and each problem as one sentence with the object it is about."""

    records: int = 0
    failed: int = 0
    open_shards: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every owned pair has exactly one record or failure."""
        return not self.problems and not self.open_shards


def verify(folder: Folder) -> Verification:
    """Check a dataset. Reads plans, footers and the identity columns of the rows; no pictures."""
    ledger = Ledger(folder)
    found = Verification(problems=[*_strangers(ledger), *_overlaps(ledger)])
    failed: set[PairKey] = set()
    for plan in ledger.chain:
        shards = by_shard(ledger.pieces(plan))
        with ThreadPoolExecutor(READERS) as pool:
            work = [(ledger, plan, shard, shards.get(shard, [])) for shard in range(plan.shards)]
            for one in pool.map(lambda item: _check_shard(*item), work):
                _add(found, one, plan, failed)
    return found


@dataclass
class _Shard:
    """What one shard holds."""

    open: bool = False
    records: int = 0
    failed: list[PairKey] = field(default_factory=list)
    retried: set[PairKey] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def _add(found: Verification, one: _Shard, plan: Plan, failed: set[PairKey]) -> None:
    found.records += one.records
    found.open_shards += one.open and plan.kind is not None
    found.problems += one.problems
    strangers = one.retried - failed
    if strangers:
        found.problems.append(f"plan {plan.seq} retries {len(strangers)} pairs that had not failed")
    failed -= one.retried
    failed |= set(one.failed)
    found.failed = len(failed)


def _check_shard(ledger: Ledger, plan: Plan, shard: int, planned: list[PlannedPiece]) -> _Shard:
    name = f"data/{shard_name(plan.seq, shard)}"
    if not ledger.is_committed(plan.seq, shard):
        abandoned = plan.seq in ledger.abandoned
        return _Shard(open=not abandoned, problems=[f"{name}: its abandoning is not finished"] if abandoned else [])
    footer, rows = ledger.footers[plan.seq, shard]
    if footer is None or (footer.plan_digest, footer.shard) != (plan.pieces_digest, shard):
        return _Shard(problems=[f"{name}: not the shard that was planned"])
    if footer.abandoned:
        return _Shard(problems=[f"{name}: abandoned, but holds {rows} rows"] if rows else [])
    records = Counter(pair_rows(read_pairs(ledger.folder, name)))
    failures = list(pair_rows(footer.failure_table())) if footer.failed else []
    wanted = {pair for piece in planned for pair in planned_pairs(plan, piece)}
    problems = [
        *_compare_counts(name, footer, rows, sum(records.values()), len(failures)),
        *_compare_pairs(name, wanted, records + Counter(failures)),
        *_compare_copy(ledger.folder, footer),
    ]
    retried = wanted if plan.kind == "retry" else set()
    return _Shard(records=sum(records.values()), failed=failures, retried=retried, problems=problems)


def _compare_counts(name: str, footer: ShardFooter, rows: int, records: int, failed: int) -> Iterator[str]:
    if (footer.records, footer.records) != (rows, records):
        yield f"{name}: the footer says {footer.records} records, the file has {rows}, its rows name {records}"
    if footer.failed != failed:
        yield f"{name}: the footer says {footer.failed} failures and holds {failed}"


def _compare_pairs(name: str, wanted: set[PairKey], got: Counter[PairKey]) -> Iterator[str]:
    lost, strange = wanted - set(got), set(got) - wanted
    doubled = [pair for pair, count in got.items() if count > 1]
    for what, pairs in (("lost", lost), ("not planned", strange), ("doubled", doubled)):
        if pairs:
            yield f"{name}: {len(pairs)} pairs {what}, for one {sorted(pairs)[0][0]}"


def _compare_copy(folder: Folder, footer: ShardFooter) -> Iterator[str]:
    """`failures/` is a copy of what the footer holds."""
    name = f"failures/{shard_name(footer.plan, footer.shard)}"
    try:
        with folder.open(name) as file:
            copy: pa.Table | None = pq.read_table(file)
    except FileNotFoundError:
        copy = None
    except pa.ArrowInvalid:
        yield f"{name}: cannot be read"
        return
    table = footer.failure_table()
    same = copy is table if table is None or copy is None else copy.equals(table)
    if not same:
        yield f"{name}: differs from the failures in the footer of its shard"


def _strangers(ledger: Ledger) -> Iterator[str]:
    expected = {f"data/{shard_name(plan.seq, s)}" for plan in ledger.chain for s in range(plan.shards)}
    for name in ledger.folder.list("data"):
        if name not in expected:
            yield f"{name}: no plan expects it"


def _overlaps(ledger: Ledger) -> Iterator[str]:
    """No pair is wanted by two plans; only a retry takes up pairs that are owned."""
    owned = Ownership()
    for plan in ledger.chain:
        twice = 0
        masks = [owned.mask(plan.styles[i].digest for i in group.styles) for group in plan.groups]
        for planned in ledger.pieces(plan) if plan.seq not in ledger.abandoned else []:
            piece, mask = planned.piece, masks[planned.group]
            left = list(owned.missing(piece, mask, any_version=False))
            twice += plan.kind == "wanted" and [(w.piece, w.styles) for w in left] != [(piece, mask)]
            owned.add(piece, mask)
        if twice:
            yield f"plan {plan.seq}: {twice} of its pieces are in an earlier plan too"
