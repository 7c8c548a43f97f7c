"""The plan chain: what is wanted minus what earlier plans own, cut into shards and frozen.

A plan is `plans/<seq>/plan.json`, create-only at a name fixed by `seq` alone, so two drivers can never hold
the same number; the loser reads the chain again and plans what is left. Its pieces lie beside it in a file
named by their digest, written first: a plan that can be read has its pieces.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.images.settings import ImageSettings
from tasks.ownership import Want, contents, part, span
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.styles import PlannedStyle

# A shard is the unit of retry and of commit: small enough to lose, large enough to be worth a request.
SHARD_IMAGES = 256
SHARD_BYTES = 256 * 2**20
SHARD_SECONDS = 120.0
# Enough shards that the last ones do not leave actors idle for long.
SHARDS_PER_ACTOR = 4
READERS = 16
PLAN_NAME = re.compile(r"plans/(\d{5,})/plan\.json")
PIECES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("version", pa.string()),
        ("bytes", pa.int64()),
        ("modified", pa.int64()),
        ("first_row", pa.int64()),
        ("rows", pa.int64()),
        ("shard", pa.int32()),
        ("group", pa.int32()),
    ]
)


class Group(BaseModel):
    """Styles that the same pieces still want; all of one wave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wave: str
    styles: tuple[int, ...]


