"""Plans and shards made by the real chain and sink, with a few bytes in the place of stylized pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import plan_wanted
from tasks.dataset.footer import ShardFooter
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.ledger import PAIR_COLUMNS, Ledger, PairKey, pair_rows, planned_pairs, read_columns, shard_name
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Plan, Wanted
from tasks.records import carried_name
from tasks.shards import PlannedPiece, ShardSize, by_shard
from tasks.storage import Folder
from tasks.styles import PlannedReference, PlannedStyle, pair_seed


def planned_style(name: str, text: str = "", strength: float = 1.0) -> PlannedStyle:
    """A style that needs no files; `strength` decides its wave no more than in a real one."""
    digest = hashlib.sha256(f"{text or name} {strength}".encode()).hexdigest()[:32]
    return PlannedStyle(
        name=name,
        references=(PlannedReference(text=text or name, weight=1.0),),
        method=AdainSettings(strength=strength),
        version=AdainSettings.version,
        weights_digest="weights",
        digest=digest,
        representation=digest,
    )


def styles(*names: str) -> tuple[PlannedStyle, ...]:
    return tuple(planned_style(name) for name in names)


def write_photos(folder: Path, numbers: Iterable[int]) -> None:
    """Files that a corpus lists; nobody decodes them here."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:03d}.jpg").write_bytes(b"photo %d" % number)


def wanted(corpus: Path, chosen: Sequence[PlannedStyle], **settings: Any) -> Wanted:
    return Wanted(CorpusSettings(uri=str(corpus), **settings), ImageSettings(), 0, tuple(chosen), "store", "none")


def plan(folder: Folder, what: Wanted, images: int = 3) -> Plan | None:
    return plan_wanted(folder, what, lambda: ShardSize(images=images))


def plan_something(folder: Folder, what: Wanted, images: int = 3) -> Plan:
    made = plan(folder, what, images)
    assert made is not None
    return made


def spool_rows(spool: ShardSpool, plan: Plan, planned: Sequence[PlannedPiece], failing: Collection[str]) -> None:
    """A record, or a failure, for every pair of a shard, in the order in which an actor might end them: any."""
    corpus = open_corpus(plan.corpus)
    chosen = [plan.styles[index] for index in plan.groups[planned[0].group].styles]
    contents = [entry for piece in planned for entry in corpus.read(piece.piece)]
    for place, entry in reversed(list(enumerate(contents))):
        for number, style in enumerate(chosen):
            row = {
                "content_id": entry.content_id,
                "content_uri": entry.content_uri,
                "content_version": entry.content_version,
                "style": style.name,
                "style_digest": style.digest,
                "method": "adain",
                "method_version": style.version,
                "weights_digest": style.weights_digest,
                "representation": style.representation,
                **{carried_name(name): value for name, value in entry.columns.items()},
                "seed": pair_seed(plan.seed, entry.content_id, style.digest),
                "plan": plan.seq,
                "shard": planned[0].shard,
                "attempt": 0,
                "seconds": 0.5,
            }
            if entry.content_id in failing:
                error = {"error_class": "truncated", "error_message": "cut short", "error_stage": "decode"}
                spool.add_failure((number, place), row | error)
            else:
                row |= {"width": 8, "height": 6, "source_width": 8, "source_height": 6}
                picture = f"picture of {entry.content_id} as {style.name}".encode()
                spool.add_record((number, place), row, picture, picture_path(entry.content_id, style.name, ".jpg"))


def commit_shard(folder: Folder, plan: Plan, shard: int, failing: Collection[str] = ()) -> ShardFooter:
    """What an actor does, without a network."""
    planned = by_shard(Ledger(folder).pieces(plan))[shard]
    footer = ShardFooter(plan=plan.seq, shard=shard, plan_digest=plan.digest, token=new_token())
    with ShardSpool(open_corpus(plan.corpus).carried) as spool:
        spool_rows(spool, plan, planned, failing)
        return commit(folder, spool, footer)


def finish(folder: Folder, failing: Collection[str] = ()) -> None:
    """Commit every open shard."""
    ledger = Ledger(folder)
    for plan in ledger.open_plans():
        for shard in ledger.open_shards(plan):
            commit_shard(folder, plan, shard, failing)


def pairs_of(folder: Folder, plan: Plan) -> list[PairKey]:
    """Every pair of a plan, as often as it is planned."""
    return [pair for planned in Ledger(folder).pieces(plan) for pair in planned_pairs(plan, planned)]


def names_of(pairs: Iterable[PairKey], chosen: Iterable[PlannedStyle]) -> set[tuple[str, str]]:
    """Pairs by content id and style name."""
    names = {style.digest: style.name for style in chosen}
    return {(content_id, names[digest]) for content_id, _, digest in pairs}


def recorded(folder: Folder) -> list[PairKey]:
    """Every pair that has a record, as often as it has."""
    return [pair for name in folder.list("data") for pair in pair_rows(read_columns(folder, name, PAIR_COLUMNS))]


def read_shard(folder: Folder, plan: int, shard: int, place: str = "data") -> pa.Table:
    import io

    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(folder.read(f"{place}/{shard_name(plan, shard)}")))


def take_down(folder: Folder, contents: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> list[str]:
    """Names of the objects that were replaced."""
    replaced: list[str] = []
    carry_out(folder, find_takedown(Ledger(folder), contents, names), replaced.append)
    return sorted(replaced)
