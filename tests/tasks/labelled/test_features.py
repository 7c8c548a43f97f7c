"""Names of classes come from the dataset itself, wherever it carries them, and never from us."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import fsspec
import pyarrow.parquet as pq
import pytest
from datasets.info import DatasetInfosDict
from fsspec.implementations.local import LocalFileSystem

from tasks.labelled.features import names_beside, names_in_schema
from tasks.records import RequestError
from tests.tasks.labelled.making import CLASSES, FEATURES, GARBLED, SCHEMA, describe, write_wikiart

COLUMNS = SCHEMA.names


def beside(folder: Path, columns: list[str] = COLUMNS) -> dict[str, list[str]]:
    """Names of those of the columns that have any."""
    found = {column: names_beside(fsspec.filesystem("file"), str(folder), column, columns) for column in columns}
    return {column: names for column, names in found.items() if names is not None}


def test_datasets_reads_our_small_wikiart_as_it_would_the_real_one(tmp_path: Path) -> None:
    table = write_wikiart(tmp_path / "wikiart", shards=1, rows=4)
    read = datasets.Dataset.from_parquet(str(table / "*.parquet"), cache_dir=str(tmp_path / "cache"))
    assert read.features == datasets.Features(
        image=datasets.Image(), **{column: datasets.ClassLabel(names=names) for column, names in CLASSES.items()}
    )
    assert read[0]["image"].size == (40, 30)


def test_a_schema_that_datasets_wrote_gives_its_names() -> None:
    features = datasets.Features(label=datasets.ClassLabel(names=["no", GARBLED]), other=datasets.Value("int64"))
    assert names_in_schema(features.arrow_schema.metadata) == {"label": ["no", GARBLED]}


def test_the_older_way_of_writing_a_schema_gives_its_names_too() -> None:
    label = {"num_classes": 2, "names": ["a", "b"], "names_file": None, "id": None, "_type": "ClassLabel"}
    features = {"image": {"decode": True, "id": None, "_type": "Image"}, "label": label}
    assert names_in_schema({b"huggingface": json.dumps({"info": {"features": features}}).encode()}) == {
        "label": ["a", "b"]
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"info": 3}', '{"info": {"features": {"a": {"_type": "ClassLabel", "names": [1]}}}}']
)
def test_a_schema_that_says_nothing_gives_no_names(text: str) -> None:
    assert names_in_schema({b"huggingface": text.encode()}) == {}
    assert names_in_schema(None) == {}


@pytest.mark.parametrize("described", ["infos", "card"])
@pytest.mark.parametrize("depth", ["", "data", "default/train"])
def test_a_description_beside_or_above_the_files_gives_the_names(tmp_path: Path, described: str, depth: str) -> None:
    describe(tmp_path, described)
    (tmp_path / depth).mkdir(parents=True, exist_ok=True)
    assert beside(tmp_path / depth) == CLASSES


def test_a_card_that_datasets_wrote_gives_its_names(tmp_path: Path) -> None:
    features = datasets.Features(label=datasets.ClassLabel(names=["no", "1", GARBLED]))
    DatasetInfosDict({"default": datasets.DatasetInfo(features=features)}).write_to_directory(str(tmp_path))
    assert beside(tmp_path, ["label"]) == {"label": ["no", "1", GARBLED]}


def test_a_description_of_other_columns_is_passed_over(tmp_path: Path) -> None:
    describe(tmp_path, "card")
    (tmp_path / "data").mkdir()
    other = {"a": {"features": {"image": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["x"]}}}}
    (tmp_path / "data/dataset_infos.json").write_text(json.dumps(other))
    assert beside(tmp_path / "data") == CLASSES
    assert beside(tmp_path / "data", ["another"]) == {}


@pytest.mark.parametrize("described", ["infos", "card"])
def test_a_column_more_than_a_description_knows_does_no_harm(tmp_path: Path, described: str) -> None:
    describe(tmp_path, described)
    assert beside(tmp_path, [*COLUMNS, "width"]) == CLASSES


def test_of_several_tables_the_one_with_these_columns_counts(tmp_path: Path) -> None:
    other = {"artist": {"_type": "ClassLabel", "names": ["x"]}, "text": {"_type": "Value"}}
    (tmp_path / "dataset_infos.json").write_text(
        json.dumps({"texts": {"features": other}, "art": {"features": FEATURES}})
    )
    assert beside(tmp_path) == CLASSES
    assert beside(tmp_path, ["artist", "text"]) == {"artist": ["x"]}


def test_descriptions_that_disagree_are_refused(tmp_path: Path) -> None:
    turned = FEATURES | {"genre": {"_type": "ClassLabel", "names": CLASSES["genre"][::-1]}}
    infos = {"one": {"features": FEATURES}, "two": {"features": turned}}
    (tmp_path / "dataset_infos.json").write_text(json.dumps(infos))
    with pytest.raises(RequestError, match="several tables"):
        beside(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "# Words", "---\n: [\n---\n", "---\n- a\n---\n", "---\ndataset_info: 3\n---\n", "---\ndataset_info:\n- 3\n"],
)
def test_a_card_without_a_description_gives_no_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert beside(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset_infos.json", '{"a": {"features": {"artist"'),
        ("dataset_infos.json", ""),
        ("dataset_infos.json", "\0"),
        ("README.md", "---\ndataset_info: [\n---\n"),
        ("README.md", "---\ndataset_info: !!python/name:os.x\n---"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RequestError, match=rf"{name} may hold the names of classes, and cannot be read \(.+\): mend"):
        beside(tmp_path)


def test_a_description_that_a_store_does_not_give_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(tmp_path, "infos")

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LocalFileSystem, "cat_file", fail)
    with pytest.raises(RequestError, match=r"dataset_infos.json .* cannot be read \(Input/output error\)"):
        beside(tmp_path)


def test_the_small_wikiart_has_the_real_schema(tmp_path: Path) -> None:
    """`huggan/wikiart`: image, and ClassLabels of 129 artists, 11 genres and 27 styles."""
    table = write_wikiart(tmp_path, shards=1, rows=1)
    schema = pq.read_schema(next(table.glob("*.parquet")))
    assert {field.name: str(field.type) for field in schema} == {
        "image": "struct<bytes: binary, path: string>",
        "artist": "int64",
        "genre": "int64",
        "style": "int64",
    }
    assert {column: len(names) for column, names in names_in_schema(schema.metadata).items()} == {
        "artist": 129,
        "genre": 11,
        "style": 27,
    }
