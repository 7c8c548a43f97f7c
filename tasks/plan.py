"""The plan chain: what is wanted minus what earlier plans own, cut into shards and frozen.

A plan is `plans/<seq>/plan.json`, create-only at a name fixed by `seq` alone, so two drivers can never hold
the same number; the loser reads the chain again and plans what is left. Its pieces lie beside it in a file
named by their digest, written first: a plan that can be read has its pieces.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.images.settings import ImageSettings
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.styles import PlannedStyle

# A shard is the unit of retry and of commit: small enough to lose, large enough to be worth a request.
SHARD_IMAGES = 256
SHARD_BYTES = 256 * 2**20
SHARD_SECONDS = 120.0
# Enough shards that the last ones do not leave actors idle for long.
SHARDS_PER_ACTOR = 4


class Group(BaseModel):
    """Styles that the same pieces still want; all of one wave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wave: str
    styles: tuple[int, ...]


class Plan(BaseModel):
    """A frozen list of shards: pairs that were wanted and that no earlier plan owns.

    `corpus`, `store` and `clip` say where things were when it was made; a job may name other places later.
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


@dataclass(frozen=True)
class PlannedPiece:
    """A piece, the shard that it lies in and the group of styles that it wants."""

    piece: Piece
    shard: int
    group: int


@dataclass(frozen=True)
class Want:
    """A piece and the styles (bits of a mask over a list of styles) that it still wants."""

    piece: Piece
    styles: int


@dataclass
class Ownership:
    """Which rows of which file are owned, by version and style; styles are bits, numbered as they come."""

    bits: dict[str, int] = field(default_factory=dict)
    spans: dict[str, list[tuple[str, int, int, int]]] = field(default_factory=dict)
    known: dict[str, Piece] = field(default_factory=dict)

    def mask(self, digests: Iterable[str]) -> int:
        """Bit mask of style digests."""
        return sum(1 << self.bits.setdefault(digest, len(self.bits)) for digest in digests)

    def add(self, piece: Piece, mask: int) -> None:
        """Own a piece for the styles of a mask."""
        first, stop = _span(piece)
        self.spans.setdefault(piece.path, []).append((piece.version, first, stop, mask))
        self.known[piece.path] = piece

    def missing(self, piece: Piece, mask: int, any_version: bool) -> Iterator[Want]:
        """The parts of a piece, with their styles, that nobody owns yet."""
        owned = [s for s in self.spans.get(piece.path, ()) if any_version or s[0] == piece.version]
        first, stop = _span(piece)
        cuts = {first, stop} | {edge for _, a, b, _ in owned for edge in (a, b) if first < edge < stop}
        edges = sorted(cuts)
        for start, end in pairwise(edges):
            left = mask & ~_union(m for _, a, b, m in owned if a <= start and end <= b)
            if left:
                yield Want(_part(piece, start, end), left)

    def changed(self, piece: Piece) -> bool:
        """Whether the piece's file is owned, but not in this version."""
        spans = self.spans.get(piece.path)
        return spans is not None and all(version != piece.version for version, *_ in spans)


def subtract(pieces: Iterable[Piece], mask: int, owned: Ownership, on_change: str) -> list[Want]:
    """Wanted minus owned. Raises RequestError at a changed content where the corpus says `on_change: error`."""
    wants: list[Want] = []
    for piece in pieces:
        if on_change == "error" and owned.changed(piece):
            raise RequestError(
                f"{piece.path} has changed since it was stylized: set `corpus: {{on_change: version}}` to stylize "
                "the new version too, or `keep` to leave the old one."
            )
        wants.extend(owned.missing(piece, mask, any_version=on_change == "keep"))
    return wants


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


