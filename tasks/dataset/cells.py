"""Cells of a backfill: a partition of the corpus in the styles of one wave, as far as nobody owns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.corpus import open_corpus
from tasks.dataset.chain import Draft, find_wants, leave_forgotten, look_for_masks
from tasks.dataset.identity import DatasetIdentity, freeze_identity
from tasks.dataset.ledger import Ledger
from tasks.labelled.wording import Say
from tasks.plan import Plan, Wanted, draft, publish_plan
from tasks.shards import ShardSize, cut
from tasks.storage import Folder
from tasks.styles import PlannedStyle
from tasks.wants import Want, Wants


@dataclass(frozen=True)
class Cell:
    """What is left of a partition in the styles of one wave. Bits of each want are places in `styles`."""

    partition: str
    styles: tuple[PlannedStyle, ...]
    wants: Wants


def find_cells(
    ledger: Ledger, wanted: Wanted, partition: Callable[[str], str | None], say: Say = lambda _: None
) -> list[Cell]:
    """Wanted minus owned, by partition and wave; what `partition` gives no name is left out.

    The corpus is listed once, however many partitions it has. Raises RequestError as planning does.
    """
    wanted = leave_forgotten(ledger, wanted, say)
    corpus = open_corpus(wanted.corpus)
    left_of_all, owned = find_wants(ledger, wanted, corpus)
    wants = Wants(left_of_all)
    if wants:
        for style in wanted.styles:
            look_for_masks(style, corpus, wants, owned.mask([style.digest]), say)
    waves = [[s for s in wanted.styles if s.wave == wave] for wave in dict.fromkeys(s.wave for s in wanted.styles)]
    bits = [[owned.mask([style.digest]) for style in styles] for styles in waves]
    found: dict[tuple[str, int], Wants] = {}
    for want in wants:
        name = partition(want.piece.file)
        for place in range(len(waves)) if name is not None else ():
            left = sum(1 << number for number, bit in enumerate(bits[place]) if want.styles & bit)
            if left and name is not None:
                found.setdefault((name, place), Wants()).add(Want(want.piece, left))
    return [Cell(name, tuple(waves[place]), few) for (name, place), few in sorted(found.items())]


def draft_cells(wanted: Wanted, cells: Sequence[Cell], size: ShardSize) -> Draft:
    """One plan of several cells, without a place in the chain yet."""
    styles = {style.digest: style for cell in cells for style in cell.styles}
    bits = {digest: number for number, digest in enumerate(styles)}
    wants = (want for cell in cells for want in _renumber(cell, bits))
    groups, planned = cut(wants, list(styles.values()), bits, size)
    return Draft(draft("wanted", replace(wanted, styles=tuple(styles.values())), groups, planned), planned)


def publish_draft(folder: Folder, made: Draft, wanted: Wanted, seq: int) -> Plan | None:
    """Give a draft its place in the chain; None where another driver took that place, and cells must be found anew."""
    freeze_identity(folder, DatasetIdentity(images=wanted.images, seed=wanted.seed))
    return publish_plan(folder, made.plan, made.planned, seq)


def _renumber(cell: Cell, bits: dict[str, int]) -> Iterator[Want]:
    """The cell's wants with the bits of a plan of several cells."""
    places = [1 << bits[style.digest] for style in cell.styles]
    for want in cell.wants:
        yield Want(want.piece, sum(bit for number, bit in enumerate(places) if want.styles >> number & 1))
