"""Paths between two styles, as a report shows them: a few contents in each style on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.dataset.ledger import Ledger
from tasks.gallery.contents import Chosen, choose_contents, read_cells, show_row, spread, wanted_plans
from tasks.plan import Plan
from tasks.report.model import GalleryCell, GalleryRow, PathStop, StylePath
from tasks.report.page import PATHS

STEPS, CONTENTS = 12, 4
SIDE = 192


@dataclass
class Way:
    """A path with the plan that first had it, whose contents later plans bring into what they add."""

    start: str
    end: str
    plan: Plan
    steps: dict[float, str] = field(default_factory=dict)  # names of styles by where they are

    def walk(self) -> StylePath:
        """The path without pictures; of many steps some, evenly."""
        places = sorted(self.steps)
        shown = spread(places, STEPS)
        stops = [PathStop(self.steps[at], at) for at in shown]
        return StylePath(
            [PathStop(self.start, 0.0), *stops, PathStop(self.end, 1.0)], more_steps=len(places) - len(shown)
        )


def read_paths(ledger: Ledger) -> list[StylePath]:
    """Every path of the dataset; those that the page has room for with their pictures, as far as they are made."""
    kept = [p.model_copy(update={"styles": ledger.forgotten.keep_styles(p.styles)}) for p in wanted_plans(ledger)]
    ways = find_ways(kept)
    paths = [way.walk() for way in ways]
    chosen = [choose_contents(ledger, way.plan, CONTENTS) for way in ways[:PATHS]]
    contents = {content_id for some in chosen for content_id in some}
    names = {stop.style for path in paths[:PATHS] for stop in path.stops}
    cells = read_cells(ledger, contents, names, SIDE) if contents else {}
    filled = [replace(path, rows=_rows(path, some, cells)) for path, some in zip(paths, chosen, strict=False)]
    return filled + paths[PATHS:]


def find_ways(plans: Sequence[Plan]) -> list[Way]:
    """Paths in the order that plans have them; where two plans have a style at one place, the newer plan's."""
    ways: dict[tuple[str, str], Way] = {}
    for plan in plans:
        for style in plan.styles:
            if style.step is not None:
                start, end = style.step.start, style.step.end
                ways.setdefault((start, end), Way(start, end, plan)).steps[style.step.at] = style.name
    return list(ways.values())


def _rows(path: StylePath, chosen: Chosen, cells: Mapping[tuple[str, str], GalleryCell]) -> list[GalleryRow]:
    return [
        show_row(plan, piece, content_id, SIDE, _cells(path, content_id, cells))
        for content_id, (plan, piece) in chosen.items()
    ]


def _cells(path: StylePath, content_id: str, cells: Mapping[tuple[str, str], GalleryCell]) -> list[GalleryCell]:
    return [cells.get((content_id, stop.style), GalleryCell(stop.style, None)) for stop in path.stops]
