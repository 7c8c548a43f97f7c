"""Thumbnails, distributions, charts, verdicts, formats and the Markdown summary."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tasks.records import ImageError
from tasks.report import formats
from tasks.report.charts import draw_axis, draw_bar, draw_distribution, fit_axis
from tasks.report.distributions import Spread, shares_between
from tasks.report.model import ReportData, ScoreSummary, StageTime
from tasks.report.summary import render_summary
from tasks.report.thumbnails import data_uri, thumbnail
from tasks.report.verdict import share_stages, state_bottleneck


def summary_of(values: list[float]) -> ScoreSummary:
    return ScoreSummary(len(values), tuple(np.percentile(values, np.arange(101)).tolist()), float(np.mean(values)))


def spread_of(*parts: list[float]) -> ScoreSummary | None:
    spread = Spread()
    for part in parts:
        spread.add(np.array(part, dtype=np.float32))
    return spread.summary()


@pytest.mark.parametrize(("width", "height", "size"), [(600, 300, (64, 32)), (40, 20, (40, 20)), (3000, 40, (64, 1))])
def test_a_thumbnail_fits_its_side_and_is_never_enlarged(
    make_png: Callable[[int, int], bytes], width: int, height: int, size: tuple[int, int]
) -> None:
    with Image.open(io.BytesIO(thumbnail(make_png(width, height), 64))) as small:
        assert (small.format, small.size) == ("JPEG", size)


def test_bytes_that_are_no_picture_have_no_thumbnail() -> None:
    with pytest.raises(ImageError):
        thumbnail(b"GIF89a and then nothing")


def test_only_known_kinds_of_pictures_are_embedded(make_png: Callable[[int, int], bytes]) -> None:
    assert data_uri(make_png(2, 2)).startswith("data:image/png;base64,")
    with pytest.raises(ValueError, match="JPEG, PNG and WebP"):
        data_uri(b"<svg onload=alert(1)>")


def test_scores_are_summarized_without_missing_values() -> None:
    summary = spread_of([0.1, math.nan], [0.3, math.nan, 0.2])
    assert summary is not None
    assert summary.count == 3
    assert (summary.at(0), summary.at(50), summary.at(100)) == pytest.approx((0.1, 0.2, 0.3), abs=0.0005)
    assert summary.mean == pytest.approx(0.2)
    assert spread_of([math.nan], []) is None


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_a_spread_that_is_filled_in_parts_has_the_percentiles_of_the_whole(count: int) -> None:
    values = np.random.default_rng(count).normal(0.2, 0.2, count).clip(-1, 1).astype(np.float32)
    summary = spread_of(values[: count // 3].tolist(), values[count // 3 :].tolist())
    assert summary is not None
    assert (summary.at(0), summary.at(100)) == (values.min(), values.max())
    assert summary.percentiles == pytest.approx(np.percentile(values, np.arange(101)).tolist(), abs=0.0005)
    assert list(summary.percentiles) == sorted(summary.percentiles)


def test_the_ends_of_the_scale_are_counted_too() -> None:
    summary = spread_of([-1.0, 1.0])
    assert summary is not None
    assert (summary.count, summary.at(0), summary.at(100), summary.mean) == (2, -1.0, 1.0, 0.0)


def test_shares_follow_the_scores() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20_000)
    shares = shares_between(summary_of(values.tolist()), [-9.0, -1.0, 1.0, 9.0])
    assert shares == pytest.approx([0.159, 0.683, 0.159], abs=0.01)


@pytest.mark.parametrize("values", [[0.3] * 50, [-0.2, 0.9] * 20, [0.25001, 0.25002] * 20, [1200.0, 3.0] * 20])
def test_a_distribution_is_drawn_inside_its_axis(values: list[float]) -> None:
    summary = summary_of(values)
    axis = fit_axis([summary])
    drawing = draw_distribution(summary, axis, "wave", "clip_text") + draw_axis(axis)
    positions = [float(number) for number in re.findall(r'(?:cx|x|x1)="(-?[\d.]+)%"', drawing)]
    assert all(0 <= position <= 100 for position in positions)
    assert len(axis.ticks) >= 2
    assert "nan" not in drawing


def test_a_few_scores_are_not_drawn_as_a_density() -> None:
    few, many = summary_of([0.1, 0.2, 0.3]), summary_of([0.1, 0.2, 0.3] * 10)
    axis = fit_axis([few, many])
    assert "density" not in draw_distribution(few, axis, "wave", "clip_text")
    assert "density" in draw_distribution(many, axis, "wave", "clip_text")


def test_a_bar_is_as_long_as_its_share() -> None:
    assert 'class="plain" width="42.50%"' in draw_bar(0.425)
    assert 'class="plain" width="100.00%"' in draw_bar(7.0)


def test_a_stage_is_measured_against_the_time_its_lanes_had() -> None:
    timing = [StageTime("decode", 400.0, 8), StageTime("render", 90.0, 1), StageTime("wait", 95.0, 1)]
    assert [stage.share for stage in share_stages(timing, 100.0)] == pytest.approx([0.5, 0.9, 0.95])
    assert [stage.is_busiest for stage in share_stages(timing, 100.0)] == [False, True, False]
    assert state_bottleneck(timing, 100.0).startswith("The bottleneck was render: at work 90 %")


def test_without_lanes_a_stage_is_a_share_of_the_sum() -> None:
    timing = [StageTime("decode", 30.0), StageTime("render", 10.0)]
    assert state_bottleneck(timing, 100.0) == "Most time went into decode: 75 % of all stage time."


def test_no_stage_is_blamed_where_none_was_saturated() -> None:
    assert state_bottleneck([StageTime("render", 40.0, 1)], 100.0).startswith("No stage was saturated")
    assert state_bottleneck([], 0.0) == "No stage times were recorded."


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.duration(0.0421), "42 ms"),
        (formats.duration(59.97), "1 min 00 s"),
        (formats.duration(18_121), "5 h 02 min"),
        (formats.duration(3599.7), "1 h 00 min"),
        (formats.size(999), "999 B"),
        (formats.size(999_999), "1 MB"),
        (formats.size(1_234_567_890), "1.23 GB"),
        (formats.percent(0.0), "0 %"),
        (formats.percent(0.0004), "< 0.1 %"),
        (formats.percent(0.9999), "> 99.9 %"),
        (formats.percent(None), "\N{EN DASH}"),
        (formats.rate(0.456), "0.46"),
        (formats.score(-0.0314), "\N{MINUS SIGN}0.031"),
        (formats.signed_score(0.0314), "+0.031"),
        (formats.signed_score(-0.0314), "\N{MINUS SIGN}0.031"),
        (formats.signed_score(-0.0004), "0.000"),
        (formats.score_label("clip_text"), "CLIP text"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_the_summary_counts_and_escapes(report: ReportData, hostile: str) -> None:
    summary = render_summary(report)
    assert "12,345 records, 67 failed (0.5 %); 123 images a second over 1 min 40 s." in summary
    assert "| ink \\& wash | adain 1 | 345 | 7 |  |  |" in summary
    assert "the intended style comes first for 55 % of 20 outputs (by chance 50 %)." in summary
    assert not re.search(r"(?<!\\)[<>]", summary)
    assert hostile not in summary
