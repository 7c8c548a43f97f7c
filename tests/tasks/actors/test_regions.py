"""Composite styles over a shard: each content's own regions, masks that are not there, and scores of each region."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.actors.regions import KeptShares, RegionDrawer
from tasks.methods.adain.settings import AdainSettings
from tasks.style_settings import StyleSettings
from tasks.styles import PlannedStyle, plan_style
from tests.tasks.actors.making import (
    encoded,
    failures,
    furthest,
    load,
    make_order,
    photograph,
    pixels,
    records,
    stylize,
)

Freeze = Callable[..., PlannedStyle]


@pytest.fixture
def freeze(art: Path) -> Freeze:
    """A style of bars and blots, laid out; or of one of them alone."""

    def make(name: str, *pictures: str, cells: tuple[Any, ...] = (), **regions: Any) -> PlannedStyle:
        references = [{"image": str(art / f"{picture}.png")} for picture in pictures or ("bars", "blots")]
        for reference, mask in zip(references, cells, strict=False):
            reference["mask"] = mask
        style = {"name": name, "references": references, "regions": regions or None}
        return plan_style(StyleSettings.model_validate(style), AdainSettings())

    return make


def mask(width: int, height: int, left: int) -> bytes:
    """White to the left of a column."""
    levels = np.zeros((height, width), np.uint8)
    levels[:, :left] = 255
    return encoded(Image.fromarray(levels), "png")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three photographs; the first two have masks beside them, of which the second is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        (folder / f"p{index}.jpg").write_bytes(encoded(photograph(96, 64, seed=index), quality=95))
    (folder / "p0.mask.png").write_bytes(mask(96, 64, left=48))
    (folder / "p1.mask.webp").write_bytes(b"RIFF....WEBP but no more")
    return folder


def test_each_content_has_the_regions_of_its_own_mask(tmp_path: Path, corpus: Path, freeze: Freeze) -> None:
    (corpus / "p1.mask.webp").unlink()
    (corpus / "p1.mask.jpg").write_bytes(encoded(Image.new("L", (12, 8), 255)))  # all of it
    (corpus / "p2.mask.png").write_bytes(encoded(Image.new("L", (3, 3), 0), "png"))  # none of it
    styles = (freeze("both", masks="beside"), freeze("bars", "bars"), freeze("blots", "blots"))
    footer = stylize(load(tmp_path / "out"), make_order(corpus, styles))
    assert (footer.records, footer.failed) == (9, 0)
    made = pixels(tmp_path / "out")
    assert furthest({("p1", ""): made["p1.jpg", "both"]}, {("p1", ""): made["p1.jpg", "bars"]}) <= 1
    assert furthest({("p2", ""): made["p2.jpg", "both"]}, {("p2", ""): made["p2.jpg", "blots"]}) <= 1
    both, bars, blots = (made["p0.jpg", name].astype(float) for name in ("both", "bars", "blots"))
    assert np.abs(both - bars)[:, :12].mean() < 0.5 * np.abs(both - blots)[:, :12].mean()
    assert np.abs(both - blots)[:, -12:].mean() < 0.5 * np.abs(both - bars)[:, -12:].mean()


def test_a_missing_or_broken_mask_fails_that_style_alone(tmp_path: Path, corpus: Path, freeze: Freeze) -> None:
    styles = (freeze("both", masks="beside"), freeze("bars", "bars"), freeze("halves", stripes=2))
    footer = stylize(load(tmp_path / "out"), make_order(corpus, styles))
    assert (footer.records, footer.failed) == (7, 2)
    failed = {row["content_id"]: row for row in failures(tmp_path / "out")}
    assert {(row["style"], row["error_stage"]) for row in failed.values()} == {("both", "mask")}
    assert [failed[name]["error_class"] for name in ("p1.jpg", "p2.jpg")] == ["mask_corrupt", "mask_missing"]
    assert "p2.mask.png" in str(failed["p2.jpg"]["error_message"])
    (whole,) = [row for row in records(tmp_path / "out") if row["style"] == "both"]
    assert whole["content_id"] == "p0.jpg"
    assert str(whole["mask_version"]).startswith("sha256:")


def test_masks_are_no_contents(corpus: Path, freeze: Freeze) -> None:
    (corpus / "lonely.mask.png").write_bytes(mask(8, 8, left=4))  # of no picture: a picture of its own
    order = make_order(corpus, (freeze("bars", "bars"),))
    assert order.contents() == ["lonely.mask.png", "p0.jpg", "p1.jpg", "p2.jpg"]


def test_masks_may_lie_in_a_folder_of_their_own(tmp_path: Path, corpus: Path, freeze: Freeze) -> None:
    (corpus / "deep").mkdir()
    (corpus / "deep/p9.jpg").write_bytes((corpus / "p0.jpg").read_bytes())
    (tmp_path / "masks/deep").mkdir(parents=True)
    (tmp_path / "masks/deep/p9.png").write_bytes(mask(96, 64, left=48))
    styles = (freeze("folder", masks=str(tmp_path / "masks")), freeze("beside", masks="beside"))
    stylize(load(tmp_path / "out"), make_order(corpus, styles))
    made = pixels(tmp_path / "out")
    assert np.array_equal(made["deep/p9.jpg", "folder"], made["p0.jpg", "beside"])
    assert len(made) == 2


def test_masks_may_be_a_column_with_labels(tmp_path: Path, corpus: Path, freeze: Freeze) -> None:
    classes = Image.fromarray((np.arange(96) >= 48).astype(np.uint8)[None].repeat(64, 0) * 7 + 8)  # 8, then 15
    picture = (corpus / "p0.jpg").read_bytes()
    (tmp_path / "table/shapes").mkdir(parents=True)
    (tmp_path / "table/shapes/c.png").write_bytes(encoded(classes, "png"))
    shapes = [
        {"bytes": encoded(classes, "png"), "path": None},
        {"bytes": None, "path": "shapes/c.png"},
        {"bytes": None, "path": None},
        None,
    ]
    columns = {"image": [picture] * 4, "shape": shapes}
    pq.write_table(pa.table(columns), tmp_path / "table/a.parquet")
    styles = (freeze("classes", column="shape", labels=(8,)), freeze("halves", stripes=2, feather=0.01))
    order = make_order(tmp_path / "table", styles)
    order = type(order)(**{**vars(order), "corpus": order.corpus.model_copy(update={"image": "image"})})
    footer = stylize(load(tmp_path / "out"), order)
    assert (footer.records, footer.failed) == (6, 2)
    made = pixels(tmp_path / "out")
    for row in (0, 1):
        classes_made, halves = (made[f"a.parquet#{row}", name].astype(int) for name in ("classes", "halves"))
        assert np.abs(classes_made - halves).max() <= 1
    assert {row["error_class"] for row in failures(tmp_path / "out")} == {"mask_missing"}


def test_a_content_that_is_no_picture_fails_once_in_each_style(tmp_path: Path, corpus: Path, freeze: Freeze) -> None:
    (corpus / "p0.jpg").write_bytes(b"words")
    footer = stylize(load(tmp_path / "out"), make_order(corpus, (freeze("both", masks="beside"), freeze("b", "bars"))))
    assert footer.records + footer.failed == 6
    reasons = {(row["content_id"], row["style"]): row["error_class"] for row in failures(tmp_path / "out")}
    assert reasons["p0.jpg", "both"] == reasons["p0.jpg", "b"] == "not_an_image"


def test_regions_do_not_depend_on_the_batch(tmp_path: Path, photos: Path, freeze: Freeze) -> None:
    styles = (
        freeze("split", foreground=True),
        freeze("rings", rings=3),
        freeze("bars", "bars"),
        freeze("cell", cells=({"columns": 2},)),
    )
    order = make_order(photos, styles)
    alone, together = load(tmp_path / "alone", batch_pixels=1), load(tmp_path / "together", batch_pixels=2**24)
    assert stylize(alone, order).records == stylize(together, order).records == 24
    assert furthest(pixels(tmp_path / "alone"), pixels(tmp_path / "together")) <= 1


def test_a_layout_represents_nothing_anew(tmp_path: Path, photos: Path, freeze: Freeze) -> None:
    loaded = load(tmp_path / "out")
    layouts = [{"rings": 2}, {"grid": (2, 2)}, {"foreground": True}]
    styles = [freeze(f"style {index}", **layout) for index, layout in enumerate(layouts)]
    assert [loaded.represent([style]) for style in styles] == [1, 0, 0]


def test_each_region_is_scored_by_its_own_reference(tmp_path: Path, photos: Path, freeze: Freeze) -> None:
    styles = (freeze("halves", stripes=2, feather=0.0), freeze("bars", "bars"))
    stylize(load(tmp_path / "out", clip="embedded:clip-small"), make_order(photos, styles))
    rows = records(tmp_path / "out")
    assert {row["style"] for row in rows if row["regions"] is None} == {"bars"}
    for row in rows:
        if row["style"] == "halves":
            first, second = row["regions"]  # type: ignore[misc]
            assert (first["reference"], second["reference"]) == (0, 1)
            assert first["share"] == pytest.approx(0.5, abs=0.02)
            assert first["share"] + second["share"] == pytest.approx(1)
            assert all(-1 <= part[name] <= 1 for part in (first, second) for name in ("clip_image", "clip_direction"))
            assert first["clip_text"] is None  # its reference is a picture
            assert first["clip_image"] != second["clip_image"]


def test_without_a_scorer_regions_still_tell_their_shares(tmp_path: Path, photos: Path, freeze: Freeze) -> None:
    stylize(load(tmp_path / "out"), make_order(photos, (freeze("four", grid=(2, 2)),)))
    for row in records(tmp_path / "out"):
        assert [part["share"] for part in row["regions"]] == pytest.approx([0.5, 0.5], abs=0.03)  # type: ignore[attr-defined]
        assert all(part["clip_direction"] is None for part in row["regions"])  # type: ignore[attr-defined]


def test_shares_of_one_size_are_drawn_once_while_they_fit(freeze: Freeze) -> None:
    kept = KeptShares(most_bytes=2 * 2 * 20 * 30 * 4)
    rings = RegionDrawer(freeze("rings", rings=2), "cpu", kept)
    halves = RegionDrawer(freeze("halves", stripes=2), "cpu", kept)
    first = rings.draw((20, 30), None)
    assert rings.draw((20, 30), None) is first
    other = halves.draw((20, 30), None)
    assert rings.draw((20, 30), None) is first
    assert rings.draw((30, 20), None).shape == (2, 30, 20)  # a third: the one unused for longest goes
    assert rings.draw((20, 30), None) is first
    assert halves.draw((20, 30), None) is not other
