"""Making the next plan of a dataset: what is wanted, what had failed, and giving a plan up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tasks.corpus import open_corpus
from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.identity import DatasetIdentity, check_style_names, freeze_identity
from tasks.dataset.ledger import Ledger, pair_rows, tombstone
from tasks.dataset.sink import abandon_shard
from tasks.plan import Plan, PlannedPiece, ShardSize, Want, Wanted, cut, draft, publish_plan, subtract
from tasks.records import RequestError
from tasks.storage import Folder


@dataclass(frozen=True)
class Draft:
    """A plan that could be made now, with its pieces."""

    plan: Plan
    planned: Sequence[PlannedPiece]


def draft_wanted(ledger: Ledger, wanted: Wanted, size: Callable[[], ShardSize]) -> Draft | None:
    """Wanted minus everything that any plan owns; None where nothing is left, and then `size` is not asked.

    Raises RequestError at a style or a content that is not what it was when it was planned.
    """
    check_style_names([p for p in ledger.chain if p.seq not in ledger.abandoned], list(wanted.styles))
    owned = ledger.ownership()
    pieces = open_corpus(wanted.corpus).pieces(owned.known)
    mask = owned.mask(style.digest for style in wanted.styles)
    wants = subtract(pieces, mask, owned, wanted.corpus.on_change)
    if not wants:
        return None
    groups, planned = cut(wants, wanted.styles, owned.bits, size())
    plan = draft("wanted", wanted, groups, planned)
    return Draft(plan, planned)


def plan_wanted(folder: Folder, wanted: Wanted, size: Callable[[], ShardSize]) -> Plan | None:
    """Draft and publish; where another driver takes the place in the chain, read it again and draft anew."""
    while True:
        ledger = Ledger(folder)
        made = draft_wanted(ledger, wanted, size)
        if made is None:
            return None
        freeze_identity(folder, DatasetIdentity(images=wanted.images, seed=wanted.seed))
        plan = publish_plan(folder, made.plan, made.planned, len(ledger.chain) + 1)
        if plan is not None:
            return plan


def plan_retry(folder: Folder, size: Callable[[Plan], ShardSize]) -> Plan | None:
    """Plan every failed pair again; None where nothing had failed."""
    while True:
        ledger = Ledger(folder)
        if ledger.open_plans():
            raise RequestError("The dataset has an open plan: run the job to its end before a retry.")
        made = _draft_retry(ledger, size)
        if made is None:
            return None
        plan = publish_plan(folder, made.plan, made.planned, len(ledger.chain) + 1)
        if plan is not None:
            return plan


def abandon_plans(folder: Folder) -> list[int]:
    """Give up every open plan: a tombstone, then an empty object in each open shard's place.

    What was committed stays and is owned; the rest can be planned again, and no late commit can land.
    """
    ledger = Ledger(folder)
    half_done = [p for p in ledger.chain if p.seq in ledger.abandoned and ledger.open_shards(p)]
    plans = [*half_done, *ledger.open_plans()]
    for plan in plans:
        mark = {"abandoned": datetime.now(UTC).isoformat(timespec="seconds")}
        folder.publish(tombstone(plan.seq), json.dumps(mark).encode())
        for shard in ledger.open_shards(plan):
            abandon_shard(folder, plan.seq, shard, plan.pieces_digest)
    return [plan.seq for plan in plans]


def _draft_retry(ledger: Ledger, size: Callable[[Plan], ShardSize]) -> Draft | None:
    failed = {pair for table in ledger.failures() for pair in pair_rows(table)}
    if not failed:
        return None
    styles = {style.digest: style for plan in ledger.chain for style in plan.styles}
    used = [style for digest, style in styles.items() if any(pair[2] == digest for pair in failed)]
    bits = {style.digest: index for index, style in enumerate(used)}
    contents, corpus = _failed_contents(ledger, failed)
    wants = [
        Want(piece, sum(1 << bits[digest] for digest in digests))
        for piece, digests in sorted(contents.items(), key=lambda item: (item[0].path, item[0].first_row))
    ]
    last = ledger.chain[-1]
    groups, planned = cut(wants, used, bits, size(last))
    wanted = Wanted(corpus, last.images, last.seed, tuple(used), last.store, last.clip)
    return Draft(draft("retry", wanted, groups, planned), planned)


def _failed_contents(ledger: Ledger, failed: set[tuple[str, str, str]]) -> tuple[dict[Piece, set[str]], CorpusSettings]:
    """Failed contents as pieces of one row each, with the styles that they failed in.

    One plan has one corpus: where failures lie in several, those of the newest come first, the rest next time.
    """
    for plan in reversed(ledger.chain):
        found: dict[Piece, set[str]] = defaultdict(set)
        for planned in ledger.pieces(plan):
            digests = [plan.styles[i].digest for i in plan.groups[planned.group].styles]
            for single in _singles(planned.piece):
                hits = {d for d in digests if (single.content_ids()[0], single.version, d) in failed}
                if hits:
                    found[single] |= hits
        if found:
            return found, plan.corpus
    raise RequestError("The failed pairs are in no plan: run `atelier verify`.")


def _singles(piece: Piece) -> list[Piece]:
    if piece.rows == 0:
        return [piece]
    return [replace(piece, first_row=piece.first_row + i, rows=1) for i in range(piece.rows)]
