"""Takedown: contents or styles leave the objects that hold them, and a tombstone keeps them from coming back.

First the schema version, so that no older atelier goes on; then the tombstones, which plans, actors and reports
respect from then on; then each object that holds a pair is replaced, whole or not at all. Killed at any moment and run
again, it finishes. Plans keep the names of contents and styles: they prove that nothing else is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches

from tasks.banks.blanking import blank_rows, find_parts, holds_any
from tasks.dataset.drawn_styles import TakenOfBank, find_drawn, open_banks, taken_of_banks, taken_rows
from tasks.dataset.forgotten import Forgotten, digest_name, mark_forgotten
from tasks.dataset.identity import raise_version
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.rewriting import Held, find_held, rewrite_shard
from tasks.dataset.stored import own_store, shared_stores, stored_names
from tasks.records import RequestError
from tasks.shards import PlannedPiece
from tasks.storage import Folder
from tasks.styles import PlannedStyle

# A shard is replaced by way of a file on local disk, and a row group at a time is in memory.
REWRITERS = 4


@dataclass(frozen=True)
class Takedown:
    """What is to go: objects with what they hold, names in the dataset's own store, reports; and what else to know.

    `banks` lose some of their styles' tensors; the others' draws stay as they are.
    """

    forgotten: Forgotten
    shards: dict[tuple[int, int], Held] = field(default_factory=dict)
    representations: Sequence[str] = ()
    banks: Sequence[TakenOfBank] = ()
    reports: Sequence[str] = ()
    remarks: Sequence[str] = ()

    @property
    def records(self) -> int:
        """Records that go."""
        return sum(held.records for held in self.shards.values())

    @property
    def failed(self) -> int:
        """Failures that go."""
        return sum(held.failed for held in self.shards.values())


def find_takedown(ledger: Ledger, contents: Collection[str], styles: Collection[str]) -> Takedown:
    """What holds the contents (ids) and styles (names), or any that an earlier takedown did not finish with.

    Writes nothing. Raises RequestError where no plan has one of them, or nothing was ever taken down.
    """
    digests = _find_styles(ledger, styles)
    new = Forgotten(*(frozenset(map(digest_name, some)) for some in (contents, digests)))
    forgotten = ledger.forgotten | new
    if not forgotten:
        raise RequestError("There is no takedown to finish: name what to take down by --content or --style.")
    seen: set[str] = set()
    keys = [key for key in _concerned(ledger, forgotten, set(contents), seen) if ledger.is_committed(*key)]
    for content_id in sorted(set(contents) - seen):
        if not ledger.forgotten.has_content(content_id):
            raise RequestError(f"No plan has a content {content_id!r}: give it as the column content_id has it.")
    with ThreadPoolExecutor(REWRITERS * 4) as pool:
        found = zip(keys, pool.map(lambda key: find_held(ledger.folder, key[0], key[1], forgotten), keys), strict=True)
        shards = {key: held for key, held in found if held}
    drawn = taken_of_banks(ledger.folder, ledger.chain, forgotten)
    gone = [s for plan in ledger.chain for s in plan.styles if forgotten.has_style(s.digest)]
    gone += [style for bank in drawn for style in bank.styles.values()]
    kept = [s for plan in ledger.chain for s in forgotten.keep_styles(plan.styles)]
    store = own_store(ledger)
    names = (stored_names(gone) - stored_names(kept)).intersection(store.list(""))
    parts = [name for bank in drawn for name in find_parts(store, bank.method, bank.identities)]
    return Takedown(
        forgotten,
        shards,
        sorted(names.union(parts)),
        [bank for bank in drawn if bank.name not in names and holds_any(store, bank.name, bank.styles)],
        sorted(ledger.folder.list("reports")) if new or shards else (),
        list(_remarks(ledger, gone, kept, [bank.name for bank in drawn])),
    )


def carry_out(folder: Folder, takedown: Takedown, on_shard: Callable[[str], None] = lambda _: None) -> None:
    """Do it; `on_shard` is called with the name of each object that was replaced. Run again, it finishes."""
    raise_version(folder)
    mark_forgotten(folder, takedown.forgotten)
    # Anew: a shard may have been committed after it was looked for, and before the tombstones were there.
    ledger = Ledger(folder)
    keys = [key for key in _concerned(ledger, takedown.forgotten, set(), set()) if ledger.is_committed(*key)]
    for name in takedown.reports:
        folder.delete(name)
    store = own_store(ledger)
    for name in takedown.representations:
        store.delete(name)
    for bank in takedown.banks:
        blank_rows(store, bank.name, bank.styles)

    def rewrite(key: tuple[int, int]) -> None:
        if rewrite_shard(folder, key[0], key[1], takedown.forgotten):
            on_shard(f"data/{shard_name(*key)}")

    # Last: as long as a shard holds any of it, the next run finds it and does all of this again.
    with ThreadPoolExecutor(REWRITERS) as pool:
        list(pool.map(rewrite, keys))


def _concerned(ledger: Ledger, forgotten: Forgotten, contents: set[str], seen: set[str]) -> Iterator[tuple[int, int]]:
    """Shards that were planned with any of it; which of the `contents` were met goes into `seen`."""
    for plan in ledger.chain:
        gone = {n for n, style in enumerate(plan.styles) if _is_gone(ledger.folder, style, forgotten)}
        groups = {n for n, group in enumerate(plan.groups) if gone.intersection(group.styles)}
        shards: dict[int, None] = {}
        for planned in ledger.pieces(plan):
            if planned.group in groups or _has_content(planned, forgotten):
                shards[planned.shard] = None
            seen |= contents.intersection(planned.piece.content_ids()) if contents else set()
        yield from ((plan.seq, shard) for shard in shards)


def _is_gone(folder: Folder, style: PlannedStyle, forgotten: Forgotten) -> bool:
    """Whether a style was taken down, or one that may have been drawn for it."""
    return forgotten.has_style(style.digest) or bool(taken_rows(folder, style, forgotten))


def _find_styles(ledger: Ledger, names: Collection[str]) -> set[str]:
    """Digests of the styles of these names, in plans or in banks that plans draw from. Raises RequestError."""
    named = {style.name: style.digest for plan in ledger.chain for style in plan.styles}
    drawn = find_drawn(ledger.folder, ledger.chain, names) if names else []
    there = named.keys() | {style.name for style in drawn}
    for name in names:
        if name not in there:
            known = {*named, *(n for _, bank in open_banks(ledger.folder, ledger.chain) for n in bank.names)}
            raise RequestError(f"No plan has a style {name!r}{_suggest(name, known)}")
    return {named[name] for name in names if name in named} | {style.digest for style in drawn}


def _has_content(planned: PlannedPiece, forgotten: Forgotten) -> bool:
    return bool(forgotten.contents) and any(map(forgotten.has_content, planned.piece.content_ids()))


def _remarks(
    ledger: Ledger, gone: Sequence[PlannedStyle], kept: Sequence[PlannedStyle], banks: Sequence[str]
) -> Iterator[str]:
    """What a takedown leaves to do by hand."""
    pictures = {digest for style in gone for digest in style.pictures().values()}
    sharing = sorted({style.name for style in kept if pictures & set(style.pictures().values())})
    if sharing:
        yield f"Styles of the same pictures stay: {', '.join(sharing)}."
    if gone and (stores := shared_stores(ledger)):
        names = ", ".join(sorted({*(stored_names(gone) - stored_names(kept)), *banks}))
        yield f"The store {', '.join(stores)} may be shared, so what it holds of them stays: {names}."


def _suggest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f": did you mean {near[0]!r}?" if near else f", only: {', '.join(sorted(known)[:20])}."
