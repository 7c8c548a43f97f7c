"""Making the next plan of a dataset: what is wanted, what had failed, and giving a plan up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus, Piece
from tasks.corpus.masks import find_no_masks
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.footer import ShardFooter
from tasks.dataset.identity import DatasetIdentity, check_style_names, freeze_identity
from tasks.dataset.ledger import Ledger, tombstone, wanted_digests
from tasks.dataset.sink import abandon_shard, new_token
from tasks.labelled.wording import Say
from tasks.ownership import Ownership, part, subtract
from tasks.plan import Plan, Wanted, draft, publish_plan
from tasks.records import RequestError
from tasks.shards import PlannedPiece, ShardSize, cut
from tasks.storage import Folder
from tasks.styles import PlannedStyle
from tasks.wants import Want, Wants

MASKS_LOOKED_FOR = 8  # of a style, at most: one that is not there takes 26 requests


@dataclass(frozen=True)
class Draft:
    """A plan that could be made now, with its pieces."""

    plan: Plan
    planned: Sequence[PlannedPiece]


def draft_wanted(
    ledger: Ledger, wanted: Wanted, size: Callable[[], ShardSize], say: Say = lambda _: None
) -> Draft | None:
    """Wanted minus everything that any plan owns; None where nothing is left, and then `size` is not asked.

    `say` gets a sentence where masks seem to lie elsewhere. Raises RequestError at a style or a content that is not
    what it was when it was planned.
    """
    wanted = leave_forgotten(ledger, wanted, say)
    if not wanted.styles:
        return None
    corpus = open_corpus(wanted.corpus)
    left, owned = find_wants(ledger, wanted, corpus)
    wants = Wants(left)
    if not wants:
        return None
    for style in wanted.styles:
        look_for_masks(style, corpus, wants, owned.mask([style.digest]), say)
    groups, planned = cut(wants, wanted.styles, owned.bits, size())
    plan = draft("wanted", wanted, groups, planned)
    return Draft(plan, planned)


def find_wants(ledger: Ledger, wanted: Wanted, corpus: Corpus) -> tuple[Iterator[Want], Ownership]:
    """Wanted minus everything that any plan owns, and who owns what. Raises RequestError as `draft_wanted` does."""
    check_style_names([style for plan in ledger.chain for style in ledger.owned_styles(plan)], wanted.styles)
    owned = ledger.ownership()
    pieces = ledger.forgotten.keep_pieces(corpus.scan(owned.known))
    mask = owned.mask(style.digest for style in wanted.styles)
    return subtract(pieces, mask, owned, wanted.corpus.on_change), owned


def plan_wanted(
    folder: Folder, wanted: Wanted, size: Callable[[], ShardSize], say: Say = lambda _: None
) -> Plan | None:
    """Draft and publish; where another driver takes the place in the chain, read it again and draft anew."""
    while True:
        ledger = Ledger(folder)
        made = draft_wanted(ledger, wanted, size, say)
        if made is None:
            return None
        freeze_identity(folder, DatasetIdentity(images=wanted.images, seed=wanted.seed))
        plan = publish_plan(folder, made.plan, made.planned, len(ledger.chain) + 1)
        if plan is not None:
            return plan


def leave_forgotten(ledger: Ledger, wanted: Wanted, say: Say) -> Wanted:
    """What is wanted without styles that were taken down, and a sentence about those."""
    kept = ledger.forgotten.keep_styles(wanted.styles)
    for style in wanted.styles:
        if style not in kept:
            say(f"Style {style.name!r} was taken out of the dataset (`atelier forget`): it is left out.")
    return replace(wanted, styles=kept)


def look_for_masks(style: PlannedStyle, corpus: Corpus, wants: Wants, mask: int, say: Say) -> None:
    """Look for the masks of a few contents that want a style (`mask` is its bit), spread over the corpus."""
    layout = style.regions
    if layout is None or layout.masks is None:
        return
    chosen = [piece.content_ids()[0] for piece in wants.choose(mask, MASKS_LOOKED_FOR)]
    error = find_no_masks(layout, corpus, chosen)
    if error is not None:
        say(
            f"Style {style.name!r}, masks: {layout.masks}: of {len(chosen)} contents that were looked at none has one "
            f"({error}). A content without a mask becomes a failed record."
        )


def plan_retry(folder: Folder, size: Callable[[Plan], ShardSize], reasons: frozenset[str] = frozenset()) -> Plan | None:
    """Plan failed pairs again, those of some reasons (`error_class`) or all; None where nothing had failed."""
    while True:
        ledger = Ledger(folder)
        if ledger.open_plans():
            raise RequestError("The dataset has an open plan: run the job to its end before a retry.")
        made = _draft_retry(ledger, size, reasons)
        if made is None:
            return None
        plan = publish_plan(folder, made.plan, made.planned, len(ledger.chain) + 1)
        if plan is not None:
            return plan


def abandon_plans(folder: Folder, only: int | None = None) -> list[int]:
    """Give up every open plan, or one: a tombstone, then an empty object in each open shard's place.

    What was committed stays and is owned; the rest can be planned again, and no late commit can land. One that
    was killed half-way is finished by the next. Raises RequestError where the one is not open.
    """
    ledger = Ledger(folder)
    plans = [plan for plan in ledger.chain if ledger.open_shards(plan) and only in (None, plan.seq)]
    if only is not None and not plans:
        raise RequestError(f"Plan {only} is not open: `atelier status {folder.uri}` shows which are.")
    for plan in plans:
        mark = {"abandoned": datetime.now(UTC).isoformat(timespec="seconds")}
        folder.publish(tombstone(plan.seq), json.dumps(mark).encode())
        carried = _carried(plan)
        for shard in ledger.open_shards(plan):
            footer = ShardFooter(plan=plan.seq, shard=shard, plan_digest=plan.digest, token=new_token())
            abandon_shard(folder, footer, carried)
    return [plan.seq for plan in plans]


def _carried(plan: Plan) -> pa.Schema:
    """The corpus's own columns, so that empty objects read like the others; none where it is gone."""
    try:
        return open_corpus(plan.corpus).carried
    except RequestError:
        return pa.schema([])


