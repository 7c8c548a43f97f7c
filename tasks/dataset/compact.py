"""Export as a new dataset: the same records and failures, owned by as few plans and shards as may be.

Plans of one corpus become one, shards of the same styles become one; a retry stays a plan of its own, for it takes up
what had failed. What the new dataset owns is what the old one owned, so a run of the same job has nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tasks.banks.kept import manifest_name
from tasks.dataset.export import ExportRequest, FrozenExport, Key, PartDone, committed, group_by_bytes, select
from tasks.dataset.footer import read_footer
from tasks.dataset.forgotten import mark_forgotten, read_forgotten
from tasks.dataset.identity import DatasetIdentity, freeze_identity, raise_version, read_identity
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.merging import ShardMerge
from tasks.dataset.stored import OWN, own_store, stored_names
from tasks.dataset.writing import write_failures
from tasks.plan import Plan, Wanted, draft, publish_plan, read_chain, read_pieces
from tasks.records import RequestError
from tasks.shards import Group, PlannedPiece
from tasks.storage import Folder
from tasks.styles import PlannedStyle

# Of a plan, what need not agree for its shards to be joined with another's.
PER_PLAN = {
    "seq", "created", "styles", "groups", "shards", "contents", "pairs", "pieces", "pieces_digest", "digest",
}  # fmt: skip


@dataclass
class _Merged:
    """A plan of the new dataset while it is made."""

    first: Plan
    parts: list[list[Key]] = field(default_factory=list)
    by_group: dict[tuple[str, tuple[str, ...]], list[Key]] = field(default_factory=dict)


class CompactExporter:
    """A shard of the new dataset a part; its object is what says that the part is done."""

    def __init__(self, ledger: Ledger, target: Folder, request: ExportRequest) -> None:
        if request.where or request.label:
            raise RequestError(
                "A dataset holds every pair that its plans own: `--where` and `--label` go with webdataset or "
                "imagefolder; a reader of Parquet filters by itself."
            )
        self._ledger, self._target, self._request = ledger, target, request
        self._selection = select(ledger, request)
        self._shards = {plan.seq: ledger.shards(plan) for plan in ledger.chain}
        self._places: list[tuple[Plan, int, int]] = []  # of each part: plan, shard, and the pairs that it stands for

    def cut(self) -> tuple[list[list[Key]], list[int]]:
        """Shards that belong together, by bytes, plan after plan."""
        merged: dict[str, _Merged] = {}
        for seq, shard in committed(self._ledger):
            plan = self._ledger.chain[seq - 1]
            kept = self._kept(plan, shard)
            if kept:
                one = merged.setdefault(_settings_of(plan), _Merged(plan))
                one.by_group.setdefault(kept, []).append((seq, shard))
        parts: list[list[Key]] = []
        starts: list[int] = []
        for one in merged.values():
            starts.append(len(parts))
            for keys in one.by_group.values():
                parts += group_by_bytes(keys, self._ledger.data, self._request.object_bytes)
        return parts, starts

    def begin(self, frozen: FrozenExport) -> None:
        """Write what the dataset is, what was taken down, its representations, and its plans."""
        identity = read_identity(self._ledger.folder)
        assert identity is not None  # the ledger has plans
        freeze_identity(self._target, DatasetIdentity(images=identity.images, seed=identity.seed))
        self._mark()
        there = read_chain(self._target)
        ends = [*frozen.plans, len(frozen.parts)]
        for seq, (start, stop) in enumerate(pairwise(ends), 1):
            # One that is there stands, whatever was taken down since.
            plan = there[seq - 1] if seq <= len(there) else self._publish(frozen.parts[start:stop], seq)
            if plan is None or plan.shards != stop - start:
                raise RequestError(f"{self._target.uri} has plans of its own by now: export to another place.")
            tally = read_pieces(self._target, plan).tally()
            styles = {shard: len(plan.groups[group].styles) for shard, group in tally.groups.items()}
            self._places += [(plan, s, tally.contents[s] * styles[s]) for s in range(plan.shards)]
            self._copy_representations(plan.styles)

    def make(self, number: int, shards: Sequence[Key]) -> PartDone:
        """Join some shards to one, unless it is there."""
        plan, shard, pairs = self._places[number]
        name = f"data/{shard_name(plan.seq, shard)}"
        footer, _ = read_footer(self._target, name) if self._target.exists(name) else (None, 0)
        before = footer is not None
        if footer is None:
            with ShardMerge(self._ledger, self._selection, plan, shard) as merge:
                for key in shards:
                    merge.add(key)
                footer = merge.write(pairs)
                write_failures(self._target, footer)
                self._target.publish_file(name, merge.file)
        return PartDone(footer.records, footer.failed, bytes=footer.picture_bytes, before=before)

    def end(self) -> None:
        """What was taken down meanwhile may not come back here either."""
        self._mark()

    def _mark(self) -> None:
        forgotten = read_forgotten(self._ledger.folder)
        if forgotten:
            raise_version(self._target)
            mark_forgotten(self._target, forgotten)

    def _kept(self, plan: Plan, shard: int) -> tuple[str, tuple[str, ...]] | None:
        """Wave and styles of a shard's group, as far as they are exported; None where nothing of it is."""
        planned = self._shards[plan.seq][shard]
        group = plan.groups[planned[0].group]
        digests = tuple(d for d in (plan.styles[i].digest for i in group.styles) if self._wants(d))
        pieces = self._selection.forgotten.keep_pieces(one.piece for one in planned)
        return (group.wave, digests) if digests and any(True for _ in pieces) else None

    def _wants(self, digest: str) -> bool:
        chosen = self._selection.styles is None or digest in self._selection.styles
        return chosen and not self._selection.forgotten.has_style(digest)

    def _publish(self, parts: Sequence[Sequence[Key]], seq: int) -> Plan | None:
        """The plan of some parts, each a shard; None where another plan has its place."""
        plans = self._ledger.chain
        first = plans[parts[0][0][0] - 1]
        styles: dict[str, PlannedStyle] = {}
        groups: dict[Group, int] = {}
        planned: list[PlannedPiece] = []
        for shard, keys in enumerate(parts):
            for of_plan, old in keys:
                group = self._group(plans[of_plan - 1], old, styles)
                number = groups.setdefault(group, len(groups))
                pieces = (one.piece for one in self._shards[of_plan][old])
                planned += [PlannedPiece(p, shard, number) for p in self._selection.forgotten.keep_pieces(pieces)]
        wanted = Wanted(
            first.corpus, first.images, first.seed, tuple(styles.values()), self._store(first), first.clip, first.judge
        )
        made = draft(first.kind, wanted, list(groups), planned)
        made = made.model_copy(update={"created": first.created, "shards": len(parts)})
        return publish_plan(self._target, made, planned, seq)

    def _group(self, source: Plan, shard: int, styles: dict[str, PlannedStyle]) -> Group:
        """A shard's group, by the places of its styles in the new plan."""
        old = source.groups[self._shards[source.seq][shard][0].group]
        for index in old.styles:
            if self._wants(source.styles[index].digest):
                styles.setdefault(source.styles[index].digest, source.styles[index])
        places = {digest: place for place, digest in enumerate(styles)}
        digests = (source.styles[index].digest for index in old.styles)
        return Group(wave=old.wave, styles=tuple(places[digest] for digest in digests if digest in places))

    def _store(self, plan: Plan) -> str:
        """A shared store stays; the dataset's own is the new dataset's own."""
        return f"{self._target.uri}/{OWN}" if plan.store.rstrip("/").endswith(f"/{OWN}") else plan.store

    def _copy_representations(self, styles: Sequence[PlannedStyle]) -> None:
        """And what a dataset keeps of the banks that it draws from."""
        for key in sorted({style.draw.bank for style in styles if style.draw is not None}):
            self._target.publish(manifest_name(key), self._ledger.folder.read(manifest_name(key)))
        store = own_store(self._ledger)
        for name in sorted(stored_names(styles).intersection(store.list(""))):
            if not self._target.exists(f"{OWN}/{name}"):
                self._target.publish(f"{OWN}/{name}", store.read(name))


def _settings_of(plan: Plan) -> str:
    """What has to agree for two plans to become one; retries never do."""
    own = PER_PLAN - {"seq"} if plan.kind == "retry" else PER_PLAN
    return json.dumps(plan.model_dump(mode="json", exclude=own), sort_keys=True)
