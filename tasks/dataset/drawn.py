"""Draws, proven: every record names the style that its content draws, derived again from the plan and the bank."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from tasks.banks.packed import Bank
from tasks.dataset.drawn_styles import bank_style, open_manifest, taken_rows
from tasks.dataset.forgotten import Forgotten, PairKey
from tasks.draws.choosing import Urn, draw_strength, find_part
from tasks.plan import Plan
from tasks.records import ImageError, RequestError, carried_name
from tasks.storage import Folder
from tasks.styles import PlannedStyle, pair_seed

# Beside what names a pair: what a draw decides.
COLUMNS = ["style", "style_digest", "bank_part", "seed", "strength"]


class DrawCheck:
    """What the draws of a plan give, for rows that are read, and for pairs that were taken down."""

    def __init__(self, folder: Folder, plan: Plan, forgotten: Forgotten) -> None:
        self.plan = plan
        self.draws = {style.digest: style for style in plan.styles if style.draw is not None}
        self._urns = {digest: _open(folder, plan, style) for digest, style in self.draws.items()}
        self._taken = {digest: taken_rows(folder, style, forgotten) for digest, style in self.draws.items()}

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

    def taken_down(self, pairs: Collection[PairKey], missing: Collection[PairKey], most: int) -> set[PairKey]:
        """Those of a shard's pairs whose drawn style was taken down; its footer counts `most` of them.

        Where a column holds a content's split, only its rows knew what it drew: such a pair is among them if it is
        `missing` and drew a style that was taken down in any part. Where these are more than `most`, some are lost.
        """
        candidates = [(pair, self._may_draw(pair)) for pair in pairs if self._taken.get(pair[2])]
        known = {pair for pair, rows in candidates if len(rows) == 1 and rows <= self._taken[pair[2]]}
        unknown = [pair for pair, rows in candidates if len(rows) > 1 and rows & self._taken[pair[2]]]
        perhaps = known | {pair for pair in unknown if pair in missing}
        return perhaps if len(perhaps) <= most else known

    def _may_draw(self, pair: PairKey) -> set[int]:
        """Places in the bank that a pair may have drawn: one, or one for each part where a column tells which."""
        style = self.draws[pair[2]]
        assert style.draw is not None
        split, (_, urn) = style.draw.split, self._urns[pair[2]]
        parts: Collection[str | None] = split.names if split is not None else (None,)
        if split is not None and split.column is None:
            parts = [name for name in split.names if _is_part(style, pair[0], name)]
        return {urn.draw(pair[0], part, style.draw.number) for part in parts}

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
        drawn = bank_style(bank, urn.draw(row["content_id"], part, style.draw.number), style)
        seed = pair_seed(self.plan.seed, row["content_id"], drawn.digest)
        strength = draw_strength(seed, style.draw.strength)
        told = (row["style"], row["style_digest"], row["seed"])
        return told == (drawn.name, drawn.digest, seed) and strength in (None, row["strength"])


def _open(folder: Folder, plan: Plan, style: PlannedStyle) -> tuple[Bank, Urn]:
    assert style.draw is not None
    bank = open_manifest(folder.uri, style.draw.bank)
    return bank, Urn(bank.identities, style.draw.split, plan.seed)


def _is_part(style: PlannedStyle, content_id: str, part: str | None) -> bool:
    assert style.draw is not None
    try:
        return find_part(style.draw.split, content_id, {}, {}) == part
    except ImageError:
        return False


def open_check(folder: Folder, plan: Plan, forgotten: Forgotten) -> tuple[DrawCheck | None, list[str]]:
    """What proves the draws of a plan, where it has any, and a problem where a bank's manifest is gone."""
    if all(style.draw is None for style in plan.styles):
        return None, []
    try:
        return DrawCheck(folder, plan, forgotten), []
    except RequestError as error:
        return None, [str(error)]
