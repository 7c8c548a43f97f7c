"""Boxes and masks that move with the pixels; and the sentences where nobody knows how."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tasks.corpus.labels import check_labels, check_places, move_labels
from tasks.corpus.settings import LabelSettings
from tasks.images.placement import place
from tasks.images.settings import ImageSettings
from tasks.records import ImageError, RequestError

SOURCE = (200, 100)
HALF = ImageSettings(size=100)
CROP = ImageSettings(size=50, fit="crop")  # 100x50, then the middle 50x50: x / 2 - 25, y / 2
PAD = ImageSettings(size=100, fit="pad")  # 100x50 in the middle of 100x100: x / 2, y / 2 + 25
BOXES = pa.list_(pa.list_(pa.float32()))


def move(columns: dict[str, object], images: ImageSettings, **labels: object) -> dict[str, object]:
    settings = LabelSettings.model_validate(labels)
    return dict(move_labels(columns, settings, place(*SOURCE, images), SOURCE, images))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (HALF, [[10.0, 5.0, 60.0, 45.0]]),
        (CROP, [[0.0, 5.0, 35.0, 45.0]]),
        (PAD, [[10.0, 30.0, 60.0, 70.0]]),
        (ImageSettings(size="keep"), [[20, 10, 120, 90]]),
    ],
)
def test_corners_move_with_the_picture(images: ImageSettings, expected: object) -> None:
    moved = move({"boxes": [[20, 10, 120, 90]], "label": 3}, images, boxes="boxes", format="xyxy")
    assert moved == {"boxes": expected, "label": 3}


def test_a_box_that_is_cut_away_stays_in_its_place_and_is_empty() -> None:
    moved = move(
        {"objects": {"bbox": [[0, 0, 40, 40], [80, 0, 40, 40]], "category": [1, 2]}},
        CROP,
        boxes="objects.bbox",
        format="xywh",
    )
    assert moved["objects"] == {"bbox": [[0.0, 0.0, 0.0, 20.0], [15.0, 0.0, 20.0, 20.0]], "category": [1, 2]}


def test_coco_objects_move_whole_as_fields_of_lists_and_as_lists_of_fields() -> None:
    fields = {
        "bbox": [[20, 10, 100, 80]],
        "area": [8000.0],
        "category": [1],
        "segmentation": [[[20, 10, 120, 10, 120, 90]]],
    }
    moved = {
        "bbox": [[10.0, 5.0, 50.0, 40.0]],
        "area": [2000.0],
        "category": [1],
        "segmentation": [[[10.0, 5.0, 60.0, 5.0, 60.0, 45.0]]],
    }
    assert move({"objects": fields}, HALF, boxes="objects")["objects"] == moved
    one = {name: values[0] for name, values in fields.items()}
    moved_one = {name: values[0] for name, values in moved.items()}
    assert move({"objects": [one, one]}, HALF, boxes="objects")["objects"] == [moved_one, moved_one]
    counted = move({"objects": [{"bbox": [0, 0, 3, 3], "area": 9}]}, HALF, boxes="objects")["objects"]
    assert counted == [{"bbox": [0.0, 0.0, 1.5, 1.5], "area": 2}]


def test_no_boxes_are_no_boxes() -> None:
    assert move({"boxes": []}, HALF, boxes="boxes", format="xyxy") == {"boxes": []}
    assert move({"boxes": None}, HALF, boxes="boxes", format="xyxy") == {"boxes": None}
    assert move({"boxes": [None]}, HALF, boxes="boxes", format="xyxy") == {"boxes": [None]}


@pytest.mark.parametrize("wrong", [[[1, 2, 3]], [[1, 2, None, 4]]])
def test_a_box_that_is_none_is_a_failed_record(wrong: object) -> None:
    with pytest.raises(ImageError, match="a box has"):
        move({"boxes": wrong}, HALF, boxes="boxes", format="xyxy")


def test_a_run_length_segmentation_is_told() -> None:
    with pytest.raises(ImageError, match="no list of polygons"):
        move({"objects": [{"bbox": [0, 0, 3, 3], "segmentation": {"counts": "a"}}]}, HALF, boxes="objects")


@pytest.mark.parametrize("name", ["bbox", "objects", "boxes", "seg_mask", "instance_masks", "keypoints", "Annotations"])
def test_a_column_that_looks_like_places_is_refused_until_it_is_named(name: str) -> None:
    schema = pa.schema([(name, BOXES), ("label", pa.int64())])
    with pytest.raises(RequestError, match="looks like places in pictures"):
        check_places(LabelSettings(), schema, HALF)
    check_places(LabelSettings(), schema, ImageSettings(size="keep"))
    check_places(LabelSettings(unchanged=(name,)), schema, HALF)
    check_places(LabelSettings(boxes=name), schema, HALF)


def test_a_second_picture_is_refused_until_it_is_named() -> None:
    schema = pa.schema([("depth", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])
    with pytest.raises(RequestError, match="'depth' looks like places"):
        check_places(LabelSettings(), schema, HALF)
    check_places(LabelSettings(masks=("depth",)), schema, HALF)


def test_labels_and_captions_pass() -> None:
    schema = pa.schema(
        [("label", pa.int64()), ("caption", pa.string()), ("boxer", pa.string()), ("taskbar", pa.int8())]
    )
    check_places(LabelSettings(), schema, HALF)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"boxes": "boks"}, "has no column 'boks' of labels; its columns: boxes, whole, mask, objects"),
        ({"boxes": "boxes.bbox", "format": "xyxy"}, "has no field 'bbox'"),
        ({"boxes": "whole", "format": "xyxy"}, "are int64, and a change of size makes fractions"),
        ({"masks": "boxes"}, "holds no encoded pictures"),
    ],
)
def test_a_wrong_name_is_told(labels: dict[str, object], said: str) -> None:
    objects = pa.struct([("bbox", BOXES), ("category", pa.list_(pa.int64()))])
    schema = pa.schema(
        [("boxes", BOXES), ("whole", pa.list_(pa.list_(pa.int64()))), ("mask", pa.binary()), ("objects", objects)]
    )
    with pytest.raises(RequestError, match=said):
        check_labels(LabelSettings.model_validate(labels), schema, "corpus")
    check_labels(LabelSettings(boxes="objects", masks=("mask",)), schema, "corpus")
    check_labels(LabelSettings(boxes="objects.bbox", format="xywh"), schema, "corpus")
