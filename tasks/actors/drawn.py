"""Styles that contents draw from a bank, ready to render: in the place of one wanted style another for each content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.actors.contents import ShardContent
from tasks.banks.packed import Bank
from tasks.banks.tensors import BankTensors
from tasks.draws.choosing import Urn, draw_strength, find_part
from tasks.draws.settings import PlannedDraw
from tasks.methods.base import Representation
from tasks.styles import PlannedStyle, pair_seed

if TYPE_CHECKING:
    from tasks.scores.clip import StyleTargets

# Targets of so many styles are kept: with few styles in a bank they come again, with many they rarely do.
TARGETS = 1024

Classes = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Drawn:
    """What a content drew: the style, the digest of the draw that it stands for, and what goes with the pair."""

    planned: PlannedStyle
    draw: str
    part: str | None
    strength: float | None
    row: int


class OpenDraw:
    """One draw of a job, with its bank mapped into memory."""

    def __init__(self, planned: PlannedStyle, bank: Bank, urn: Urn, classes: Classes) -> None:
        assert planned.draw is not None
        self.planned, self.bank, self.urn, self.classes = planned, bank, urn, classes
        self.draw: PlannedDraw = planned.draw
        self.tensors = BankTensors(bank.table)
        self._targets: OrderedDict[str, StyleTargets | None] = OrderedDict()

    def choose(self, content: ShardContent) -> Drawn:
        """The style of a content. Raises ImageError where its split is none of the draw's."""
        entry = content.entry
        part = find_part(self.draw.split, entry.content_id, entry.columns, self.classes)
        row = self.urn.draw(entry.content_id, part, self.draw.number)
        style = self.bank.style(row, self.planned.method, self.planned.weights_digest, self.draw.source)
        strength = draw_strength(pair_seed(self.urn.seed, entry.content_id, style.digest), self.draw.strength)
        return Drawn(style, self.planned.digest, part, strength, row)

    def representation(self, drawn: Drawn) -> Representation:
        """The drawn style's representation."""
        return self.tensors.representation(drawn.row)

    def targets(self, drawn: Drawn, prepare: Callable[[PlannedStyle], Sequence[StyleTargets]]) -> StyleTargets | None:
        """What the pair's picture is scored against; some are kept."""
        digest = drawn.planned.digest
        if digest not in self._targets:
            self._targets[digest] = next(iter(prepare(drawn.planned)), None)
        self._targets.move_to_end(digest)
        while len(self._targets) > TARGETS:
            self._targets.popitem(last=False)
        return self._targets[digest]


def open_draw(planned: PlannedStyle, bank: Bank, urns: dict[str, Urn], seed: int, classes: Classes) -> OpenDraw:
    """A draw over its bank; draws that share bank and split share the urn."""
    assert planned.draw is not None
    key = f"{planned.draw.bank} {seed} {planned.draw.split}"
    urn = urns.setdefault(key, Urn(bank.identities, planned.draw.split, seed))
    return OpenDraw(planned, bank, urn, classes)