def _draft_retry(ledger: Ledger, size: Callable[[Plan], ShardSize], reasons: frozenset[str]) -> Draft | None:
    found = _failed_contents(ledger, reasons)
    if found is None:
        return None
    corpus, contents = found
    styles = {style.digest: style for plan in ledger.chain for style in plan.styles}
    wanted_digests = {digest for digests in contents.values() for digest in digests}
    used = [style for digest, style in styles.items() if digest in wanted_digests]
    bits = {style.digest: index for index, style in enumerate(used)}
    wants = [
        Want(piece, sum(1 << bits[digest] for digest in digests))
        for piece, digests in sorted(contents.items(), key=lambda item: (item[0].file, item[0].first_row))
    ]
    last = ledger.chain[-1]
    wanted = Wanted(corpus, last.images, last.seed, tuple(used), last.store, last.clip, last.judge)
    groups, planned = cut(wants, used, bits, size(draft("retry", wanted, (), ())))
    return Draft(draft("retry", wanted, groups, planned), planned)


def _failed_contents(ledger: Ledger, reasons: frozenset[str]) -> tuple[CorpusSettings, dict[Piece, set[str]]] | None:
    """Failed contents as pieces of one row each, with the styles that they failed in.

    A plan has one corpus: where failures lie in several, those come first that wait longest, the rest next time.
    """
    corpora: dict[CorpusSettings, dict[Piece, set[str]]] = {}
    for seq, failed in _failed_by_plan(ledger, reasons).items():
        plan = ledger.chain[seq - 1]
        for planned in ledger.pieces(plan):
            digests = {plan.styles[i].digest for i in plan.groups[planned.group].styles}
            for content_id, single in _singles(planned.piece):
                if hits := failed.get(content_id, set()) & digests:
                    corpora.setdefault(plan.corpus, defaultdict(set))[single] |= hits
    return next(iter(corpora.items()), None)


def _failed_by_plan(ledger: Ledger, reasons: frozenset[str]) -> dict[int, dict[str, set[str]]]:
    """Standing failures by the plan that made them, oldest first: content id and style digests.

    Raises RequestError where nothing failed for one of the reasons.
    """
    plans: dict[int, dict[str, set[str]]] = {}
    known: set[str] = set()
    for table in ledger.failures():
        columns = (table[name].to_pylist() for name in ("plan", "content_id", "error_class"))
        for seq, content_id, reason, digest in zip(*columns, wanted_digests(table).to_pylist(), strict=True):
            known.add(reason)
            if not reasons or reason in reasons:
                plans.setdefault(seq, defaultdict(set))[content_id].add(digest)
    for reason in sorted(reasons - known):
        raise RequestError(f"No pair failed for the reason {reason!r}, only for: {', '.join(sorted(known)) or 'none'}.")
    return plans


def _singles(piece: Piece) -> Iterator[tuple[str, Piece]]:
    """Each content of a piece as a piece of its own."""
    if piece.rows == 0:
        yield piece.path, piece
        return
    for row, content_id in enumerate(piece.content_ids(), piece.first_row):
        yield content_id, part(piece, row, row + 1)
