"""One HTML page from the values of a report: it opens from disk, fetches nothing and runs nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from jinja2 import Environment
from markupsafe import Markup

from tasks.report import charts, formats
from tasks.report.matrices import draw_matrix
from tasks.report.model import ReportData, ScoreSummary, StyleSummary
from tasks.report.pages import make_environment, render_page
from tasks.report.paths import draw_path
from tasks.report.thumbnails import data_uri
from tasks.report.verdict import knows_lanes, share_stages, state_bottleneck

Row = TypeVar("Row")

# A bank may hold 100,000 styles and a corpus as many sizes; a page that a browser opens at once holds these.
STYLES, CONTENTS, CELLS, REASONS, SIZES, RUNS, PROBLEMS = 48, 24, 24, 40, 24, 40, 40
PATHS = 6


@dataclass(frozen=True)
class Clipped:
    """The first rows of a list and how many were left out."""

    rows: Sequence[Any]
    left_out: int


@dataclass(frozen=True)
class ScoreChart:
    """Distributions of one score, a row a style, above one axis."""

    name: str
    rows: Sequence[tuple[str, ScoreSummary, Markup]]
    axis: Markup


def render_report(data: ReportData) -> str:
    """The whole page; the same values give the same page, byte for byte."""
    return render_page(
        _environment(),
        "template.html.jinja",
        "style.css.jinja",
        data=data,
        **_tables(data),
        **_timing(data),
        sections=_sections(data),
    )


def _sections(data: ReportData) -> list[tuple[str, str]]:
    present = {
        "Gallery": data.gallery,
        "Paths": data.paths,
        "Styles": data.styles,
        "Scores": any(style.scores for style in data.styles[:STYLES]),
        "Arrival": data.arrivals.matrices or data.arrivals.notes,
        "Extremes": data.extremes,
        "Failures": data.failures,
        "Time": data.timing,
        "Batches": data.sizes,
        "Runs": data.runs,
        "Settings": data.facts,
    }
    return [(name.lower(), name) for name, content in present.items() if content]


def _tables(data: ReportData) -> dict[str, Any]:
    styles = _clip(data.styles, STYLES)
    return {
        "styles": styles,
        "score_charts": _score_charts(styles.rows),
        "matrices": [draw_matrix(matrix) for matrix in data.arrivals.matrices],
        "gallery": _clip(data.gallery, CONTENTS),
        "paths": _draw_paths(data),
        "cells_shown": CELLS,
        "failures": _clip(sorted(data.failures, key=lambda reason: -reason.count), REASONS),
        "sizes": _clip(sorted(data.sizes, key=lambda size: -size.images), SIZES),
        "runs": _clip(sorted(data.runs, key=lambda run: -run.seq), RUNS),
        "problems": _clip(data.verification or (), PROBLEMS),
    }


def _timing(data: ReportData) -> dict[str, Any]:
    wall = data.throughput.wall_seconds if data.throughput else 0.0
    return {
        "stages": share_stages(data.timing, wall),
        "by_lanes": knows_lanes(data.timing, wall),
        "verdict": state_bottleneck(data.timing, wall) if data.timing else "",
    }


def _draw_paths(data: ReportData) -> Clipped:
    clipped = _clip(data.paths, PATHS)
    return Clipped([draw_path(path, data.arrivals.matrices) for path in clipped.rows], clipped.left_out)


def _clip(rows: Sequence[Row], limit: int) -> Clipped:
    return Clipped(rows[:limit], max(0, len(rows) - limit))


def _score_charts(styles: Sequence[StyleSummary]) -> list[ScoreChart]:
    names = dict.fromkeys(name for style in styles for name in style.scores)
    return [_score_chart(name, [style for style in styles if name in style.scores]) for name in names]


def _score_chart(name: str, styles: Sequence[StyleSummary]) -> ScoreChart:
    axis = charts.fit_axis([style.scores[name] for style in styles])
    rows = [
        (style.name, style.scores[name], charts.draw_distribution(style.scores[name], axis, style.name, name))
        for style in styles
    ]
    return ScoreChart(name, rows, charts.draw_axis(axis))


def _present_scores(scores: Mapping[str, float | None]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in scores.items() if value is not None and math.isfinite(value)]


@cache
def _environment() -> Environment:
    environment = make_environment()
    environment.filters |= {
        "count": formats.count,
        "percent": formats.percent,
        "rate": formats.rate,
        "duration": formats.duration,
        "size": formats.size,
        "score": formats.score,
        "signed_score": formats.signed_score,
        "score_label": formats.score_label,
        "shorten": formats.shorten,
        "shorten_digest": formats.shorten_digest,
        "present_scores": _present_scores,
        "data_uri": data_uri,
    }
    environment.globals["draw_bar"] = charts.draw_bar
    return environment
