"""Datasets of Hugging Face: saved to disk, in a repository of Parquet files, and behind hf://."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError
from tests.tasks.corpus.conftest import picture, read_all

FEATURES = datasets.Features(
    {
        "sound": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
        "photo": datasets.Image(),
        "label": datasets.ClassLabel(names=["cat", "dog"]),
    }
)


def made(rows: int, start: int = 0) -> datasets.Dataset:
    """Pictures beside something else that has bytes and a path."""
    numbers = range(start, start + rows)
    columns = {
        "sound": [{"bytes": b"la", "path": "a.wav"} for _ in numbers],
        "photo": [{"bytes": picture(n % 256), "path": None} for n in numbers],
        "label": [n % 2 for n in numbers],
    }
    return datasets.Dataset.from_dict(columns, features=FEATURES)


def open_arrow(uri: Path | str, **settings: str) -> Corpus:
    return open_corpus(CorpusSettings.model_validate({"uri": str(uri), **settings}))


def test_a_saved_dataset_is_a_corpus_with_its_pictures_and_class_names(tmp_path: Path) -> None:
    made(250).save_to_disk(tmp_path / "saved", num_shards=2)
    corpus = open_arrow(tmp_path / "saved")
    assert corpus.format == "arrow"
    entries = read_all(str(tmp_path / "saved"))
    assert [entry.data for entry in entries] == [picture(n) for n in range(250)]
    assert entries[130].content_id == "data-00001-of-00002.arrow#5"
    assert entries[131].columns == {"sound": {"bytes": b"la", "path": "a.wav"}, "label": 1}
    described = json.loads((corpus.carried.metadata or {})[b"huggingface"])["info"]["features"]
    assert described["label"]["names"] == ["cat", "dog"]


def test_splits_lie_in_folders_and_caches_are_no_part_of_them(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": made(3), "test": made(2, start=3)})
    splits.save_to_disk(tmp_path)
    made(9).save_to_disk(tmp_path / "other")
    (tmp_path / "other/data-00000-of-00001.arrow").rename(tmp_path / "train/cache-0123.arrow")
    (tmp_path / "other/state.json").unlink()
    ids = [entry.content_id for entry in read_all(str(tmp_path))]
    assert ids == [f"test/data-00000-of-00001.arrow#{n}" for n in range(2)] + [
        f"train/data-00000-of-00001.arrow#{n}" for n in range(3)
    ]


@pytest.mark.parametrize(("first", "rows"), [(0, 1), (99, 2), (40, 180), (249, 1)])
def test_any_range_of_rows_can_be_read_in_either_layout(tmp_path: Path, first: int, rows: int) -> None:
    table = made(250).data.table.combine_chunks()
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=100)
    with pa.OSFile(str(tmp_path / "f.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as whole:
        whole.write_table(table, max_chunksize=100)
    for name in ("s.arrow", "f.arrow"):
        corpus = open_arrow(tmp_path / name)
        piece = replace(corpus.pieces({})[0], first_row=first, rows=rows)
        entries = list(corpus.read(piece))
        assert [entry.data for entry in entries] == [picture(n) for n in range(first, first + rows)]


def test_damage_is_refused_or_a_failed_record(tmp_path: Path) -> None:
    made(300).save_to_disk(tmp_path)
    path = tmp_path / "data-00000-of-00001.arrow"
    pieces = open_arrow(tmp_path).pieces({})
    whole = path.read_bytes()
    for damaged in (b"", b"words", whole[: len(whole) // 2], b"\xff" * 200):
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match="no Arrow file, or a damaged one"):
            open_arrow(tmp_path).pieces({})
    path.write_bytes(whole)
    corpus = open_arrow(tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    reasons = {entry.error.reason for piece in pieces for entry in corpus.read(piece) if entry.error}
    assert reasons == {"corrupt"}
    path.unlink()
    assert {entry.error and entry.error.reason for entry in corpus.read(pieces[0])} == {"missing"}
    (tmp_path / "state.json").write_text("{")
    path.write_bytes(whole)
    with pytest.raises(RequestError, match=r"state\.json .* is damaged"):
        open_arrow(tmp_path)


def test_arrow_files_elsewhere_are_refused(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/saved/a.arrow", b"x")
    with pytest.raises(RequestError, match="read from a disk: copy them"):
        open_arrow("memory://saved")


def test_a_repository_of_parquet_files_needs_no_column_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made(3).to_parquet(tmp_path / "data/train-00000-of-00001.parquet")
    (tmp_path / "README.md").write_text("a card")
    entries = read_all(str(tmp_path))
    assert [entry.data for entry in entries] == [picture(n) for n in range(3)]
    plain = pq.read_table(tmp_path / "data/train-00000-of-00001.parquet").replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "data/train-00000-of-00001.parquet")
    with pytest.raises(RequestError, match="set `image` to one of sound, photo"):
        open_arrow(tmp_path)


def test_a_repository_is_read_through_the_hub(tmp_path: Path) -> None:
    """The hub's own client, in a process of its own: it takes its endpoint from the environment, once."""
    made(130).to_parquet(tmp_path / "train.parquet")
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.corpus.hub", str(tmp_path / "train.parquet")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "format": "parquet",
        "count": 130,
        "id": "data/train.parquet#129",
        "uri": "hf://datasets/someone/cats@v1/data/train.parquet#129",
        "version": f"etag:0a1b2c-{(tmp_path / 'train.parquet').stat().st_size}",
        "whole": True,
    }
