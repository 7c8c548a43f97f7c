"""What is done and what is open: plans against the objects that shards leave behind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.dataset.footer import ShardFooter, read_footer
from tasks.dataset.forgotten import Forgotten, PairKey, read_forgotten
from tasks.ownership import Ownership
from tasks.plan import Plan, plan_folder, read_chain, read_pieces
from tasks.planned import PiecesByShard, PlannedPiece, PlannedPieces, to_planned
from tasks.shards import by_shard
from tasks.storage import Folder
from tasks.styles import PlannedStyle

READERS = 16
# Of a pair: the digest is that of the style that was wanted, or of the draw.
PAIR_COLUMNS = ["content_id", "content_version", "style_digest", "draw"]


def shard_name(seq: int, shard: int) -> str:
    """Name of a shard's file in `data/` and in `failures/`."""
    return f"{seq:05d}-{shard:05d}.parquet"


def tombstone(seq: int) -> str:
    """Name of the mark that says a plan was abandoned."""
    return f"{plan_folder(seq)}/abandoned.json"


@dataclass(frozen=True)
class PlanStatus:
    """A plan and how far it is."""

    plan: Plan
    committed: int
    records: int
    failed: int
    forgotten: int
    abandoned: bool

    @property
    def open_shards(self) -> int:
        """Shards that are still to be committed."""
        return 0 if self.abandoned else self.plan.shards - self.committed

    @property
    def open_pairs(self) -> int:
        """Pairs that are still to be made."""
        return 0 if self.abandoned else self.plan.pairs - self.records - self.failed - self.forgotten


class Ledger:
    """One reading of a dataset: make a new one to see what changed.

    `abandoned` are the plans with a tombstone, `data` the names in `data/` with their sizes. `before` is an earlier
    reading: footers of objects that are as they were are not read again.
    """

    def __init__(self, folder: Folder, before: Ledger | None = None) -> None:
        self.folder, self._before = folder, before
        names = folder.list("plans")
        self.chain = read_chain(folder, names)
        self.abandoned = {plan.seq for plan in self.chain if tombstone(plan.seq) in names}
        self.data = folder.list("data")
        self._pieces: dict[int, PlannedPieces] = {}
        self._shards: dict[int, PiecesByShard] = {}

    @cached_property
    def forgotten(self) -> Forgotten:
        """What was taken down."""
        return read_forgotten(self.folder)

    @cached_property
    def footers(self) -> dict[tuple[int, int], tuple[ShardFooter | None, int]]:
        """Footer and rows of every object that a plan expects, by (plan, shard)."""
        keys = [(p.seq, s) for p in self.chain for s in range(p.shards) if self.is_committed(p.seq, s)]
        known = self._known_footers()
        new = [key for key in keys if key not in known]
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(lambda k: read_footer(self.folder, f"data/{shard_name(*k)}"), new)
            known |= zip(new, found, strict=True)
        return {key: known[key] for key in keys}

    def _known_footers(self) -> dict[tuple[int, int], tuple[ShardFooter | None, int]]:
        before, self._before = self._before, None  # or else a chain of readings would pile up
        if before is None:
            return {}
        names = {key: f"data/{shard_name(*key)}" for key in before.footers}
        return {key: before.footers[key] for key, n in names.items() if before.data.get(n) == self.data.get(n)}

    def is_committed(self, seq: int, shard: int) -> bool:
        """Whether the shard's object is there, whatever it holds: `footers` tell a commit from an abandoning."""
        return f"data/{shard_name(seq, shard)}" in self.data

    def open_shards(self, plan: Plan) -> list[int]:
        """Shards of a plan that have no object yet."""
        return [shard for shard in range(plan.shards) if not self.is_committed(plan.seq, shard)]

    def open_plans(self) -> list[Plan]:
        """Plans to finish first, oldest first."""
        return [p for p in self.chain if p.seq not in self.abandoned and self.open_shards(p)]

    def pieces(self, plan: Plan) -> PlannedPieces:
        """Pieces of a plan; fetched once."""
        if plan.seq not in self._pieces:
            self._pieces[plan.seq] = read_pieces(self.folder, plan)
        return self._pieces[plan.seq]

    def shards(self, plan: Plan) -> PiecesByShard:
        """Pieces of a plan by their shard; where they lie is found once."""
        if plan.seq not in self._shards:
            self._shards[plan.seq] = by_shard(self.pieces(plan))
        return self._shards[plan.seq]

    def owned_pieces(self, plan: Plan) -> Iterator[PlannedPiece]:
        """The pieces that a plan owns: all; if it was abandoned, those of shards that it had committed."""
        return (planned for table in self.owned_tables(plan) for planned in to_planned(table))

    def owned_tables(self, plan: Plan) -> Iterator[pa.Table]:
        """The same as columns, some at a time."""
        if plan.seq not in self.abandoned:
            yield from self.pieces(plan).batches()
            return
        held = [shard for shard in range(plan.shards) if self._holds_records(plan.seq, shard)]
        for table in self.pieces(plan).batches() if held else ():
            yield table.filter(pc.is_in(table["shard"], pa.array(held, pa.int32())))

    def owned_styles(self, plan: Plan) -> list[PlannedStyle]:
        """The styles that a plan owns pairs of."""
        if plan.seq not in self.abandoned:
            return list(plan.styles)
        groups = {planned.group for planned in self.owned_pieces(plan)}
        return [plan.styles[index] for index in sorted({i for g in groups for i in plan.groups[g].styles})]

    def ownership(self) -> Ownership:
        """Everything that any plan owns."""
        owned = Ownership()
        for plan in self.chain:
            masks = [owned.mask(plan.styles[i].digest for i in group.styles) for group in plan.groups]
            for table in self.owned_tables(plan):
                owned.add_table(table, masks)
        return owned

    def status(self) -> list[PlanStatus]:
        """How far each plan is, by the footers of its shards."""
        return [self._plan_status(plan) for plan in self.chain]

    def failures(self) -> list[pa.Table]:
        """Failed records, a table a shard, without those that were taken down or that a later plan committed again."""
        tables, done = [], self._retried()
        for plan in self.chain:
            for shard in range(plan.shards):
                footer, _ = self.footers.get((plan.seq, shard), (None, 0))
                table = footer.failure_table() if footer else None
                if table is not None:
                    table = table.filter(pa.array(_is_last(row, plan.seq, done) for row in pair_rows(table)))
                    tables.append(table.filter(pc.invert(self.forgotten.rows(table))))
        return [table for table in tables if table.num_rows]

    def _retried(self) -> dict[PairKey, int]:
        """Pairs that retry plans committed, with the last plan that did."""
        latest: dict[PairKey, int] = {}
        for plan in self.chain:
            for planned in self.pieces(plan) if plan.kind == "retry" else []:
                if self._holds_records(plan.seq, planned.shard):
                    latest |= dict.fromkeys(planned_pairs(plan, planned), plan.seq)
        return latest

    def _holds_records(self, seq: int, shard: int) -> bool:
        footer, _ = self.footers.get((seq, shard), (None, 0))
        return footer is not None and not footer.abandoned

    def _plan_status(self, plan: Plan) -> PlanStatus:
        footers = [self.footers[plan.seq, s][0] for s in range(plan.shards) if (plan.seq, s) in self.footers]
        ours = [footer for footer in footers if footer and not footer.abandoned]
        return PlanStatus(
            plan=plan,
            committed=len(ours),
            records=sum(footer.records for footer in ours),
            failed=sum(footer.failed for footer in ours),
            forgotten=sum(footer.forgotten for footer in ours),
            abandoned=plan.seq in self.abandoned,
        )