class Plan(BaseModel):
    """A frozen list of shards: pairs that were wanted and that no earlier plan owns.

    `digest` covers all that its shards are made from, wherever it lies: pieces, groups, styles, images, seed.
    Shards carry it. `corpus`, `store` and `clip` say where things were when it was made; a job may name other
    places later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    seq: int
    kind: Literal["wanted", "retry"]
    created: str
    corpus: CorpusSettings
    images: ImageSettings
    seed: int
    store: str
    clip: str
    styles: tuple[PlannedStyle, ...]
    groups: tuple[Group, ...]
    shards: int
    contents: int
    pairs: int
    pieces: str
    pieces_digest: str
    digest: str


@dataclass(frozen=True, slots=True)
class PlannedPiece:
    """A piece, the shard that it lies in and the group of styles that it wants."""

    piece: Piece
    shard: int
    group: int


@dataclass(frozen=True)
class ShardSize:
    """Bounds of a shard. `pair_seconds` is what one output takes on one actor, roughly."""

    images: int | Literal["auto"] = "auto"
    pair_seconds: float = 0.1
    pair_bytes: int = 2**18
    actors: int = 1

    def contents(self, styles: int, total: int) -> int:
        """Contents in a shard for a number of styles and a total of contents."""
        if self.images != "auto":
            return self.images
        by_time = SHARD_SECONDS / (self.pair_seconds * styles)
        by_bytes = SHARD_BYTES / (self.pair_bytes * styles)
        by_balance = -(-total // (SHARDS_PER_ACTOR * self.actors))
        return max(1, int(min(by_time, by_bytes, by_balance, SHARD_IMAGES)))

    @property
    def styles(self) -> int:
        """Styles in a shard at most: one content in a large bank of styles is more than a shard."""
        return max(1, int(min(SHARD_SECONDS / self.pair_seconds, SHARD_BYTES / self.pair_bytes)))


def cut(
    wants: Sequence[Want], styles: Sequence[PlannedStyle], mask: Mapping[str, int], size: ShardSize
) -> tuple[tuple[Group, ...], list[PlannedPiece]]:
    """Cut wants into shards: each holds pieces that want the same styles of one wave."""
    buckets: dict[tuple[str, tuple[int, ...]], list[Piece]] = {}
    split = _split_styles(styles, mask, size.styles)
    for want in wants:
        for key in split(want.styles):
            buckets.setdefault(key, []).append(want.piece)
    groups: list[Group] = []
    planned: list[PlannedPiece] = []
    shard = 0
    for (wave, wanted), pieces in buckets.items():
        limit = size.contents(len(wanted), sum(contents(piece) for piece in pieces))
        for slice_ in _slices(pieces, limit):
            planned += [PlannedPiece(piece, shard, len(groups)) for piece in slice_]
            shard += 1
        groups.append(Group(wave=wave, styles=wanted))
    return tuple(groups), planned


def _split_styles(
    styles: Sequence[PlannedStyle], mask: Mapping[str, int], limit: int
) -> Callable[[int], list[tuple[str, tuple[int, ...]]]]:
    """From the styles that a piece wants, as bits, to runs of at most `limit` of one wave.

    Few different sets are wanted, each by many pieces: a set is split once.
    """
    members: dict[str, list[int]] = {}
    for index, style in enumerate(styles):
        members.setdefault(style.wave, []).append(index)

    @cache
    def split(wanted: int) -> list[tuple[str, tuple[int, ...]]]:
        runs: list[tuple[str, tuple[int, ...]]] = []
        for wave, indices in members.items():
            chosen = [index for index in indices if wanted >> mask[styles[index].digest] & 1]
            runs += [(wave, tuple(chosen[start : start + limit])) for start in range(0, len(chosen), limit)]
        return runs

    return split


@dataclass(frozen=True)
class Wanted:
    """Every content of a corpus in every style: what a job asks for, and with what it is made."""

    corpus: CorpusSettings
    images: ImageSettings
    seed: int
    styles: tuple[PlannedStyle, ...]
    store: str
    clip: str


def draft(
    kind: Literal["wanted", "retry"],
    wanted: Wanted,
    groups: Sequence[Group],
    planned: Sequence[PlannedPiece],
) -> Plan:
    """A plan without a place in the chain yet (`seq` 0)."""
    digest = hashlib.sha256(pieces_to_parquet(planned)).hexdigest()
    return Plan(
        seq=0,
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        corpus=wanted.corpus,
        images=wanted.images,
        seed=wanted.seed,
        store=wanted.store,
        clip=wanted.clip,
        styles=wanted.styles,
        groups=tuple(groups),
        shards=planned[-1].shard + 1 if planned else 0,
        contents=sum(contents(p.piece) for p in planned),
        pairs=sum(contents(p.piece) * len(groups[p.group].styles) for p in planned),
        pieces=f"pieces-{digest[:16]}.parquet",
        pieces_digest=digest,
        digest=_plan_digest(kind, wanted, groups, digest),
    )


def _plan_digest(kind: str, wanted: Wanted, groups: Sequence[Group], pieces_digest: str) -> str:
    styles = [[style.name, style.digest, style.representation] for style in wanted.styles]
    what = [kind, wanted.images.model_dump(mode="json"), wanted.seed, styles, pieces_digest]
    text = json.dumps([*what, [group.model_dump(mode="json") for group in groups]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def publish_plan(folder: Folder, plan: Plan, planned: Sequence[PlannedPiece], seq: int) -> Plan | None:
    """Give a drafted plan its place in the chain; None where another driver took that place."""
    placed = plan.model_copy(update={"seq": seq})
    where = plan_folder(seq)
    folder.publish(f"{where}/{placed.pieces}", pieces_to_parquet(planned), create=False)
    data = placed.model_dump_json(indent=1).encode()
    if folder.publish(f"{where}/plan.json", data) or folder.read(f"{where}/plan.json") == data:
        return placed
    return None


def read_chain(folder: Folder, names: Collection[str] | None = None) -> list[Plan]:
    """Every plan of a dataset, in order; `names` is the listing of `plans/` where it is known.

    Raises RequestError where the chain has a hole, or a plan cannot be read.
    """
    found = (PLAN_NAME.fullmatch(name) for name in (folder.list("plans") if names is None else names))
    seqs = sorted(int(match[1]) for match in found if match)
    if seqs != list(range(1, len(seqs) + 1)):
        raise RequestError(f"The plan chain under {folder.uri}/plans has a hole: restore the missing plan.")
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda seq: _read_plan(folder, seq), seqs))


def _read_plan(folder: Folder, seq: int) -> Plan:
    name = f"{plan_folder(seq)}/plan.json"
    try:
        plan = Plan.model_validate_json(folder.read(name))
    except ValidationError as error:
        raise RequestError(
            f"{folder.uri}/{name} is damaged, or another version of atelier wrote it: restore it, or use that version."
        ) from error
    if plan.seq != seq:
        raise RequestError(f"{folder.uri}/{name} is plan {plan.seq}: restore the plan that was there.")
    return plan


def read_pieces(folder: Folder, plan: Plan) -> list[PlannedPiece]:
    """The pieces of a plan, in shard order. Raises RequestError where the file is not what was planned."""
    name = f"{plan_folder(plan.seq)}/{plan.pieces}"
    data = folder.read_or_none(name)
    if data is None or hashlib.sha256(data).hexdigest() != plan.pieces_digest:
        raise RequestError(
            f"{folder.uri}/{name} is missing or damaged: restore it; if plan {plan.seq} has committed nothing, "
            "`atelier abandon` does too."
        )
    table = pq.read_table(io.BytesIO(data))
    *parts, shards, groups = (column.to_pylist() for column in table.select(PIECES_SCHEMA.names).columns)
    return list(map(PlannedPiece, map(Piece, *parts), shards, groups))


def plan_folder(seq: int) -> str:
    """Folder of a plan, under the dataset."""
    return f"plans/{seq:05d}"


def by_shard(planned: Iterable[PlannedPiece]) -> dict[int, list[PlannedPiece]]:
    """Planned pieces by their shard."""
    shards: dict[int, list[PlannedPiece]] = {}
    for piece in planned:
        shards.setdefault(piece.shard, []).append(piece)
    return shards


def pieces_to_parquet(planned: Sequence[PlannedPiece]) -> bytes:
    """Planned pieces as Parquet; the same pieces give the same bytes."""
    pieces = [p.piece for p in planned]
    columns: list[list[Any]] = [[getattr(piece, name) for piece in pieces] for name in PIECES_SCHEMA.names[:6]]
    columns += [[p.shard for p in planned], [p.group for p in planned]]
    arrays = [pa.array(column, one.type) for column, one in zip(columns, PIECES_SCHEMA, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=PIECES_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def _slices(pieces: Sequence[Piece], limit: int) -> Iterator[list[Piece]]:
    """Runs of pieces of at most `limit` contents; a piece of a table is cut where it crosses the limit."""
    run: list[Piece] = []
    room = limit
    for piece in pieces:
        start, stop = span(piece)
        while start < stop:
            end = min(stop, start + room)
            run.append(part(piece, start, end))
            room -= end - start
            start = end
            if not room:
                yield run
                run, room = [], limit
    if run:
        yield run
