"""What stays loaded in an actor between shards: networks, representations, score targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.actors.orders import ActorSettings
from tasks.actors.regions import KeptShares, RegionDrawer
from tasks.labelled.rows import ROWS
from tasks.methods.base import Method, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.references import load_style
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle

if TYPE_CHECKING:
    from tasks.scores.clip import ClipScorer, StyleTargets

# Decoded style pictures that are held at once: pictures of styles may be as large as those of a corpus.
STYLE_BYTES = 2**29


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
        computed = 0
        for settings in dict.fromkeys(style.method for style in styles):
            group = {s.representation: s for s in styles if s.method == settings}
            while missing := sorted(group.keys() - self.store.keys(settings.name)):
                computed += self._compute(settings.name, [group[key] for key in missing])
        return computed

    def _representation(self, style: PlannedStyle) -> Representation:
        try:
            return self.store.get(style.method.name, style.representation)
        except FileNotFoundError:
            self.represent([style])
            return self.store.get(style.method.name, style.representation)

    def _compute(self, name: str, styles: list[PlannedStyle]) -> int:
        """Compute those that no other process is at; wait for the others' once ours are done."""
        with self.store.lease(name, [style.representation for style in styles]) as mine:
            ours = [style for style in styles if style.representation in mine]
            for batch in _load_in_batches(ours):
                representations = self.method(ours[0]).represent([style for _, style in batch])
                for (planned, _), representation in zip(batch, representations, strict=True):
                    self.store.put(name, planned.representation, representation)
        for style in styles:
            self.store.wait(name, style.representation)
        return len(ours)

    def _target(self, style: PlannedStyle) -> list[StyleTargets]:
        """A style's targets; of a composite one then those of each reference alone. None without a scorer."""
        if self.scorer is None:
            return []
        if style.digest not in self._targets:
            whole = load_style(style)
            parts = [Style(whole.name, (reference,)) for reference in whole.references] if whole.composite else []
            self._targets[style.digest] = self.scorer.prepare([whole, *parts])
        return self._targets[style.digest]


def _load_in_batches(styles: Iterable[PlannedStyle]) -> Iterator[list[tuple[PlannedStyle, Style]]]:
    """Styles with their pictures, as many together as `STYLE_BYTES` hold."""
    batch: list[tuple[PlannedStyle, Style]] = []
    held = 0
    for planned in styles:
        style = load_style(planned)
        batch.append((planned, style))
        held += sum(r.image_CHW.nbytes for r in style.references if r.image_CHW is not None)
        if held > STYLE_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _open_scorer(settings: ActorSettings) -> ClipScorer | None:
    if settings.clip == "none":
        return None
    # Only here: open_clip takes seconds to import, and a run without scores needs none of it.
    from tasks.encoders.clip import open_clip_model
    from tasks.samples.photographs import neutral_photographs
    from tasks.scores.clip import ClipScorer

    return ClipScorer(open_clip_model(settings.clip, settings.device), neutral_photographs())
