"""Labels that lie on a picture: boxes and masks among a corpus's own columns, brought along when its size changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.corpus.parquet import is_picture_type
from tasks.corpus.settings import LabelSettings
from tasks.images.placement import Placement, place_labels
from tasks.images.settings import ImageSettings
from tasks.records import ImageError, RequestError

# What columns of places in pictures are called, as parts of a name.
PLACES = re.compile(
    r"(^|_)(bbox|bboxes|box|boxes|objects|annotations?|masks?|segmentations?|seg|keypoints?|polygons?|landmarks?|"
    r"instances|panoptic)(_|$)",
    re.IGNORECASE,
)
Columns = Mapping[str, Any]


def move_labels(
    columns: Columns,
    labels: LabelSettings,
    placement: Placement,
    source: tuple[int, int],
    images: ImageSettings,
) -> Columns:
    """The columns with boxes and masks where their pixels are now; `source` is (width, height).

    Boxes are cut at the picture's edges and none is dropped: one that lies outside is empty. Raises ImageError where a
    box or a mask is none.
    """
    if placement.is_identity and (placement.width, placement.height) == source:
        return columns
    moved = dict(columns)
    if labels.boxes is not None:
        name, *inside = labels.boxes.split(".")
        move = _coco(placement) if labels.format == "coco" else _box(placement, labels.format)
        moved[name] = _map_leaf(moved.get(name), inside, move)
    for name in labels.masks:
        moved[name] = _move_mask(moved.get(name), source, images)
    return moved


def check_labels(labels: LabelSettings, carried: pa.Schema, uri: str) -> None:
    """Raise RequestError where a named column is not what it has to be."""
    for name in [*labels.masks, *labels.unchanged, *([labels.boxes.split(".")[0]] if labels.boxes else [])]:
        if name not in carried.names:
            there = ", ".join(carried.names) or "none"
            raise RequestError(f"The corpus {uri} has no column {name!r} of labels; its columns: {there}.")
    for name in labels.masks:
        if not is_picture_type(carried.field(name).type):
            raise RequestError(
                f"The column {name!r} of {uri} holds no encoded pictures, which masks are: name another."
            )
    if labels.boxes is not None:
        _check_boxes(labels, carried, uri)


def check_places(labels: LabelSettings, carried: pa.Schema, images: ImageSettings) -> None:
    """Raise RequestError where a column looks like places in pictures whose pixels may move, and nobody named it."""
    if images.size == "keep":
        return
    named = {*labels.masks, *labels.unchanged, *([labels.boxes.split(".")[0]] if labels.boxes else [])}
    for field in carried:
        places = bool(PLACES.search(field.name)) or is_picture_type(field.type)
        if places and field.name not in named:
            raise RequestError(
                f"The column {field.name!r} looks like places in pictures, and `images: {{size: {images.size}}}` moves "
                "pixels: name it under `corpus: {labels: ...}` as `boxes` or `masks`, or as `unchanged`, or set "
                "`size: keep`."
            )


def _check_boxes(labels: LabelSettings, carried: pa.Schema, uri: str) -> None:
    name, *inside = (labels.boxes or "").split(".")
    if labels.format == "coco":
        inside = [*inside, "bbox"]
    kind = carried.field(name).type
    for part in ["", *inside]:
        kind = _unlist(kind)
        if part:
            if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                raise RequestError(f"The column {name!r} of {uri} has no field {part!r}: name where the boxes are.")
            kind = kind.field(part).type
    leaf = _unlist(kind)
    if not pa.types.is_floating(leaf):
        raise RequestError(
            f"The boxes {labels.boxes!r} of {uri} are {leaf}, and a change of size makes fractions of them: store them "
            "as float32; or set `images: {size: keep}` and leave `boxes` out, and they are carried as they are."
        )


def _unlist(kind: pa.DataType) -> pa.DataType:
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def _map_leaf(value: Any, path: Sequence[str], change: Callable[[Any], Any]) -> Any:
    """Change what lies at a path of fields, in every item of the lists on the way."""
    if value is None:
        return None
    if path and isinstance(value, Mapping):
        return {**value, path[0]: _map_leaf(value.get(path[0]), path[1:], change)}
    if path:
        return [_map_leaf(item, path, change) for item in value]
    return change(value)


def _coco(placement: Placement) -> Callable[[Any], Any]:
    """COCO's objects, a list of them or lists of their fields: `bbox`, `area` and polygons of `segmentation`."""
    box, area = _box(placement, "xywh"), _area(placement)

    def change(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return [change(item) for item in value]
        known = {"bbox": box, "area": area, "segmentation": _polygons(placement)}
        return {k: known[k](v) if k in known and v is not None else v for k, v in value.items()}

    return change


def _box(placement: Placement, form: str) -> Callable[[Any], Any]:
    """Of one box, or of lists of them: four numbers."""

    def change(value: Any) -> Any:
        if value is None or all(number is None for number in value):  # no box, or none of them
            return value
        if any(isinstance(item, Sequence) for item in value):
            return [change(item) for item in value]
        if len(value) != 4 or any(number is None for number in value):
            raise ImageError("bad_box", f"a box has {len(value)} numbers, or none where one should be, and not four")
        return _move_box([float(number) for number in value], placement, form)

    return change


def _move_box(box: list[float], placement: Placement, form: str) -> list[float]:
    left, top, right, bottom = box if form == "xyxy" else (box[0], box[1], box[0] + box[2], box[1] + box[3])
    xs = [min(max(x * placement.scale_x + placement.offset_x, 0.0), placement.width) for x in (left, right)]
    ys = [min(max(y * placement.scale_y + placement.offset_y, 0.0), placement.height) for y in (top, bottom)]
    if form == "xyxy":
        return [xs[0], ys[0], xs[1], ys[1]]
    return [xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]]


def _area(placement: Placement) -> Callable[[Any], Any]:
    """Of the whole object, as COCO counts it: a cut at the edge is not known from the number."""
    factor = placement.scale_x * placement.scale_y

    def change(value: Any) -> Any:
        if value is None or isinstance(value, int):
            return value if value is None else round(value * factor)
        return [change(item) for item in value] if isinstance(value, Sequence) else value * factor

    return change


def _polygons(placement: Placement) -> Callable[[Any], Any]:
    """Points x, y, x, y, ... in lists of any depth; not cut at the edges."""
    scale, offset = (placement.scale_x, placement.scale_y), (placement.offset_x, placement.offset_y)

    def change(value: Any) -> Any:
        if isinstance(value, Mapping | str | bytes):
            raise ImageError("bad_box", "a segmentation is no list of polygons")
        if any(isinstance(item, Sequence | Mapping) or item is None for item in value):
            return [None if item is None else change(item) for item in value]
        return [number * scale[place % 2] + offset[place % 2] for place, number in enumerate(value)]

    return change


def _move_mask(value: Any, source: tuple[int, int], images: ImageSettings) -> Any:
    data = value if isinstance(value, bytes) else (value or {}).get("bytes")
    if data is None:
        if value:
            raise ImageError("mask_missing", "a mask is only pointed to, and not in the table")
        return None
    moved = place_labels(data, source, images)
    return moved if isinstance(value, bytes) else {**value, "bytes": moved}
