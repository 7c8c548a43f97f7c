"""What a style is made of: texts, pictures, weights, and pictures that were painted for texts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.actors.representing import represent
from tasks.gallery.cards import (
    INVERTED,
    INVERTED_OF_PART,
    REFERENCES,
    describe_regions,
    name_renderer,
    place_step,
    show_inversions,
    show_references,
)
from tasks.methods.base import Representation
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.settings import open_method
from tasks.paths import PathSettings
from tasks.regions.settings import RegionSettings
from tasks.store import RepresentationStore
from tasks.style_settings import GridCell, ReferenceSettings, StyleSettings
from tasks.styles import PlannedReference, PlannedStyle, plan_style
from tests.tasks.dataset.making import planned_style
from tests.tasks.gallery.making import draw
from tests.tasks.labelled.making import rows_of, write_shard


@pytest.fixture
def store(tmp_path: Path) -> RepresentationStore:
    return RepresentationStore(str(tmp_path / "store"))


def style_of(*references: PlannedReference) -> PlannedStyle:
    return planned_style("mixed").model_copy(update={"references": references})


def of_picture(path: Path, weight: float = 1.0) -> PlannedReference:
    return PlannedReference(image=str(path), weight=weight, sha256="unread")


def size_of(data: bytes | None) -> tuple[int, int]:
    assert data is not None
    return Image.open(io.BytesIO(data)).size


def test_pictures_and_texts_come_in_their_order_with_their_weights(store: RepresentationStore, tmp_path: Path) -> None:
    draw(tmp_path / "wave.png", 0, (30, 50))
    shown = show_references(
        style_of(of_picture(tmp_path / "wave.png", 0.6), PlannedReference(text="ink", weight=0.4)), store
    )
    assert [(one.weight, one.text, one.painted) for one in shown] == [(0.6, "", None), (0.4, "ink", None)]
    assert size_of(shown[0].image) == (50, 30)
    assert shown[1].image is None


def test_what_was_painted_stands_beside_its_own_text(store: RepresentationStore, tmp_path: Path) -> None:
    draw(tmp_path / "wave.png", 0)
    texts = [PlannedReference(text=text, weight=0.3) for text in ("ink", "gold")]
    style = style_of(of_picture(tmp_path / "wave.png", 0.4), *texts)
    tensors = {
        "painted1": torch.zeros(3, 20, 30, dtype=torch.uint8),
        "painted2": torch.full((3, 24, 12), 255, dtype=torch.uint8),
        "painted7": torch.zeros(3, 4, 4, dtype=torch.uint8),
        "painted": torch.zeros(3, 4, 4, dtype=torch.uint8),
        "mean0": torch.zeros(5),
    }
    store.put(style.method.name, style.representation, Representation(tensors))
    shown = show_references(style, store)
    assert [one.text for one in shown] == ["", "ink", "gold"]
    assert shown[0].painted is None
    assert (size_of(shown[1].painted), size_of(shown[2].painted)) == ((30, 20), (12, 24))
    assert shown[2].painted is not None
    assert Image.open(io.BytesIO(shown[2].painted)).getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    "tensor", [torch.zeros(3, 4, 4), torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(3, 0, 4, dtype=torch.uint8)]
)
def test_a_tensor_that_is_no_picture_is_not_shown(store: RepresentationStore, tensor: torch.Tensor) -> None:
    style = style_of(PlannedReference(text="ink", weight=1.0))
    store.put(style.method.name, style.representation, Representation({"painted0": tensor}))
    assert show_references(style, store)[0].painted is None


def test_what_is_gone_is_left_out(store: RepresentationStore, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    references = [of_picture(tmp_path / name, 1 / 3) for name in ("broken.png", "missing.png")]
    shown = show_references(style_of(*references, PlannedReference(text="ink", weight=1 / 3)), store)
    assert [one.text for one in shown] == ["", "", "ink"]
    assert all(one.image is None and one.painted is None for one in shown)


def test_a_picture_of_a_table_is_shown_with_its_file_and_row(store: RepresentationStore, tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000-of-00072.parquet", rows_of(0, 16))
    rows = [f"{tmp_path}/train-00000-of-00072.parquet#row={row}&version=0a1b" for row in (15, 16)]
    shown = show_references(style_of(*(PlannedReference(image=row, sha256="unread") for row in rows)), store)
    assert [one.place for one in shown] == [f"train-00000-of-00072.parquet#row={row}" for row in (15, 16)]
    assert size_of(shown[0].image) == (40, 30)
    assert shown[1].image is None


def test_a_damaged_representation_is_no_hindrance(store: RepresentationStore) -> None:
    style = style_of(PlannedReference(text="ink", weight=1.0))
    store.folder.publish(f"{style.method.name}/{style.representation}.safetensors", b"no tensors at all")
    assert [one.text for one in show_references(style, store)] == ["ink"]


def test_only_the_first_references_are_read(store: RepresentationStore) -> None:
    texts = [PlannedReference(text=str(number), weight=0.01) for number in range(100)]
    assert [one.text for one in show_references(style_of(*texts), store)] == [str(n) for n in range(REFERENCES)]


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        (RegionSettings(grid=(1, 2), feather=0.5), "grid: [1, 2], feather: 0.5"),
        (RegionSettings(stripes=3, direction="diagonal"), "stripes: 3, direction: diagonal, feather: 0.05"),
        (RegionSettings(foreground=True), "foreground: true, feather: 0.01"),
        (RegionSettings(masks="/data/skies", labels=(7,)), "masks: /data/skies, labels: [7], feather: 0.01"),
        (None, ""),
    ],
    ids=str,
)
def test_a_layout_is_said_as_a_job_says_it(regions: RegionSettings | None, said: str) -> None:
    assert describe_regions(planned_style("one").model_copy(update={"regions": regions})) == said


def test_masks_of_references_are_said_in_their_order() -> None:
    masks = (GridCell(columns=2, column=1, feather=0.1), "/art/top.png", None)
    style = style_of(*(PlannedReference(text=f"{mask}", weight=0.3, mask=mask) for mask in masks))
    assert describe_regions(style) == "mask: {columns: 2, column: 1, feather: 0.1}; mask: /art/top.png; everywhere"


MMIST = MmistSettings(render_with="adain", representations=2, starts=2, steps=2, crops=2, crop_size=16, size=32)
TEXTS = (ReferenceSettings(text="ink"), ReferenceSettings(text="gold"))


def planned_texts(count: int = 1, regions: RegionSettings | None = None) -> PlannedStyle:
    """A style of mmist, mixed of some texts or with each in a region of its own."""
    texts = tuple(ReferenceSettings(text=f"{number}") for number in range(count))
    return plan_style(StyleSettings(name="one", references=texts, regions=regions), MMIST)


def put_pictures(store: RepresentationStore, style: PlannedStyle, part: int, pictures_E3SS: torch.Tensor) -> None:
    tensors = {"pictures": pictures_E3SS, "latents": torch.zeros(len(pictures_E3SS), 4)}
    store.put("mmist-pictures", style.inversions[part], Representation(tensors, {"tries": "[1]"}))


def grey(level: int, count: int = 3) -> torch.Tensor:
    return torch.full((count, 3, 200, 200), level, dtype=torch.uint8)


def level_of(data: bytes) -> int:
    low, high = Image.open(io.BytesIO(data)).convert("L").getextrema()
    assert low == high
    return int(low)


def test_what_was_sought_for_a_style_is_shown_as_it_was_kept(store: RepresentationStore) -> None:
    style = planned_texts()
    represent(store, lambda one: open_method(one.method), [style])
    parts = show_inversions(style, store)
    assert [(part.name, part.count, len(part.pictures)) for part in parts] == [("", 2, 2)]
    kept_E3SS = store.get("mmist-pictures", style.inversions[0]).tensors["pictures"]
    for shown, kept_3SS in zip(parts[0].pictures, kept_E3SS, strict=True):
        colors = np.asarray(Image.open(io.BytesIO(shown)), float).mean((0, 1))
        assert colors == pytest.approx(kept_3SS.float().mean((1, 2)).numpy(), abs=4)


def test_pictures_of_a_composite_are_told_apart_by_what_they_stand_for(
    store: RepresentationStore, tmp_path: Path
) -> None:
    draw(tmp_path / "wave.png", 0)
    references = (ReferenceSettings(text="ink"), ReferenceSettings(image=str(tmp_path / "wave.png")))
    regions = RegionSettings(grid=(1, 2))
    inverting = MMIST.model_copy(update={"pictures": "invert"})
    style = plan_style(StyleSettings(name="halves", references=references, regions=regions), inverting)
    put_pictures(store, style, 0, grey(40))
    put_pictures(store, style, 1, grey(200))
    parts = show_inversions(style, store)
    assert [(part.name, [level_of(one) for one in part.pictures]) for part in parts] == [
        ("ink", [40] * 3),
        ("wave.png", [200] * 3),
    ]
    assert size_of(parts[0].pictures[0]) == (128, 128)


@pytest.mark.parametrize("regions", [RegionSettings(grid=(1, 2)), None], ids=["composite", "mixed"])
def test_a_picture_that_stands_for_itself_has_none_in_its_place(
    store: RepresentationStore, tmp_path: Path, regions: RegionSettings | None
) -> None:
    draw(tmp_path / "wave.png", 0)
    references = (ReferenceSettings(image=str(tmp_path / "wave.png")), ReferenceSettings(text="ink"))
    settings = StyleSettings(name="both", references=references, regions=regions)
    style = plan_style(settings, MMIST.model_copy(update={"pictures": "keep"}))
    assert len(style.inversions) == 1
    put_pictures(store, style, 0, grey(40))
    assert [part.name for part in show_inversions(style, store)] == ["ink"]


@pytest.mark.parametrize(("parts", "room"), [(1, INVERTED_OF_PART), (2, 8), (3, 5), (16, 1)])
def test_pictures_of_a_style_are_bounded_in_all(store: RepresentationStore, parts: int, room: int) -> None:
    style = planned_texts(parts, RegionSettings(stripes=parts) if parts > 1 else None)
    for part in range(parts):
        put_pictures(store, style, part, grey(part, 20))
    shown = show_inversions(style, store)
    assert [(part.count, len(part.pictures)) for part in shown] == [(20, room)] * parts
    assert sum(len(part.pictures) for part in shown) <= INVERTED


def test_a_part_whose_pictures_are_gone_or_damaged_is_left_out(store: RepresentationStore) -> None:
    style = planned_texts(5, RegionSettings(stripes=5))
    put_pictures(store, style, 1, grey(9))
    put_pictures(store, style, 2, grey(9).float())
    put_pictures(store, style, 3, grey(9)[0])
    store.folder.publish(f"mmist-pictures/{style.inversions[4]}.safetensors", b"no tensors at all")
    assert [part.name for part in show_inversions(style, store)] == ["1"]


def test_a_step_of_a_path_says_where_it_lies_and_leaves_the_pictures_to_its_ends(store: RepresentationStore) -> None:
    ends = {text: StyleSettings(name=text, references=TEXTS[k : k + 1]) for k, text in enumerate(("ink", "gold"))}
    step = plan_style(PathSettings(path=("ink", "gold"), steps=3).expand(ends)[0], MMIST)
    for part in range(2):
        put_pictures(store, step, part, grey(9))
    assert show_inversions(step, store) == []
    place = place_step(step)
    assert place is not None
    assert (place.start, place.end, place.at) == ("ink", "gold", 0.25)
    start = plan_style(ends["ink"], MMIST)
    assert place_step(start) is None
    assert len(show_inversions(start, store)[0].pictures) == 3


def test_a_style_is_rendered_by_the_method_that_its_pictures_are_for() -> None:
    assert (name_renderer(planned_texts()), name_renderer(planned_style("one"))) == ("adain", "adain")
    by_kernel = MmistSettings(render_with="style_kernel")
    assert name_renderer(plan_style(StyleSettings(name="one", references=TEXTS), by_kernel)) == "style_kernel"
