"""Styles that a dataset's draws draw from, by name and by digest: what takedowns and proofs ask of a bank."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tasks.banks.kept import bank_name, read_manifest
from tasks.banks.packed import Bank, identify
from tasks.dataset.forgotten import Forgotten
from tasks.methods.settings import MethodSettings
from tasks.plan import Plan
from tasks.storage import Folder
from tasks.styles import PlannedStyle


@dataclass(frozen=True)
class TakenOfBank:
    """Styles of a bank that were taken down, by their places in it."""

    method: str
    key: str
    styles: Mapping[int, PlannedStyle]

    @property
    def name(self) -> str:
        """Name of the bank's object in a store."""
        return bank_name(self.method, self.key)

    @property
    def identities(self) -> set[str]:
        """What the styles are made of."""
        return {identify(style.references) for style in self.styles.values()}


def bank_style(bank: Bank, row: int, draw: PlannedStyle) -> PlannedStyle:
    """A style of a bank, made with what the draw is made with."""
    assert draw.draw is not None
    return bank.style(row, draw.method, draw.weights_digest, draw.draw.source)


def open_banks(folder: Folder, plans: Iterable[Plan]) -> Iterator[tuple[PlannedStyle, Bank]]:
    """Draws of plans, one for each bank and method, with their banks. Raises RequestError where a manifest is gone."""
    draws = (style for plan in plans for style in plan.styles if style.draw is not None)
    for draw in {(draw.representation, draw.method, draw.weights_digest): draw for draw in draws}.values():
        yield draw, open_manifest(folder.uri, draw.representation)


def find_drawn(folder: Folder, plans: Iterable[Plan], names: Collection[str]) -> list[PlannedStyle]:
    """The styles of these names in the banks that plans draw from. Raises RequestError where a manifest is missing."""
    found: dict[str, PlannedStyle] = {}
    for draw, bank in open_banks(folder, plans):
        styles = (bank_style(bank, row, draw) for row, name in enumerate(bank.names) if name in names)
        found |= {style.digest: style for style in styles}
    return list(found.values())


def taken_rows(folder: Folder, draw: PlannedStyle, forgotten: Forgotten) -> frozenset[int]:
    """Places in a draw's bank of the styles that were taken down. Raises RequestError where its manifest is missing."""
    if draw.draw is None or not forgotten.styles:
        return frozenset()
    return _taken_rows(folder.uri, draw.representation, draw.method, draw.weights_digest, forgotten)


def taken_of_banks(folder: Folder, plans: Iterable[Plan], forgotten: Forgotten) -> list[TakenOfBank]:
    """The banks that plans draw from and that have styles that were taken down, with these."""
    found = []
    for draw, bank in open_banks(folder, plans) if forgotten.styles else ():
        rows = sorted(taken_rows(folder, draw, forgotten))
        if rows:
            styles = {row: bank_style(bank, row, draw) for row in rows}
            found.append(TakenOfBank(draw.method.name, draw.representation, styles))
    return found


@lru_cache(maxsize=2)
def open_manifest(uri: str, key: str) -> Bank:
    """What a dataset keeps of a bank. Raises RequestError where it is missing or damaged."""
    return read_manifest(Folder(uri), key)


@lru_cache(maxsize=8)
def _taken_rows(uri: str, key: str, method: MethodSettings, weights: str, forgotten: Forgotten) -> frozenset[int]:
    bank = open_manifest(uri, key)
    return frozenset(row for row in range(len(bank)) if forgotten.has_style(bank.style(row, method, weights).digest))
