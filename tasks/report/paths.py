"""A path between two styles as the page shows it: its pictures, and how near they are to either end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from tasks.report.curves import share_between
from tasks.report.formats import percent, signed_score
from tasks.report.model import IntendedMatrix, StylePath

HEIGHT, MARGIN = 112, 24  # pixels; the margin, above and below, holds the numbers


@dataclass(frozen=True)
class PathView:
    """A path, the matrix that knows it, if one does, and the chart of what that says: points under the stops."""

    path: StylePath
    matrix: IntendedMatrix | None
    chart: Markup


@dataclass(frozen=True)
class Line:
    """Margins of one end, which is `kind` (start or end), over the outputs of stops, by the stops' numbers."""

    kind: str
    style: str
    margins: Mapping[int, float]


@dataclass(frozen=True)
class Frame:
    """Where in a chart a margin lies, and where a stop: between the lowest and the highest, under its column."""

    low: float
    high: float
    stops: int

    def across(self, stop: int) -> float:
        """Percent of the width."""
        return 100 * (stop + 0.5) / self.stops

    def down(self, margin: float) -> float:
        """Pixels from the top."""
        return MARGIN + (HEIGHT - 2 * MARGIN) * (1 - share_between(margin, self.low, self.high))


def draw_path(path: StylePath, matrices: Sequence[IntendedMatrix]) -> PathView:
    """The path with its chart by the judge, else by the scorer, else without one."""
    known = [matrix for matrix in matrices if _knows(matrix, path)]
    matrix = next((one for one in known if one.role == "judge"), known[0] if known else None)
    return PathView(path, matrix, Markup("") if matrix is None else _draw_chart(path, matrix))


def _knows(matrix: IntendedMatrix, path: StylePath) -> bool:
    """Whether it holds both ends and something in between."""
    has_ends = {path.start, path.end} <= set(matrix.styles)
    return has_ends and any(stop.style in matrix.styles for stop in path.stops[1:-1])


def _draw_chart(path: StylePath, matrix: IntendedMatrix) -> Markup:
    start, end = _line("start", path.start, path, matrix), _line("end", path.end, path, matrix)
    margins = [*start.margins.values(), *end.margins.values()]
    frame = Frame(min(margins), max(margins), len(path.stops))
    label = f"{_describe(start, path)}; {_describe(end, path)}"
    return Markup(
        '<svg class="nearness" width="100%" height="{}" role="img" aria-label="{}"><title>{}</title>{}{}{}</svg>'
    ).format(HEIGHT, label, label, _draw_zero(frame), _draw_line(start, end, frame), _draw_line(end, start, frame))


def _line(kind: str, asked: str, path: StylePath, matrix: IntendedMatrix) -> Line:
    margins = dict(zip(matrix.styles, matrix.margins[matrix.styles.index(asked)], strict=True))
    places = (place for place, stop in enumerate(path.stops) if stop.style in margins)
    return Line(kind, asked, {place: margins[path.stops[place].style] for place in places})


def _describe(line: Line, path: StylePath) -> str:
    said = (f"{signed_score(margin)} at {percent(path.stops[place].at)}" for place, margin in line.margins.items())
    return f"Near {line.style}: {', '.join(said)}"


def _draw_zero(frame: Frame) -> Markup:
    """The mean over all outputs, where it is between the lowest and the highest margin."""
    if not frame.low < 0 < frame.high:
        return Markup("")
    return Markup('<line class="zero" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(frame.down(0))


def _draw_line(line: Line, other: Line, frame: Frame) -> Markup:
    """Segments, then a dot and a number at each stop."""
    placed = [(frame.across(stop), frame.down(margin)) for stop, margin in line.margins.items()]
    segments = [
        Markup('<line class="{}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>').format(line.kind, *one, *two)
        for one, two in pairwise(placed)
    ]
    points = [_draw_point(line, other, stop, frame) for stop in line.margins]
    return Markup("").join([*segments, *points])


def _draw_point(line: Line, other: Line, stop: int, frame: Frame) -> Markup:
    """The number is on the side where the other line is not."""
    margin, rival = line.margins[stop], other.margins[stop]
    is_above = margin > rival or (margin == rival and line.kind == "start")
    x, y = frame.across(stop), frame.down(margin)
    return Markup(
        '<circle class="{0}" cx="{1:.2f}%" cy="{2:.1f}" r="3.5"/>'
        '<text class="{0}" x="{1:.2f}%" y="{3:.1f}" text-anchor="middle">{4}</text>'
    ).format(line.kind, x, y, y - 9 if is_above else y + 18, signed_score(margin))
