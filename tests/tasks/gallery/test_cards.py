"""What a style is made of: texts, pictures, weights, and pictures that were painted for texts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from tasks.gallery.cards import REFERENCES, describe_regions, show_references
from tasks.methods.base import Representation
from tasks.regions.settings import RegionSettings
from tasks.store import RepresentationStore
from tasks.styles import GridCell, PlannedReference, PlannedStyle
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
