"""What stays loaded in an actor between shards: networks, representations, score targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.actors.orders import ActorSettings
from tasks.actors.regions import KeptShares, RegionDrawer
from tasks.actors.representing import represent
from tasks.labelled.rows import ROWS
from tasks.methods.base import Method, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.references import load_style
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle

if TYPE_CHECKING:
    from tasks.scores.clip import ClipScorer, StyleTargets


@dataclass(frozen=True)
class ReadyStyle:
    """A style with all that rendering and scoring it needs.

    Of a composite style `drawer` draws its regions, and `parts` are the targets of each reference alone.
    """

    planned: PlannedStyle
    representation: Representation
    targets: StyleTargets | None
    drawer: RegionDrawer | None = None
    parts: Sequence[StyleTargets] = ()


class Loaded:
    """Opens each thing once. Networks are kept for one wave at a time, so that a GPU never holds two."""

    def __init__(self, settings: ActorSettings) -> None:
        self.settings = settings
        self.output = Folder(settings.output)
        self.store = RepresentationStore(settings.store)
        ROWS.copies.look_in(self.store.folder)
        self.scorer = _open_scorer(settings)
        self._wave = ""
        self._methods: dict[MethodSettings, Method] = {}
        self._targets: dict[str, list[StyleTargets]] = {}
        self._drawers: dict[str, RegionDrawer] = {}
        self._shares = KeptShares()

    @property
    def clip_model(self) -> str | None:
        """Name of the model behind the scores, None where there are none."""
        return self.scorer.model if self.scorer else None

    def method(self, planned: PlannedStyle) -> Method:
        """The method of a style, ready on the device."""
        if planned.wave != self._wave:
            self._methods.clear()
            self._wave = planned.wave
        if planned.method not in self._methods:
            self._methods[planned.method] = open_method(planned.method, self.settings.device)
        return self._methods[planned.method]

    def ready(self, styles: Sequence[PlannedStyle]) -> list[ReadyStyle]:
        """Representations and score targets of a shard's styles; computes a representation that got lost."""
        return [self._ready(style) for style in styles]

    def _ready(self, style: PlannedStyle) -> ReadyStyle:
        representation, targets = self._representation(style), self._target(style)
        whole = targets[0] if targets else None
        if not style.is_composite:
            return ReadyStyle(style, representation, whole)
        if style.digest not in self._drawers:
            self._drawers[style.digest] = RegionDrawer(style, self.settings.device, self._shares)
        return ReadyStyle(style, representation, whole, self._drawers[style.digest], targets[1:])

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
            whole = load_style(style)
            parts = [Style(whole.name, (reference,)) for reference in whole.references] if whole.composite else []
            self._targets[style.digest] = self.scorer.prepare([whole, *parts])
        return self._targets[style.digest]


def _open_scorer(settings: ActorSettings) -> ClipScorer | None:
    if settings.clip == "none":
        return None
    # Only here: open_clip takes seconds to import, and a run without scores needs none of it.
    from tasks.encoders.clip import open_clip_model
    from tasks.samples.photographs import neutral_photographs
    from tasks.scores.clip import ClipScorer

    return ClipScorer(open_clip_model(settings.clip, settings.device), neutral_photographs())
