"""The plan chain: shards of what is wanted and not owned, frozen.

A plan is `plans/<seq>/plan.json`, create-only at a name fixed by `seq` alone, so two drivers can never hold
the same number; the loser reads the chain again and plans what is left. Its pieces lie beside it in a file
named by their digest, written first: a plan that can be read has its pieces.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.corpus.settings import CorpusSettings
from tasks.images.settings import ImageSettings
from tasks.planned import LocalFile, PlannedPiece, PlannedPieces, hold_pieces
from tasks.records import RequestError
from tasks.shards import Group
from tasks.storage import Folder
from tasks.styles import PlannedStyle

READERS = 16
COPIED_BYTES = 2**24
PLAN_NAME = re.compile(r"plans/(\d{5,})/plan\.json")


class Plan(BaseModel):
    """A frozen list of shards: pairs that were wanted and that no earlier plan owns.

    `digest` covers all that its shards are made from, wherever it lies: pieces, groups, styles, images, seed.
    Shards carry it. `corpus`, `store`, `clip` and `judge` say where things were when it was made; a job may name
    other places later. Plans of before there was a judge have none.
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
    judge: str = "none"
    styles: tuple[PlannedStyle, ...]
    groups: tuple[Group, ...]
    shards: int
    contents: int
    pairs: int
    pieces: str
    pieces_digest: str
    digest: str


@dataclass(frozen=True)
class Wanted:
    """Every content of a corpus in every style: what a job asks for, and with what it is made."""

    corpus: CorpusSettings
    images: ImageSettings
    seed: int
    styles: tuple[PlannedStyle, ...]
    store: str
    clip: str
    judge: str = "none"


def draft(
    kind: Literal["wanted", "retry"],
    wanted: Wanted,
    groups: Sequence[Group],
    planned: Sequence[PlannedPiece],
) -> Plan:
    """A plan without a place in the chain yet (`seq` 0)."""
    held = hold_pieces(planned)
    digest, by_group = held.digest(), held.tally().by_group()
    return Plan(
        seq=0,
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        corpus=wanted.corpus,
        images=wanted.images,
        seed=wanted.seed,
        store=wanted.store,
        clip=wanted.clip,
        judge=wanted.judge,
        styles=wanted.styles,
        groups=tuple(groups),
        shards=held[-1].shard + 1 if held else 0,
        contents=by_group.total(),
        pairs=sum(contents * len(groups[group].styles) for group, contents in by_group.items()),
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


def planned_pictures(plans: Iterable[Plan]) -> dict[str, str]:
    """SHA-256 of each picture that styles of these plans name, by its URI."""
    styles = (style for plan in plans for style in plan.styles)
    return {path: digest for style in styles for path, digest in style.pictures().items()}


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


def read_pieces(folder: Folder, plan: Plan) -> PlannedPieces:
    """The pieces of a plan, in shard order. Raises RequestError where the file is not what was planned."""
    name = f"{plan_folder(plan.seq)}/{plan.pieces}"
    copy, digest = LocalFile(), hashlib.sha256()
    with suppress(FileNotFoundError, NotADirectoryError), folder.open(name) as source, open(copy.path, "wb") as file:
        while chunk := source.read(COPIED_BYTES):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != plan.pieces_digest:
        raise RequestError(
            f"{folder.uri}/{name} is missing or damaged: restore it; if plan {plan.seq} has committed nothing, "
            "`atelier abandon` does too."
        )
    return PlannedPieces(copy)


def plan_folder(seq: int) -> str:
    """Folder of a plan, under the dataset."""
    return f"plans/{seq:05d}"


def pieces_to_parquet(planned: Sequence[PlannedPiece]) -> bytes:
    """Planned pieces as Parquet; the same pieces give the same bytes."""
    return hold_pieces(planned).data()
