"""Curves of a run: every value is seen, nothing that they are called escapes into the page."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from xml.etree import ElementTree

import pytest

from tasks.report.curves import Curve, draw_chart, render_curves
from tasks.report.formats import MISSING
from tests.tasks.report.conftest import HOSTILE


def heights(curve: Curve, steps: int) -> list[float]:
    """Heights of a chart's line, from the top."""
    lines = re.findall(r'class="line" d="M([^"]*)"', draw_chart(curve, steps).drawing)
    assert len(lines) == 1
    return [float(corner.split()[1]) for corner in lines[0].split("L")]


def test_a_falling_loss_falls_from_the_top_to_the_bottom() -> None:
    chart = draw_chart(Curve("style", ((10, 4.0), (20, 3.0), (30, 2.0))), 30)
    assert heights(Curve("style", ((10, 4.0), (20, 3.0), (30, 2.0))), 30) == [0, 48, 96]
    assert (chart.last, chart.lowest, chart.highest, chart.scale) == ("2", "2", "4", "linear")
    assert "style: 2 at step 30, lowest 2" in chart.drawing


def test_values_far_apart_are_drawn_by_their_logarithm() -> None:
    curve = Curve("loss", ((10, 100.0), (20, 10.0), (30, 1.0)))
    assert heights(curve, 30) == [0, 48, 96]
    assert draw_chart(curve, 30).scale == "logarithmic"
    assert draw_chart(Curve("loss", ((10, 100.0), (20, -1.0))), 20).scale == "linear"


def test_a_long_run_is_drawn_with_few_points_and_every_spike() -> None:
    values = [1.0 + (step == 31_234) for step in range(50_000)]
    drawn = heights(Curve("loss", tuple(enumerate(values))), 50_000)
    assert len(drawn) < 1_000
    assert drawn.count(0.0) == 1


def test_what_is_no_number_is_left_out() -> None:
    curve = Curve("loss", ((1, math.nan), (2, 1.0), (3, math.inf), (4, 2.0)))
    assert heights(curve, 4) == [96, 0]
    chart = draw_chart(Curve("loss", ((1, math.nan),)), 1)
    assert (chart.drawing, chart.last) == ("", MISSING)
    assert heights(Curve("loss", ((5, 3.0),)), 5) == [48]


@pytest.mark.parametrize("curves", [[], [Curve(HOSTILE, ((1, 1.0), (2, 0.5)))], [Curve("empty", ())]])
def test_the_page_holds_nothing_that_runs_or_fetches(curves: list[Curve]) -> None:
    page = render_curves(HOSTILE, curves)
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    css = page.split("<style>")[1].split("</style>")[0]
    assert base64.b64encode(hashlib.sha256(css.encode()).digest()).decode() in page
    for drawing in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(drawing)
    assert len(re.findall("<figure>", page)) == len(curves)
