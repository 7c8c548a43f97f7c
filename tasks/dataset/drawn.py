"""Draws, proven: every record names the style that its content draws, derived again from the plan and the bank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa

from tasks.banks.kept import read_manifest
from tasks.banks.packed import Bank
from tasks.draws.choosing import Urn, draw_strength, find_part
from tasks.plan import Plan
from tasks.records import ImageError, RequestError, carried_name
from tasks.storage import Folder
from tasks.styles import PlannedStyle, pair_seed

# Beside what names a pair: what a draw decides.
COLUMNS = ["style", "style_digest", "bank_part", "seed", "strength"]


class DrawCheck:
    """What the draws of a plan give, for rows that are read."""

    def __init__(self, folder: Folder, plan: Plan) -> None:
        self.plan = plan
        self.draws = {style.digest: style for style in plan.styles if style.draw is not None}
        self._urns = {digest: _open(folder, plan, style) for digest, style in self.draws.items()}

    @property
    def columns(self) -> list[str]:
        """Columns to read of records and failures; none where nothing is drawn."""
        splits = {style.draw.split.column for style in self.draws.values() if style.draw and style.draw.split}
        named = [carried_name(column) for column in splits if column is not None]
        return [*COLUMNS, *named] if self.draws else []

    def problems(self, name: str, table: pa.Table) -> Iterator[str]:
        """A sentence where rows are not what their contents draw."""
        wrong = [
            row["content_id"] for row in table.to_pylist() if row["draw"] in self.draws and not self._is_right(row)
        ]
        if wrong:
            yield f"{name}: {len(wrong)} pairs are not what their contents draw, for one {min(wrong)}"

    def _is_right(self, row: Mapping[str, Any]) -> bool:
        style = self.draws[row["draw"]]
        assert style.draw is not None
        split, part = style.draw.split, row["bank_part"]
        if row["style_digest"] == style.digest:  # a failure of a content whose split nobody knows
            return split is not None and part is None
        if split is not None and split.column is None and not _is_part(style, row["content_id"], part):
            return False
        if split is not None and part not in split.names:
            return False
        bank, urn = self._urns[style.digest]
        drawn = _style(bank, urn.draw(row["content_id"], part, style.draw.number), style)
        seed = pair_seed(self.plan.seed, row["content_id"], drawn[1])
        strength = draw_strength(seed, style.draw.strength)
        told = (row["style"], row["style_digest"], row["seed"])
        return told == (*drawn, seed) and strength in (None, row["strength"])


def _open(folder: Folder, plan: Plan, style: PlannedStyle) -> tuple[Bank, Urn]:
    assert style.draw is not None
    bank = _read_bank(folder.uri, style.draw.bank)
    return bank, Urn(bank.identities, style.draw.split, plan.seed)


@lru_cache(maxsize=2)
def _read_bank(uri: str, key: str) -> Bank:
    return read_manifest(Folder(uri), key)


def _is_part(style: PlannedStyle, content_id: str, part: str | None) -> bool:
    assert style.draw is not None
    try:
        return find_part(style.draw.split, content_id, {}, {}) == part
    except ImageError:
        return False


def _style(bank: Bank, row: int, style: PlannedStyle) -> tuple[str, str]:
    """Name and digest of a style of the bank, made with what the draw is made with."""
    found = bank.style(row, style.method, style.weights_digest)
    return found.name, found.digest


def open_check(folder: Folder, plan: Plan) -> tuple[DrawCheck | None, list[str]]:
    """What proves the draws of a plan, where it has any, and a problem where a bank's manifest is gone."""
    if all(style.draw is None for style in plan.styles):
        return None, []
    try:
        return DrawCheck(folder, plan), []
    except RequestError as error:
        return None, [str(error)]