def planned_pairs(plan: Plan, planned: PlannedPiece) -> Iterable[PairKey]:
    """(content_id, content_version, style_digest) of every pair that a planned piece stands for."""
    for content_id in planned.piece.content_ids():
        for index in plan.groups[planned.group].styles:
            yield content_id, planned.piece.version, plan.styles[index].digest


def pair_rows(table: pa.Table) -> Iterable[PairKey]:
    """(content_id, content_version, digest of the style or draw) of each row of records or failures."""
    columns = (table[name].to_pylist() for name in ("content_id", "content_version"))
    return zip(*columns, wanted_digests(table).to_pylist(), strict=True)


def wanted_digests(table: pa.Table) -> pa.ChunkedArray:
    """What each row is a pair of: its style, or the draw that gave it; shards of before there were draws have none."""
    styles = table["style_digest"]
    return pc.coalesce(table["draw"], styles) if "draw" in table.column_names else styles


def read_columns(folder: Folder, name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a shard, by name; what is not asked for, such as the pictures, is not read."""
    with folder.open(name) as file:
        # Not pq.read_table: over a Python file and from a thread, one process in ten aborted at its exit (pyarrow 26).
        return pq.ParquetFile(file).read(columns=list(columns), use_threads=False)


def read_rows(folder: Folder, name: str, rows: Collection[int], columns: Sequence[str]) -> pa.Table:
    """Some columns of some rows of a shard, by ascending row; only row groups that hold any are read, one at a time."""
    parts, start = [], 0
    with folder.open(name) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            inside = sorted(row - start for row in rows if start <= row < end)
            if inside:
                parts.append(file.read_row_group(group, columns=list(columns), use_threads=False).take(inside))
            start = end
    return pa.concat_tables(parts)


def _is_last(pair: PairKey, seq: int, retried: dict[PairKey, int]) -> bool:
    return retried.get(pair, seq) <= seq