def cut(
    wants: Sequence[Want], styles: Sequence[PlannedStyle], mask: Mapping[str, int], size: ShardSize
) -> tuple[tuple[Group, ...], list[PlannedPiece]]:
    """Cut wants into shards: each holds pieces that want the same styles of one wave."""
    waves: dict[str, list[int]] = {}
    for index, style in enumerate(styles):
        waves.setdefault(style.wave, []).append(index)
    buckets: dict[tuple[str, tuple[int, ...]], list[Piece]] = {}
    for want in wants:
        for wave, members in waves.items():
            wanted = tuple(i for i in members if want.styles >> mask[styles[i].digest] & 1)
            if wanted:
                buckets.setdefault((wave, wanted), []).append(want.piece)
    groups: list[Group] = []
    planned: list[PlannedPiece] = []
    shard = 0
    for (wave, wanted), pieces in buckets.items():
        limit = size.contents(len(wanted), sum(_contents(piece) for piece in pieces))
        for slice_ in _slices(pieces, limit):
            planned += [PlannedPiece(piece, shard, len(groups)) for piece in slice_]
            shard += 1
        groups.append(Group(wave=wave, styles=wanted))
    return tuple(groups), planned


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
        contents=sum(_contents(p.piece) for p in planned),
        pairs=sum(_contents(p.piece) * len(groups[p.group].styles) for p in planned),
        pieces=f"pieces-{digest[:16]}.parquet",
        pieces_digest=digest,
    )


def publish_plan(folder: Folder, plan: Plan, planned: Sequence[PlannedPiece], seq: int) -> Plan | None:
    """Give a drafted plan its place in the chain; None where another driver took that place."""
    placed = plan.model_copy(update={"seq": seq})
    where = plan_folder(seq)
    folder.publish(f"{where}/{placed.pieces}", pieces_to_parquet(planned), create=False)
    data = placed.model_dump_json(indent=1).encode()
    if folder.publish(f"{where}/plan.json", data) or folder.read(f"{where}/plan.json") == data:
        return placed
    return None


def read_chain(folder: Folder) -> list[Plan]:
    """Every plan of a dataset, in order. Raises RequestError where the chain has a hole."""
    names = folder.list("plans")
    seqs = sorted(int(name.split("/")[1]) for name in names if name.endswith("/plan.json"))
    if seqs != list(range(1, len(seqs) + 1)):
        raise RequestError(f"The plan chain under {folder.uri}/plans has a hole: restore the missing plan.")
    return [Plan.model_validate_json(folder.read(f"{plan_folder(seq)}/plan.json")) for seq in seqs]


def read_pieces(folder: Folder, plan: Plan) -> list[PlannedPiece]:
    """The pieces of a plan, in shard order. Raises RequestError where the file is not what was planned."""
    name = f"{plan_folder(plan.seq)}/{plan.pieces}"
    data = folder.read_or_none(name)
    if data is None or hashlib.sha256(data).hexdigest() != plan.pieces_digest:
        raise RequestError(f"{name} is missing or damaged: restore it, or abandon plan {plan.seq}.")
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    return [PlannedPiece(shard=row.pop("shard"), group=row.pop("group"), piece=Piece(**row)) for row in rows]


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
    rows = [{**asdict(p.piece), "shard": p.shard, "group": p.group} for p in planned]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=PIECES_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


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


def _contents(piece: Piece) -> int:
    return max(1, piece.rows)


def _span(piece: Piece) -> tuple[int, int]:
    return piece.first_row, piece.first_row + _contents(piece)


def _part(piece: Piece, start: int, end: int) -> Piece:
    if (start, end) == _span(piece):
        return piece
    return Piece(piece.path, piece.version, piece.bytes, piece.modified, start, end - start)


def _union(masks: Iterable[int]) -> int:
    total = 0
    for mask in masks:
        total |= mask
    return total


def _slices(pieces: Sequence[Piece], limit: int) -> Iterator[list[Piece]]:
    """Runs of pieces of at most `limit` contents; a piece of a table is cut where it crosses the limit."""
    run: list[Piece] = []
    room = limit
    for piece in pieces:
        start, stop = _span(piece)
        while start < stop:
            end = min(stop, start + room)
            run.append(_part(piece, start, end))
            room -= end - start
            start = end
            if not room:
                yield run
                run, room = [], limit
    if run:
        yield run
