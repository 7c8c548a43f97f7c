"""Parquet corpora: both kinds of picture columns, any range of rows, and the other columns carried along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus, Piece
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError, record_schema
from tests.tasks.corpus.conftest import picture, read_all


def table(rows: int, start: int = 0) -> pa.Table:
    """Rows with a picture struct, a label and a nested column."""
    numbers = range(start, start + rows)
    return pa.table(
        {
            "label": pa.array(list(numbers), pa.int64()),
            "image": [{"bytes": picture(n % 256), "path": f"{n}.png"} for n in numbers],
            "boxes": [[[0.0, 0.5]] * (n % 3) for n in numbers],
        }
    )


def open_parquet(uri: Path | str, **settings: str) -> Corpus:
    return open_corpus(CorpusSettings.model_validate({"uri": str(uri), **settings}))


def test_rows_come_with_ids_pictures_and_their_own_columns(tmp_path: Path) -> None:
    pq.write_table(table(5), tmp_path / "a.parquet")
    (tmp_path / "sub").mkdir()
    pq.write_table(table(2, start=5), tmp_path / "sub/b.parquet")
    entries = read_all(str(tmp_path))
    ids = [f"a.parquet#{n}" for n in range(5)] + ["sub/b.parquet#0", "sub/b.parquet#1"]
    assert [entry.content_id for entry in entries] == ids
    assert entries[6].content_uri == f"{tmp_path}/sub/b.parquet#1"
    assert entries[6].data == picture(6)
    assert entries[5].columns == {"label": 5, "boxes": [[0.0, 0.5], [0.0, 0.5]]}
    assert open_parquet(tmp_path).carried.names == ["label", "boxes"]


def test_one_file_is_a_corpus_with_the_same_ids(tmp_path: Path) -> None:
    pq.write_table(table(3), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"another, damaged")
    [*_, last] = read_all(str(tmp_path / "a.parquet"))
    assert (last.content_id, last.content_uri) == ("a.parquet#2", f"{tmp_path}/a.parquet#2")


def test_pieces_keep_to_row_groups_and_to_their_bounds(tmp_path: Path) -> None:
    pq.write_table(table(250), tmp_path / "a.parquet", row_group_size=100)
    pieces = open_parquet(tmp_path).pieces({})
    assert [(piece.first_row, piece.rows) for piece in pieces] == [(0, 50), (50, 50), (100, 50), (150, 50), (200, 50)]
    assert len({piece.version for piece in pieces}) == 1
    assert pieces[0].bytes == (tmp_path / "a.parquet").stat().st_size


@pytest.mark.parametrize(("first", "rows"), [(0, 1), (49, 2), (95, 110), (249, 1), (0, 250), (130, 5)])
def test_any_range_of_rows_can_be_read(tmp_path: Path, first: int, rows: int) -> None:
    pq.write_table(table(250), tmp_path / "a.parquet", row_group_size=100)
    corpus = open_parquet(tmp_path)
    piece = replace(corpus.pieces({})[0], first_row=first, rows=rows)
    entries = list(corpus.read(piece))
    assert [entry.columns["label"] for entry in entries] == list(range(first, first + rows))
    assert [entry.content_id for entry in entries] == piece.content_ids()


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_binary_column_holds_pictures_too(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"jpg": pa.array([picture(1), None], kind), "n": [1, 2]}), tmp_path / "a.parquet")
    first, second = read_all(str(tmp_path))
    assert (first.data, first.columns) == (picture(1), {"n": 1})
    assert second.error is not None
    assert second.error.reason == "empty_file"


def test_the_picture_column_is_found_or_asked_for(tmp_path: Path) -> None:
    both = pa.table({"photo": [picture(1)], "mask": [picture(2)], "name": ["x"]})
    pq.write_table(both, tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="set `image` to one of photo, mask"):
        open_parquet(tmp_path)
    with pytest.raises(RequestError, match=r"no picture column 'name'.* photo, mask, name"):
        open_parquet(tmp_path, image="name")
    [entry] = read_all(str(tmp_path), image="photo")
    assert (entry.data, entry.columns) == (picture(1), {"mask": picture(2), "name": "x"})
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="no binary column of pictures, only n"):
        open_parquet(tmp_path)


def test_pictures_beside_the_table_are_read_and_others_are_not(tmp_path: Path) -> None:
    paths = ["p/a.png", "../secret.png", str(tmp_path / "secret.png"), "gone.png", None]
    (tmp_path / "corpus/p").mkdir(parents=True)
    (tmp_path / "corpus/p/a.png").write_bytes(picture(7))
    (tmp_path / "secret.png").write_bytes(picture(8))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": None, "path": path} for path in paths], kind)
    pq.write_table(pa.table({"image": rows}), tmp_path / "corpus/t.parquet")
    entries = read_all(str(tmp_path / "corpus/t.parquet"))
    assert entries[0].data == picture(7)
    reasons = [entry.error and entry.error.reason for entry in entries]
    assert reasons == [None, "missing", "missing", "missing", "empty_file"]


def test_class_names_and_pictures_written_by_datasets_survive(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [{"bytes": picture(n), "path": None} for n in (1, 2)], "label": [0, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    corpus = open_parquet(tmp_path)
    described = json.loads(corpus.carried.metadata[b"huggingface"])["info"]["features"]
    assert described["label"]["names"] == ["cat", "dog"]
    assert [entry.columns["label"] for entry in read_all(str(tmp_path))] == [0, 1]
    ours = json.loads(record_schema(corpus.carried).metadata[b"huggingface"])["info"]["features"]
    assert ours["label"]["names"] == ["cat", "dog"]


def test_files_that_disagree_are_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(table(2), tmp_path / "a.parquet")
    odd = table(2).set_column(0, "label", pa.array(["x", "y"]))
    pq.write_table(odd, tmp_path / "b.parquet")
    with pytest.raises(RequestError, match=r"b\.parquet differs .* in the columns label"):
        open_parquet(tmp_path).pieces({})
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RequestError, match=r"b\.parquet is no Parquet file"):
        open_parquet(tmp_path).pieces({})


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(table(1).slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="hold no rows"):
        open_parquet(tmp_path).pieces({})
    with pytest.raises(RequestError, match=r"has no \.parquet files"):
        open_parquet(_empty(tmp_path), format="parquet")


def test_a_table_that_went_away_or_shrank_gives_missing_entries(tmp_path: Path) -> None:
    pq.write_table(table(4), tmp_path / "a.parquet")
    corpus = open_parquet(tmp_path)
    [piece] = corpus.pieces({})
    longer = replace(piece, rows=6)
    assert [entry.error is None for entry in corpus.read(longer)] == [True] * 4 + [False] * 2
    (tmp_path / "a.parquet").unlink()
    entries = list(corpus.read(piece))
    assert [entry.content_id for entry in entries] == piece.content_ids()
    assert {entry.error.reason for entry in entries if entry.error} == {"missing"}


def test_a_table_keeps_its_version_by_size_and_time(tmp_path: Path) -> None:
    pq.write_table(table(130), tmp_path / "a.parquet")
    pieces = open_parquet(tmp_path).pieces({})
    known = {"a.parquet": replace(pieces[1], version="kept")}
    assert {piece.version for piece in open_parquet(tmp_path).pieces(known)} == {"kept"}


def test_tables_on_another_filesystem_read_the_same(memory: fsspec.AbstractFileSystem) -> None:
    with memory.open("/tables/x.parquet", "wb") as file:
        pq.write_table(table(3), file)
    assert [entry.content_id for entry in read_all("memory://tables")] == [f"x.parquet#{n}" for n in range(3)]
    [*_, last] = read_all("memory://tables/x.parquet")
    assert (last.content_uri, last.data) == ("memory://tables/x.parquet#2", picture(2))


def test_pieces_travel_as_plain_values() -> None:
    assert Piece("a.jpg", "v", 1, 2).content_ids() == ["a.jpg"]
    assert Piece("t", "v", 1, 2, 7, 2).content_ids() == ["t#7", "t#8"]


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_a_damaged_page_and_a_time_that_python_has_not_are_failed_entries(tmp_path: Path) -> None:
    rows = {"image": [b"x" * 500] * 4, "when": pa.array([0, 1, 2, 2**62], pa.timestamp("us"))}
    pq.write_table(pa.table(rows), tmp_path / "late.parquet", row_group_size=2)
    late = open_corpus(CorpusSettings(uri=str(tmp_path / "late.parquet")))
    entries = [entry for piece in late.pieces({}) for entry in late.read(piece)]
    assert [entry.error and entry.error.reason for entry in entries] == [None, None, "corrupt", "corrupt"]

    whole = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"image": [bytes([i]) * 500 for i in range(4)]}), whole, compression="zstd")
    data = bytearray(whole.read_bytes())
    data[10:60] = bytes(50)
    whole.write_bytes(data)
    damaged = open_corpus(CorpusSettings(uri=str(whole)))
    entries = [entry for piece in damaged.pieces({}) for entry in damaged.read(piece)]
    assert [entry.error and entry.error.reason for entry in entries] == ["corrupt"] * 4
