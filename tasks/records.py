"""What becomes of a pair: the Arrow schemas of records and failures, and the two errors that users meet."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pyarrow as pa


class RequestError(Exception):
    """The job or the request is wrong; the message is one sentence that says what to do (exit code 2)."""


class ImageError(Exception):
    """This image cannot be done; it becomes a failed record and the shard goes on.

    `reason` is a short stable word for counting (`empty_file`, `not_an_image`, `truncated`, `too_large`, ...);
    the message is stable too: no memory addresses, no temporary paths.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return (ImageError, (self.reason, str(self)))


IDENTITY_FIELDS = [
    pa.field("content_id", pa.string(), nullable=False),
    pa.field("content_uri", pa.string(), nullable=False),
    pa.field("content_version", pa.string(), nullable=False),
    pa.field("style", pa.string(), nullable=False),
    pa.field("style_digest", pa.string(), nullable=False),
    pa.field("method", pa.string(), nullable=False),
    pa.field("method_version", pa.string(), nullable=False),
    pa.field("weights_digest", pa.string(), nullable=False),
    pa.field("representation", pa.string(), nullable=False),
]
PICTURE_FIELDS = [
    pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("source_width", pa.int32()),
    pa.field("source_height", pa.int32()),
]
SETTING_FIELDS = [pa.field("strength", pa.float32()), pa.field("seed", pa.int64(), nullable=False)]
SCORE_FIELDS = [
    pa.field("clip_text", pa.float32()),
    pa.field("clip_image", pa.float32()),
    pa.field("clip_content", pa.float32()),
    pa.field("clip_direction", pa.float32()),
    pa.field("clip_model", pa.string()),
]
REGION_FIELDS = [
    # Of composite styles: each reference by its number, its share of the picture, and scores of its own part.
    pa.field(
        "regions",
        pa.list_(
            pa.struct(
                [
                    ("reference", pa.int32()),
                    ("share", pa.float32()),
                    ("clip_text", pa.float32()),
                    ("clip_image", pa.float32()),
                    ("clip_direction", pa.float32()),
                ]
            )
        ),
    ),
    pa.field("mask_version", pa.string()),  # of the mask that the content brought
]
SCORES = tuple(field.name for field in SCORE_FIELDS if field.name != "clip_model")
# Of pairs whose style was drawn: digest of the draw that the pair is of, and the part of the bank it drew from.
DRAW_FIELDS = [pa.field("draw", pa.string()), pa.field("bank_part", pa.string())]
# Where a point of the upright source lies in the picture: x * scale_x + offset_x, in pixels; none of prompts.
PLACEMENT_FIELDS = [
    pa.field("placement", pa.struct([(name, pa.float64()) for name in ("scale_x", "scale_y", "offset_x", "offset_y")]))
]
ERROR_FIELDS = [
    pa.field("error_class", pa.string(), nullable=False),
    pa.field("error_message", pa.string(), nullable=False),
    pa.field("error_stage", pa.string(), nullable=False),
]
RUN_FIELDS = [
    pa.field("plan", pa.int32(), nullable=False),
    pa.field("shard", pa.int32(), nullable=False),
    pa.field("attempt", pa.int32(), nullable=False),
    pa.field("seconds", pa.float32(), nullable=False),
]
# Where the names of Hugging Face's values are not Arrow's own.
VALUE_NAMES = {
    pa.bool_(): "bool",
    pa.float16(): "float16",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.date32(): "date32",
    pa.date64(): "date64",
}
OWN_NAMES = frozenset(
    field.name
    for field in IDENTITY_FIELDS
    + PICTURE_FIELDS
    + SETTING_FIELDS
    + SCORE_FIELDS
    + REGION_FIELDS
    + DRAW_FIELDS
    + PLACEMENT_FIELDS
    + ERROR_FIELDS
    + RUN_FIELDS
)


def carried_name(column: str, taken: Collection[str] = OWN_NAMES) -> str:
    """Name under which a corpus column travels: its own, or `corpus_<name>` where one of ours, `taken`, has it already.

    A dataset may be stylized again and again: `corpus_width` becomes `corpus_corpus_width`, so that no two
    columns meet. Letters' case is ignored, as DuckDB and Spark do.
    """
    stem = column.lower()
    while stem.startswith("corpus_"):
        stem = stem.removeprefix("corpus_")
    return f"corpus_{column}" if stem in taken else column


def record_schema(carried: pa.Schema) -> pa.Schema:
    """Schema of `data/*.parquet`: a stylized picture, what made it, and the corpus's own columns."""
    own = SETTING_FIELDS + SCORE_FIELDS + REGION_FIELDS + DRAW_FIELDS + PLACEMENT_FIELDS + RUN_FIELDS
    fields = IDENTITY_FIELDS + PICTURE_FIELDS + _renamed(carried) + own
    return _with_features(pa.schema(fields), carried)


def failure_schema(carried: pa.Schema) -> pa.Schema:
    """Schema of `failures/*.parquet`: the reason stands in the place of the picture and its scores."""
    fields = IDENTITY_FIELDS + _renamed(carried) + SETTING_FIELDS + DRAW_FIELDS + ERROR_FIELDS + RUN_FIELDS
    return _with_features(pa.schema(fields), carried)


def _renamed(carried: pa.Schema) -> list[pa.Field]:
    return [pa.field(carried_name(field.name), field.type) for field in carried]


def _with_features(schema: pa.Schema, carried: pa.Schema) -> pa.Schema:
    """Attach the Hugging Face feature description, so that `datasets` shows pictures and class names."""
    features: dict[str, Any] = {field.name: _feature(field.type) for field in schema}
    features |= {carried_name(name): feature for name, feature in _own_features(carried).items()}
    if "image" in features:
        features["image"] = {"_type": "Image"}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _own_features(carried: pa.Schema) -> dict[str, Any]:
    """What the corpus itself says of its columns; a description that is none is passed over."""
    try:
        features = json.loads((carried.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    named = features.items() if isinstance(features, dict) else ()
    return {name: feature for name, feature in named if name in carried.names}


def _feature(kind: pa.DataType) -> Any:
    """Hugging Face feature of an Arrow type (datasets' own naming of dtypes)."""
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_large_list(kind):
        return {"_type": "LargeList", "feature": _feature(kind.value_type)}
    if pa.types.is_fixed_size_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type), "length": kind.list_size}
    if pa.types.is_dictionary(kind):
        return _feature(kind.value_type)
    return {"_type": "Value", "dtype": VALUE_NAMES.get(kind, str(kind))}
