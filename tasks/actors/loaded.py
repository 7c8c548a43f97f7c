"""What stays loaded in an actor between shards: networks, representations, score targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.actors.contents import ShardContent
from tasks.actors.drawn import Classes, Drawn, OpenDraw, open_draw
from tasks.actors.orders import ActorSettings
from tasks.actors.regions import KeptShares, RegionDrawer
from tasks.actors.representing import represent
from tasks.banks.kept import open_bank
from tasks.banks.packed import Bank
from tasks.dataset.forgotten import Forgotten
from tasks.draws.choosing import Urn
from tasks.labelled.rows import ROWS
from tasks.methods.base import Method, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.records import ImageError
from tasks.references import load_style
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle

if TYPE_CHECKING:
    from tasks.scores.clip import ClipScorer, StyleTargets

NO_CLASSES: Classes = {}


@dataclass(frozen=True)
class ReadyStyle:
    """A style with all that rendering and scoring it needs.

    Of a composite style `drawer` draws its regions, and `parts` are the targets of each reference alone. What stands
    for a draw has it `opened`; what a content drew of it says so in `drawn`.
    """

    planned: PlannedStyle
    representation: Representation
    targets: StyleTargets | None
    drawer: RegionDrawer | None = None
    parts: Sequence[StyleTargets] = ()
    opened: OpenDraw | None = None
    drawn: Drawn | None = None

    @property
    def wanted(self) -> str:
        """Digest of what the plan wants: the style's, or that of the draw that it came from."""
        return self.drawn.draw if self.drawn else self.planned.digest

    @property
    def strength(self) -> float | None:
        """Strength of the pair; None where the method has none."""
        own: float | None = getattr(self.planned.method, "strength", None)
        return own if self.drawn is None or self.drawn.strength is None else self.drawn.strength


class Loaded:
    """Opens each thing once. Networks are kept for one wave at a time, so that a GPU never holds two.

    `forgotten` is what had been taken down when the shard at hand was begun.
    """

    def __init__(self, settings: ActorSettings) -> None:
        self.settings = settings
        self.output = Folder(settings.output)
        self.forgotten = Forgotten()
        self.store = RepresentationStore(settings.store)
        ROWS.copies.look_in(self.store.folder)
        self.scorer = _open_scorer(settings)
        self._wave = ""
        self._methods: dict[MethodSettings, Method] = {}
        self._targets: dict[str, list[StyleTargets]] = {}
        self._drawers: dict[str, RegionDrawer] = {}
        self._shares = KeptShares()
        self._banks: dict[str, Bank] = {}
        self._draws: dict[tuple[str, int], OpenDraw] = {}
        self._urns: dict[str, Urn] = {}

    @property
    def clip_model(self) -> str | None:
        """Name of the model behind the scores, None where there are none."""
        return self.scorer.model if self.scorer else None

    def method(self, planned: PlannedStyle) -> Method:
        """The method of a style, ready on the device."""
        if planned.wave != self._wave:
            self._methods.clear()
            self._wave = planned.wave
        return self.open(planned.method)

    def open(self, settings: MethodSettings) -> Method:
        """The method of these settings, ready on the device."""
        if settings not in self._methods:
            self._methods[settings] = open_method(settings, self.settings.device)
        return self._methods[settings]

    def ready(self, styles: Sequence[PlannedStyle], seed: int = 0, classes: Classes = NO_CLASSES) -> list[ReadyStyle]:
        """Representations and score targets of a shard's styles; computes a representation that got lost.

        Contents draw by the `seed`; `classes` names those values of the corpus's columns that are numbers.
        """
        return [self._ready(style) if style.draw is None else self._open(style, seed, classes) for style in styles]

    def choose(self, style: ReadyStyle, content: ShardContent) -> ReadyStyle:
        """What a content is rendered in: the style, or what it draws.

        Raises ImageError where it can draw nothing, or what it draws was taken down.
        """
        if style.opened is None:
            return style
        opened, drawn = style.opened, style.opened.choose(content)
        if self.forgotten.has_style(drawn.planned.digest):
            raise ImageError("taken_down", "The style was taken out of the dataset.")
        targets = opened.targets(drawn, self._embed) if self.scorer else None
        return ReadyStyle(drawn.planned, opened.representation(drawn), targets, drawn=drawn)

    def _ready(self, style: PlannedStyle) -> ReadyStyle:
        representation, targets = self._representation(style), self._target(style)
        whole = targets[0] if targets else None
        if not style.is_composite:
            return ReadyStyle(style, representation, whole)
        if style.digest not in self._drawers:
            self._drawers[style.digest] = RegionDrawer(style, self.settings.device, self._shares)
        return ReadyStyle(style, representation, whole, self._drawers[style.digest], targets[1:])

    def _open(self, style: PlannedStyle, seed: int, classes: Classes) -> ReadyStyle:
        assert style.draw is not None
        key, bank = (style.digest, seed), style.draw.bank
        if bank not in self._banks:
            self._banks[bank] = open_bank(self.store.folder, style.method.name, bank)
        if key not in self._draws:
            self._draws[key] = open_draw(style, self._banks[bank], self._urns, seed, classes)
        return ReadyStyle(style, Representation({}), None, opened=self._draws[key])

    def represent(self, styles: Sequence[PlannedStyle]) -> int:
        """Compute and publish what the store lacks of some styles; gives how many were computed here."""
        return represent(self.store, self.method, styles)

    def _representation(self, style: PlannedStyle) -> Representation:
        try:
            return self.store.get(style.method.name, style.representation)
        except FileNotFoundError:
            self.represent([style])
            return self.store.get(style.method.name, style.representation)

    def _target(self, style: PlannedStyle) -> list[StyleTargets]:
        """A style's targets; of a composite one then those of each reference alone. None without a scorer."""
        if self.scorer is None:
            return []
        if style.digest not in self._targets:
            self._targets[style.digest] = self._embed(style)
        return self._targets[style.digest]

    def _embed(self, style: PlannedStyle) -> list[StyleTargets]:
        assert self.scorer is not None
        whole = load_style(style)
        parts = [Style(whole.name, (reference,)) for reference in whole.references] if whole.composite else []
        return self.scorer.prepare([whole, *parts])


def strengths(styles: Sequence[ReadyStyle]) -> Sequence[float]:
    """A strength for each pair where any has one of its own; else none, and the method's stands."""
    if not any(style.drawn is not None and style.drawn.strength is not None for style in styles):
        return ()
    return [1.0 if style.strength is None else style.strength for style in styles]


def name_drawn(style: ReadyStyle, content: ShardContent) -> ReadyStyle:
    """What a content would have drawn that gets no picture; the draw itself where its split is not known."""
    if style.opened is None:
        return style
    try:
        drawn = style.opened.choose(content)
    except ImageError:
        return style
    return ReadyStyle(drawn.planned, style.representation, None, drawn=drawn)


def _open_scorer(settings: ActorSettings) -> ClipScorer | None:
    if settings.clip == "none":
        return None
    # Only here: open_clip takes seconds to import, and a run without scores needs none of it.
    from tasks.encoders.clip import open_clip_model
    from tasks.samples.photographs import neutral_photographs
    from tasks.scores.clip import ClipScorer

    return ClipScorer(open_clip_model(settings.clip, settings.device), neutral_photographs())
