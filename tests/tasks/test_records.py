"""Schemas of records and failures: names that never meet, and types that Hugging Face understands."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest

from tasks.records import OWN_NAMES, ImageError, carried_name, failure_schema, record_schema


def features(schema: pa.Schema) -> Any:
    return json.loads(schema.metadata[b"huggingface"])["info"]["features"]


def test_no_two_columns_have_one_name_however_often_a_dataset_is_stylized_again() -> None:
    schema = pa.schema([("label", pa.int64()), ("Width", pa.int8())])
    for _ in range(4):
        schema = record_schema(schema)
        lower = [name.lower() for name in schema.names]
        assert len(set(lower)) == len(lower)
    assert "corpus_corpus_corpus_Width" not in schema.names
    assert "corpus_corpus_corpus_corpus_Width" in schema.names
    assert "label" in schema.names


@pytest.mark.parametrize("name", sorted(OWN_NAMES))
def test_a_column_of_our_name_travels_under_another(name: str) -> None:
    assert carried_name(name) == f"corpus_{name}"
    assert carried_name(name.upper()).lower() not in OWN_NAMES


@pytest.mark.parametrize("name", ["label", "corpus", "corpus_", "my_width", "corpus_label"])
def test_a_column_of_another_name_keeps_it(name: str) -> None:
    assert carried_name(name) == name


@pytest.mark.parametrize(
    "kind",
    [
        pa.bool_(),
        pa.uint8(),
        pa.float16(),
        pa.float64(),
        pa.date32(),
        pa.date64(),
        pa.time64("us"),
        pa.timestamp("ns", tz="UTC"),
        pa.duration("s"),
        pa.decimal128(10, 2),
        pa.binary(),
        pa.large_string(),
        pa.list_(pa.date32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 3),
        pa.struct([("a", pa.list_(pa.string())), ("b", pa.float16())]),
    ],
    ids=str,
)
def test_hugging_face_reads_every_type_as_it_is(kind: pa.DataType) -> None:
    from datasets import Features

    schema = record_schema(pa.schema([("mine", kind)]))
    assert Features.from_dict(features(schema)).arrow_schema.field("mine").type == kind


def test_what_a_corpus_says_of_its_columns_is_kept() -> None:
    label = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    info = {"info": {"features": {"label": label, "width": label, "gone": label}}}
    carried = pa.schema([("label", pa.int64()), ("width", pa.int64())], {"huggingface": json.dumps(info)})
    found = features(record_schema(carried))
    assert (found["label"], found["corpus_width"], found["width"]) == (
        label,
        label,
        {"_type": "Value", "dtype": "int32"},
    )
    assert "gone" not in found
    assert "image" not in features(failure_schema(carried))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"info": null}', '{"info": {"features": [1]}}'])
def test_a_damaged_description_is_passed_over(text: str) -> None:
    carried = pa.schema([("label", pa.int64())], {"huggingface": text})
    assert features(record_schema(carried))["label"] == {"_type": "Value", "dtype": "int64"}


def test_an_image_error_survives_its_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(ImageError("truncated", "the file ends early")))
    assert (error.reason, str(error)) == ("truncated", "the file ends early")
