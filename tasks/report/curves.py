"""Curves of named values over the steps of a run: small charts on one page, as the report draws its own.

The page opens from disk, fetches nothing and runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from tasks.report.charts import Axis, draw_axis, nice_step
from tasks.report.formats import MISSING, count
from tasks.report.pages import make_environment, render_page

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 320, 96
# Values further apart than this are drawn by their logarithm, or the first steps would flatten all others.
WIDEST_LINEAR = 8


@dataclass(frozen=True)
class Curve:
    """A named value at some steps, by rising steps; what is not finite is left out of the drawing."""

    name: str
    points: Points

    @property
    def finite(self) -> Points:
        return [(step, value) for step, value in self.points if math.isfinite(value)]


@dataclass(frozen=True)
class Chart:
    """What the page shows of a curve; `scale` says how heights are to be read."""

    name: str
    drawing: Markup
    axis: Markup
    last: str
    lowest: str
    highest: str
    scale: str


def render_curves(title: str, curves: Sequence[Curve]) -> str:
    """The whole page; the same values give the same page, byte for byte."""
    steps = max((curve.points[-1][0] for curve in curves if curve.points), default=0)
    charts = [draw_chart(curve, steps) for curve in curves]
    environment = make_environment()
    return render_page(
        environment, "curves.html.jinja", "curves.css.jinja", title=title, steps=count(steps), charts=charts
    )


def draw_chart(curve: Curve, steps: int) -> Chart:
    """The chart of a curve, from step 0 to `steps`."""
    # A half more, so that the ticks' numbers, longer than a score's, keep apart.
    axis = Axis(0, max(1, steps), max(1, nice_step(1.5 * max(1, steps))))
    values = [value for _, value in curve.finite]
    if not values:
        return Chart(curve.name, Markup(""), draw_axis(axis), MISSING, MISSING, MISSING, "no numbers")
    low, high = min(values), max(values)
    logarithmic = 0 < low * WIDEST_LINEAR < high
    label = f"{curve.name}: {number(values[-1])} at step {count(curve.finite[-1][0])}, lowest {number(low)}"
    return Chart(
        curve.name,
        draw_line(curve.finite, axis, logarithmic, label),
        draw_axis(axis),
        number(values[-1]),
        number(low),
        number(high),
        "logarithmic" if logarithmic else "linear",
    )


def draw_line(points: Points, axis: Axis, logarithmic: bool, label: str) -> Markup:
    """A line through the points, from the lowest value at the bottom to the highest at the top.

    A column of the drawing shows the range of all values that fall into it, so that no spike is lost.
    """
    placed = [(step, math.log(value) if logarithmic else value) for step, value in points]
    low, high = min(value for _, value in placed), max(value for _, value in placed)
    corners = []
    for column, group in groupby(placed, lambda point: round(WIDTH / 100 * axis.position(point[0]))):
        heights = [HEIGHT * (1 - share_between(value, low, high)) for _, value in group]
        corners += [(column, height) for height in dict.fromkeys((heights[0], min(heights), max(heights), heights[-1]))]
    path = "L".join(f"{column} {height:.1f}" for column, height in corners)
    return Markup(
        '<svg class="curve" width="100%" height="{1}" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" '
        'aria-label="{2}"><title>{2}</title><path class="frame" d="M0 0H{0}M0 {1}H{0}"/><path class="line" d="M{3}"/>'
        "</svg>"
    ).format(WIDTH, HEIGHT, label, path)


def share_between(value: float, low: float, high: float) -> float:
    """Where a value lies between two others, from 0 to 1; in the middle where these are equal."""
    return (value - low) / (high - low) if high > low else 0.5


def number(value: float) -> str:
    """Three significant digits and a true minus sign."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
