"""Paths between styles, and pictures that stand for styles, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tasks.report.model import (
    Arrivals,
    GalleryCell,
    GalleryRow,
    IntendedMatrix,
    InvertedPart,
    PathStop,
    ReportData,
    StepPlace,
    StylePath,
    StyleReference,
    StyleSummary,
)
from tasks.report.page import PATHS, render_report
from tasks.report.paths import draw_path
from tests.tasks.report.reading import Reader

STOPS = [PathStop("fire", 0.0), PathStop("fire-to-wave-50", 0.5), PathStop("wave", 1.0)]
PATH = StylePath(STOPS)
NAMES = [stop.style for stop in STOPS]


def matrix(role: str, styles: Sequence[str] = NAMES, scale: float = 1.0) -> IntendedMatrix:
    """Margins that fall from 0.04 to -0.02 towards the end, and rise from there; other rows tell nothing."""
    falling = [0.04 * scale, 0.01 * scale, -0.02 * scale]
    known = {
        "fire": dict(zip(NAMES, falling, strict=True)),
        "wave": dict(zip(NAMES, reversed(falling), strict=True)),
    }
    margins = [[known.get(row, {}).get(column, 0.0) for column in styles] for row in styles]
    return IntendedMatrix(role, f"model of the {role}", styles, margins, [1.0] * len(styles), [1] * len(styles))


def page_of(**values: object) -> Reader:
    return Reader(render_report(replace(ReportData("Trial", "out/x", "2026-11-21T09:40:12Z"), **values)))


def dots(chart: str, kind: str) -> list[tuple[float, float]]:
    """Percent across and pixels down of each stop."""
    circles = [circle for circle in Reader(chart).of("circle") if circle["class"] == kind]
    return [(float(str(circle["cx"]).rstrip("%")), float(str(circle["cy"]))) for circle in circles]


def test_each_line_shows_the_margins_of_its_end_under_the_stops() -> None:
    chart = str(draw_path(PATH, [matrix("judge")]).chart)
    start, end = dots(chart, "start"), dots(chart, "end")
    assert [x for x, _ in start] == [x for x, _ in end] == pytest.approx([100 / 6, 50, 500 / 6], abs=0.01)
    assert [y for _, y in start] == [y for _, y in reversed(end)]
    # Equal steps of the margin, the highest on top.
    (_, top), (_, middle), (_, bottom) = start
    assert top < middle < bottom
    assert middle - top == pytest.approx(bottom - middle, abs=0.1)
    assert Reader(chart).text.startswith(
        "Near fire: +0.040 at 0 %, +0.010 at 50 %, \N{MINUS SIGN}0.020 at 100 %; Near wave: \N{MINUS SIGN}0.020 at 0 %"
    )


def test_numbers_stand_where_the_other_line_is_not() -> None:
    chart = Reader(str(draw_path(PATH, [matrix("judge")]).chart))
    places = {(text["class"], text["x"]): float(str(text["y"])) for text in chart.of("text")}
    circles = {(dot["class"], dot["cx"]): float(str(dot["cy"])) for dot in chart.of("circle")}
    above = {key: places[key] < circles[key] for key in places}
    assert above == {
        **{("start", x): x != "83.33%" for x in ("16.67%", "50.00%", "83.33%")},
        **{("end", x): x == "83.33%" for x in ("16.67%", "50.00%", "83.33%")},
    }


def test_the_judge_speaks_before_the_scorer() -> None:
    scorer, judge = matrix("scorer"), matrix("judge", scale=2.0)
    assert draw_path(PATH, [scorer, judge]).matrix == judge
    assert draw_path(PATH, [scorer]).matrix == scorer
    assert draw_path(PATH, [scorer, matrix("judge", ["fire", "wave"])]).matrix == scorer


@pytest.mark.parametrize("styles", [["fire", "fire-to-wave-50"], ["fire-to-wave-50", "wave"], ["fire", "wave"]])
def test_without_both_ends_and_a_step_no_chart_is_drawn(styles: list[str]) -> None:
    view = draw_path(PATH, [matrix("judge", styles)])
    assert (view.matrix, str(view.chart)) == (None, "")


def test_a_step_that_the_matrix_lacks_has_no_point() -> None:
    stops = [*STOPS[:2], PathStop("fire-to-wave-75", 0.75), STOPS[2]]
    chart = str(draw_path(StylePath(stops), [matrix("judge")]).chart)
    assert [x for x, _ in dots(chart, "start")] == [12.5, 37.5, 87.5]


def test_margins_that_are_all_alike_are_drawn_in_the_middle() -> None:
    chart = str(draw_path(PATH, [matrix("judge", scale=0.0)]).chart)
    assert len({y for _, y in dots(chart, "start") + dots(chart, "end")}) == 1


def test_a_path_is_shown_by_its_ends_names_and_its_shares(picture: bytes) -> None:
    cells = [
        GalleryCell("fire", picture),
        GalleryCell("fire-to-wave-50", None, {}, "out_of_memory"),
        GalleryCell("wave", None),
    ]
    page = page_of(paths=[replace(PATH, rows=[GalleryRow("a.jpg", None, cells)], more_steps=1)])
    assert "fire → wave Content fire 50 % wave no picture a.jpg out_of_memory not made … and 1 more step" in page.text
    assert [image["alt"] for image in page.of("img")] == ["a.jpg in style fire"]
    assert "The lines below" not in page.text
    assert [link["href"] for link in page.of("a")] == ["#paths"]


def test_the_chart_says_who_judges(picture: bytes) -> None:
    page = page_of(paths=[PATH], arrivals=Arrivals([matrix("scorer"), matrix("judge")]))
    assert "near fire" in page.text
    assert "by the judge" in page.text
    assert [link["href"] for link in page.of("a")] == ["#paths", "#arrival"]


def test_many_paths_are_cut_and_the_page_says_so() -> None:
    page = page_of(paths=[PATH] * (PATHS + 3))
    assert page.text.count("fire → wave") == PATHS
    assert "… and 3 more paths." in page.text


def test_pictures_that_stand_for_a_text_are_on_its_card_and_its_cover(picture: bytes) -> None:
    made = InvertedPart([picture, picture], 2)
    style = StyleSummary("fire", "mmist", references=[StyleReference(text="flames")], inverted=[made], renderer="adain")
    page = page_of(styles=[style])
    assert [image["alt"] for image in page.of("img")] == [
        "one of the pictures that stand for style fire",
        *["stands for fire"] * 2,
    ]
    assert "“flames”" in page.text
    assert "Pictures that stand for this style in adain" in page.text
    assert "the first" not in page.text


def test_a_style_that_is_one_picture_keeps_it_on_its_cover(picture: bytes) -> None:
    made = InvertedPart([picture], 9)
    style = StyleSummary("fire", "mmist", references=[StyleReference(image=picture)], inverted=[made], renderer="adain")
    page = page_of(styles=[style])
    assert [image["alt"] for image in page.of("img")] == ["reference of style fire", "stands for fire"]
    assert "in adain, the first 1 of 9" in page.text


def test_pictures_of_parts_are_captioned(picture: bytes) -> None:
    parts = [InvertedPart([picture], 1, name) for name in ("moss", "stone.png")]
    style = StyleSummary("halves", "mmist", inverted=parts, renderer="adain")
    page = page_of(styles=[style])
    assert "Pictures that stand for its parts in adain moss stone.png" in page.text


def test_a_step_of_a_path_says_what_it_lies_between(picture: bytes) -> None:
    references = [StyleReference(image=picture, weight=0.75), StyleReference(text="waves", weight=0.25)]
    style = StyleSummary("x", "mmist", references=references, step=StepPlace("fire", "wave", 0.25))
    page = page_of(styles=[style])
    assert "25 % fire → wave" in page.text
    assert "between fire and wave , 25 % of the way" in page.text
    assert [image["alt"] for image in page.of("img")] == ["reference of style x"]
