"""Paths of real datasets: each content in the ends and in between, in order, whatever plan made them."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.dataset.chain import abandon_plans
from tasks.dataset.ledger import Ledger
from tasks.gallery.paths import CONTENTS, STEPS, find_ways, read_paths
from tasks.methods.adain.settings import AdainSettings
from tasks.paths import PathSettings
from tasks.preflight import prepare_styles
from tasks.report.model import StylePath
from tasks.report.page import PATHS, render_report
from tasks.report.paths import draw_path
from tasks.storage import Folder
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.summary import report_data
from tests.tasks.gallery.making import draw, make


def paint(path: Path, color: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), color).save(path)


def job(root: Path, *paths: PathSettings) -> list[StyleSettings | PathSettings]:
    """A red style, a blue one, and paths between the two."""
    ends = [
        StyleSettings(name=name, references=(ReferenceSettings(image=str(root / f"art/{name}.png")),))
        for name in ("red", "blue")
    ]
    return [*ends, *paths]


def between(steps: int, *ends: str) -> PathSettings:
    start, end = ends or ("red", "blue")
    return PathSettings(path=(start, end), steps=steps)


def paths_of(root: Path) -> list[StylePath]:
    return read_paths(Ledger(Folder(str(root / "out"))))


def blueness(data: bytes | None) -> float:
    assert data is not None
    red, _, blue = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float).mean((0, 1))
    return float(blue - red)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photographs, one of them broken, in red, in blue and in three styles in between."""
    root = tmp_path_factory.mktemp("paths")
    for seed in range(5):
        draw(root / f"photos/{seed}.png", seed)
    (root / "photos/0.png").write_bytes(b"no picture")
    paint(root / "art/red.png", (230, 20, 20))
    paint(root / "art/blue.png", (20, 20, 230))
    make(root, styles=job(root, between(3)))
    return root


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    for name in ("photos", "art"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def test_a_path_goes_from_its_start_over_its_steps_to_its_end(made: Path) -> None:
    (path,) = paths_of(made)
    assert [(stop.style, stop.at) for stop in path.stops] == [
        ("red", 0.0),
        *((f"red-to-blue-{share}", share / 100) for share in (25, 50, 75)),
        ("blue", 1.0),
    ]
    assert (path.start, path.end, path.more_steps, len(path.rows)) == ("red", "blue", 0, CONTENTS)
    for row in path.rows[1:]:
        assert [cell.style for cell in row.cells] == [stop.style for stop in path.stops]
        blue = [blueness(cell.image) for cell in row.cells]
        assert blue == sorted(blue)
        assert blue[-1] > blue[0] + 100
        assert row.content_image is not None


def test_a_content_that_failed_says_so_at_every_stop(made: Path) -> None:
    row = paths_of(made)[0].rows[0]
    assert (row.content_id, row.content_image) == ("0.png", None)
    assert all(cell.image is None and "not_an_image" in cell.failure for cell in row.cells)


def test_what_later_plans_add_joins_the_path(copied: Path) -> None:
    make(copied, styles=job(copied, between(1)))
    make(copied, styles=job(copied, between(3)))
    (path,) = paths_of(copied)
    assert [stop.at for stop in path.stops] == [0, 0.25, 0.5, 0.75, 1]
    assert all(cell.image for row in path.rows[1:] for cell in row.cells)


def test_a_path_that_a_later_plan_adds_has_the_pictures_that_its_ends_had(copied: Path) -> None:
    make(copied, styles=job(copied))
    assert paths_of(copied) == []
    make(copied, styles=job(copied, between(1)))
    (path,) = paths_of(copied)
    assert [bool(cell.image) for cell in path.rows[1].cells] == [True] * 3


def test_what_is_not_made_yet_is_left_blank(copied: Path) -> None:
    make(copied, finish=False, styles=job(copied, between(2)))
    rows = paths_of(copied)[0].rows
    assert [[bool(cell.image) for cell in row.cells] for row in (rows[1], rows[-1])] == [[True] * 4, [False] * 4]
    assert not any(cell.failure for cell in rows[-1].cells)


def test_a_plan_that_was_given_up_has_no_paths(copied: Path) -> None:
    make(copied, finish=False, styles=job(copied, between(1)))
    abandon_plans(Folder(str(copied / "out")))
    assert paths_of(copied) == []


def test_of_many_steps_some_are_shown_evenly(copied: Path) -> None:
    make(copied, finish=False, styles=job(copied, between(40)))
    (path,) = paths_of(copied)
    shown = [stop.at for stop in path.stops[1:-1]]
    assert (len(shown), path.more_steps) == (STEPS, 40 - STEPS)
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == pytest.approx((1 / 41, 40 / 41), abs=1e-5)
    assert np.diff(shown).max() < 2 * np.diff(shown).min()


def test_only_the_paths_that_a_page_has_room_for_have_pictures(copied: Path) -> None:
    for number in range(PATHS + 2):
        draw(copied / f"art/{number}.png", number)
    others = [
        StyleSettings(name=str(number), references=(ReferenceSettings(image=str(copied / f"art/{number}.png")),))
        for number in range(PATHS + 2)
    ]
    paths = [between(1, "red", other.name) for other in others]
    make(copied, finish=False, styles=[*job(copied, *paths), *others])
    found = paths_of(copied)
    assert [path.end for path in found] == [other.name for other in others]
    assert [len(path.rows) for path in found] == [CONTENTS] * PATHS + [0] * 2


def test_of_two_styles_at_one_place_the_newer_plans_is_shown(made: Path) -> None:
    plan = Ledger(Folder(str(made / "out"))).chain[0]
    newer = prepare_styles(job(made, between(1)), AdainSettings())
    renamed = tuple(style.model_copy(update={"name": f"new {style.name}"}) if style.step else style for style in newer)
    (way,) = find_ways([plan, plan.model_copy(update={"styles": renamed})])
    assert list(way.steps.values()) == ["red-to-blue-25", "new red-to-blue-50", "red-to-blue-75"]


def test_a_dataset_without_paths_or_without_plans_has_none(scored: Path, tmp_path: Path) -> None:
    assert paths_of(scored) == []
    assert paths_of(tmp_path) == []


def test_a_report_of_a_scored_dataset_says_how_near_each_stop_is_to_the_ends(
    copied: Path, clip: str, judge: str
) -> None:
    make(copied, clip=clip, judge=judge, styles=job(copied, between(2)))
    data = report_data(Ledger(Folder(str(copied / "out"))), None)
    assert data.paths == paths_of(copied)
    assert [style.step.at if style.step else None for style in data.styles] == [
        None,
        None,
        *(pytest.approx(third / 3, abs=1e-5) for third in (1, 2)),
    ]
    view = draw_path(data.paths[0], data.arrivals.matrices)
    assert view.matrix == data.arrivals.matrices[1]
    assert view.matrix.role == "judge"
    assert str(view.chart) in render_report(data)
