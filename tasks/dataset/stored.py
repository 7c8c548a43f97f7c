"""What a style keeps in a store of representations, by the names of the objects."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.banks.kept import bank_name
from tasks.dataset.ledger import Ledger
from tasks.labelled.copies import copy_name
from tasks.labelled.place import parse_place
from tasks.storage import Folder
from tasks.styles import PlannedStyle

# A dataset's own store, below its root. Others may be shared, and are left alone.
OWN = "representations"


def stored_names(styles: Iterable[PlannedStyle]) -> set[str]:
    """Names of representations, of what `invert` made for them, of copies of pictures from tables, and of banks."""
    names: set[str] = set()
    for style in styles:
        if style.draw is not None:
            names.add(bank_name(style.method.name, style.draw.bank))
            continue
        names.add(f"{style.method.name}/{style.representation}.safetensors")
        names |= {f"{style.method.inversions}/{key}.safetensors" for key in style.inversions}
        places = [parse_place(uri) for uri in style.pictures()]
        names |= {copy_name(place) for place in places if place is not None}
    return names


def own_store(ledger: Ledger) -> Folder:
    """The store below the dataset's root."""
    return Folder(f"{ledger.folder.uri}/{OWN}")


def shared_stores(ledger: Ledger) -> list[str]:
    """Stores that plans used and that are not below the dataset's root as it was then."""
    return sorted({plan.store for plan in ledger.chain if not plan.store.rstrip("/").endswith(f"/{OWN}")})
