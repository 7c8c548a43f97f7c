"""Small charts as inline SVG, without styles or scripts of their own: classes only, coloured by the page.

Horizontal positions are percentages, so that a chart takes its column's width while its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.report.distributions import shares_between
from tasks.report.formats import score, score_label
from tasks.report.model import ScoreSummary

BINS = 48
RIDGE_HEIGHT = 30
# A density of fewer values shows the interpolation between them and nothing else.
FEWEST_FOR_DENSITY = 20


@dataclass(frozen=True)
class Axis:
    """A horizontal scale from `low` to `high`, with a tick at every multiple of `step` in between."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Values of the ticks, from low to high."""
        first, last = math.ceil(self.low / self.step), math.floor(self.high / self.step)
        return [index * self.step for index in range(first, last + 1)]

    def position(self, value: float) -> float:
        """Where a value lies, in percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)


def draw_bar(share: float, kind: str = "plain") -> Markup:
    """A horizontal bar that fills `share` (0 to 1) of its track; the number stands beside it as text."""
    width = 100 * min(max(share, 0.0), 1.0)
    return Markup(
        '<svg class="bar" width="100%" height="10" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100%" height="10"/><rect class="{}" width="{:.2f}%" height="10"/></svg>'
    ).format(kind, width)


def fit_axis(summaries: Sequence[ScoreSummary]) -> Axis:
    """One axis for all styles of a score: from the lowest to the highest value, with a margin."""
    low = min(summary.at(0) for summary in summaries)
    high = max(summary.at(100) for summary in summaries)
    margin = 0.04 * (high - low) or max(0.01, 0.01 * abs(low))
    return Axis(low - margin, high + margin, nice_step(high - low + 2 * margin))


def nice_step(span: float) -> float:
    """Largest of 1, 2 or 5 times a power of ten that cuts the span into at least three parts."""
    power: float = 10.0 ** math.floor(math.log10(span))
    return next(step for step in (2 * power, power, power / 2, power / 5) if span / step >= 2.5)


def draw_axis(axis: Axis) -> Markup:
    """Tick labels under a column of distributions."""
    decimals = max(0, math.ceil(-math.log10(axis.step) - 1e-9))
    labels = Markup("").join(_tick(axis, value, decimals) for value in axis.ticks)
    return Markup('<svg class="axis" width="100%" height="22" aria-hidden="true" focusable="false">{}</svg>').format(
        labels
    )


def draw_distribution(summary: ScoreSummary, axis: Axis, style: str, name: str) -> Markup:
    """Density of a score over one style, with its middle half, its 5 % to 95 % range and its median."""
    label = (
        f"{score_label(name)} of {style}: median {score(summary.at(50))}, "
        f"from {score(summary.at(5))} (5 %) to {score(summary.at(95))} (95 %), {summary.count} records"
    )
    return Markup(
        '<svg class="ridge" width="100%" height="46" role="img" aria-label="{}"><title>{}</title>{}{}{}'
        '<circle class="median" cx="{:.2f}%" cy="38" r="4"/></svg>'
    ).format(
        label,
        label,
        _density(summary, axis) if summary.count >= FEWEST_FOR_DENSITY else "",
        _span(axis, summary.at(5), summary.at(95), "range", 37, 2),
        _span(axis, summary.at(25), summary.at(75), "middle", 35, 6),
        axis.position(summary.at(50)),
    )


def _density(summary: ScoreSummary, axis: Axis) -> Markup:
    edges = [axis.low + (axis.high - axis.low) * index / BINS for index in range(BINS + 1)]
    edges[0], edges[-1] = -math.inf, math.inf
    shares = shares_between(summary, edges)
    top = max(shares)
    heights = [RIDGE_HEIGHT * (1 - share / top) for share in shares]
    steps = "".join(f"V{height:.1f}H{index + 1}" for index, height in enumerate(heights))
    return Markup(
        '<svg y="2" width="100%" height="{0}" viewBox="0 0 {1} {0}" preserveAspectRatio="none">'
        '<path class="density" d="M0 {0}{2}V{0}Z"/></svg>'
    ).format(RIDGE_HEIGHT, BINS, steps)


def _span(axis: Axis, low: float, high: float, kind: str, top: int, height: int) -> Markup:
    start, width = axis.position(low), axis.position(high) - axis.position(low)
    return Markup('<rect class="{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}"/>').format(
        kind, start, top, width, height
    )


def _tick(axis: Axis, value: float, decimals: int) -> Markup:
    position = axis.position(value)
    anchor = "start" if position < 1 else "end" if position > 99 else "middle"
    label = f"{value + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return Markup(
        '<line x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="5"/><text x="{0:.2f}%" y="18" text-anchor="{1}">{2}</text>'
    ).format(position, anchor, label)
