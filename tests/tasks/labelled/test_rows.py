"""A row of a Parquet file is a picture like any other: read, digested and noticed when it changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.corpus.listing import FoundFile, Root
from tasks.labelled import rows
from tasks.labelled.copies import copy_name
from tasks.labelled.place import RowPlace, file_version, find_file, parse_place, settle_places, unchanged_rows
from tasks.labelled.rows import RowReader
from tasks.methods.adain.settings import AdainSettings
from tasks.records import ImageError, RequestError
from tasks.storage import Folder
from tasks.style_settings import StyleSettings
from tasks.styles import check_unchanged, plan_style, read_reference
from tests.tasks.corpus.conftest import memory
from tests.tasks.labelled.making import painting, rows_of, watch_groups, write_shard

__all__ = ["memory"]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "data/a b#1.parquet"
    write_shard(path, rows_of(0, 20))
    return path


@pytest.fixture
def groups_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return watch_groups(monkeypatch)


def placed(shard: Path, row: int) -> RowPlace:
    return RowPlace(str(shard), row, None, file_version(find_file(str(shard))[1]))


@pytest.mark.parametrize(
    "place",
    [
        RowPlace("s3://bucket/data/a.parquet", 0),
        RowPlace("/a b/#row=/c.parquet", 12, "the scan&#=", "0123abcd"),
        RowPlace("a.parquet", 3, None, "ff"),
    ],
)
def test_a_place_survives_its_uri(place: RowPlace) -> None:
    assert parse_place(place.uri) == place


@pytest.mark.parametrize(
    "uri",
    ["a.jpg", "a.parquet", "a#row=.jpg", "a.parquet#row=-1", "#row=1", "a.parquet#row=²", "a.parquet#row=1&imgae=scan"],
)
def test_other_paths_are_of_files(uri: str) -> None:
    assert parse_place(uri) is None


@pytest.mark.parametrize("row", [0, 7, 8, 19])
def test_a_style_may_name_a_row(shard: Path, row: int) -> None:
    assert read_reference(f"{shard}#row={row}", "monet") == painting(row)
    planned = plan_style(
        StyleSettings.model_validate({"name": "monet", "references": [{"image": f"{shard}#row={row}"}]}),
        AdainSettings(),
    )
    assert planned.references[0].sha256 == hashlib.sha256(painting(row)).hexdigest()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("#row=20", "the row is not there"),
        ("#row=0&image=scan", "no picture column 'scan'"),
        (".gone#row=0", r"the picture .* cannot be read; check its path\."),
        ("#row=-1", r"cannot be read; a row is written FILE\.parquet#row=12, counted from 0, and &image=COLUMN behind"),
        ("#row=3&imgae=image", "cannot be read; a row is written"),
    ],
)
def test_a_row_that_cannot_be_had_is_refused_in_a_sentence(shard: Path, uri: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        read_reference(f"{shard}{uri}", "monet")


def test_rows_of_several_columns_are_told_apart(tmp_path: Path) -> None:
    columns = {"scan": [painting(1), painting(2)], "photo": [painting(3), painting(4)]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    places = [RowPlace(f"{tmp_path}/a.parquet", row, image) for row in (0, 1) for image in ("scan", "photo")]
    found = RowReader().check(places)
    expected = [painting(number) for number in (1, 3, 2, 4)]
    assert [found[place.uri].sha256 for place in places] == [hashlib.sha256(one).hexdigest() for one in expected]


def test_a_row_of_what_is_no_parquet_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(painting(1))
    with pytest.raises(RequestError, match=r"'monet': .*a\.jpg has no row 1: it is no Parquet file, or"):
        read_reference(f"{tmp_path}/a.jpg#row=1", "monet")


def test_pictures_may_lie_beside_the_table_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/a.jpg").write_bytes(painting(3))
    (tmp_path / "b.jpg").write_bytes(painting(4))
    cells = [{"bytes": None, "path": path} for path in ("deep/a.jpg", "../b.jpg", str(tmp_path / "b.jpg"), "s3://x/b")]
    write_shard(
        tmp_path / "data/a.parquet", [row | {"image": cell} for row, cell in zip(rows_of(0, 4), cells, strict=True)]
    )
    reader = RowReader()
    assert reader.read(RowPlace(str(tmp_path / "data/a.parquet"), 0)) == painting(3)
    for row in (1, 2, 3):
        with pytest.raises(ImageError):
            reader.read(RowPlace(str(tmp_path / "data/a.parquet"), row))


def test_a_changed_row_is_noticed_and_an_unchanged_one_need_not_be_read(
    shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = StyleSettings.model_validate({"name": "monet", "references": [{"image": placed(shard, 3).uri}]})
    planned = plan_style(style, AdainSettings())
    with monkeypatch.context() as patch:
        patch.setattr(rows, "_read_rows", None)
        check_unchanged([planned])
    before = shard.stat()
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert not unchanged_rows([str(planned.references[0].image), f"{shard}#row=3"])
    check_unchanged([planned])
    write_shard(shard, rows_of(9, 20))
    with pytest.raises(RequestError, match=r"the picture .*#row=3.*, which has changed"):
        check_unchanged([planned])
    shard.unlink()
    check_unchanged([planned])


def test_a_file_that_changed_is_read_again(shard: Path) -> None:
    reader = RowReader()
    place = placed(shard, 3)
    assert reader.read(place) == painting(3)
    write_shard(shard, rows_of(9, 12))
    assert reader.read(place) == painting(9003)
    with pytest.raises(ImageError, match="the row is not there"):
        reader.read(RowPlace(str(shard), 15))


def test_digests_of_earlier_plans_save_reading(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = RowReader()
    reader.remember({placed(shard, 1).uri: "known", f"{shard}#row=2": "no version, so no"})
    monkeypatch.setattr(rows, "_read_rows", None)
    (found,) = reader.check([placed(shard, 1)]).values()
    assert found.sha256 == "known"
    assert reader.checked(f"{shard}#row=2") is None


def test_a_damaged_row_group_spoils_its_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, rows_of(0, 16))
    chunk = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(data))
    reader = RowReader()
    found = reader.check([placed(path, row) for row in (0, 5, 8, 15)])
    assert [one.sha256 is not None for one in found.values()] == [False, False, True, True]


def test_rows_are_read_from_any_store(memory: fsspec.AbstractFileSystem) -> None:
    table = pa.table({"picture": [painting(1), painting(2)]})
    with memory.open("/art/a.parquet", "wb") as file:
        pq.write_table(table, file)
    assert read_reference("memory://art/a.parquet#row=1", "ink") == painting(2)


def test_what_is_read_is_copied_and_then_read_without_its_table(
    shard: Path, tmp_path: Path, groups_read: list[int]
) -> None:
    folder = Folder(str(tmp_path / "store"))
    places = [placed(shard, row) for row in (2, 9, 15)]
    found = RowReader().check(places, folder)
    assert (len(folder.list("pictures")), sorted(groups_read)) == (3, [0, 1])
    assert RowReader().check(places, folder) == found
    reader = RowReader()
    reader.copies.look_in(folder)
    assert reader.check([*places, RowPlace(str(shard), 16)])[places[0].uri] == found[places[0].uri]
    assert sorted(groups_read) == [0, 1, 2], "copies are read rather than the table"
    write_shard(shard, rows_of(9, 20))
    assert RowReader().read(places[1]) == painting(9009), "nobody told it of the copies"
    shard.unlink()
    assert [reader.read(place) for place in places] == [painting(2), painting(9), painting(15)]


def test_a_copy_that_is_gone_is_made_again(shard: Path, tmp_path: Path, groups_read: list[int]) -> None:
    places = [placed(shard, row) for row in (2, 9)]
    reader = RowReader()
    reader.check(places)
    store = Folder(str(tmp_path / "store"))
    reader.check(places, store)
    assert (len(store.list("pictures")), sorted(groups_read)) == (2, [0, 0, 1, 1])
    store.delete(copy_name(places[0]))
    reader.check(places, store)
    assert (len(store.list("pictures")), sorted(groups_read)) == (2, [0, 0, 0, 1, 1])


@pytest.mark.parametrize("cell", [{"bytes": b"<html>", "path": None}, {"bytes": None, "path": None}, None], ids=str)
def test_a_broken_picture_does_not_cost_its_row_group_again(
    shard: Path, tmp_path: Path, groups_read: list[int], cell: Any
) -> None:
    rows = rows_of(0, 20)
    rows[3]["image"] = cell
    write_shard(shard, rows)
    folder = Folder(str(tmp_path / "store"))
    for _ in range(2):
        (found,) = RowReader().check([placed(shard, 3)], folder).values()
        assert (found.sha256, bool(found.reason)) == (None, True)
    assert groups_read == [0]


def test_copies_that_cannot_be_written_are_told_of(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(RequestError, match=r"cannot be copied to .*store \(Not a directory\)"):
        RowReader().check([placed(shard, 3)], Folder(str(tmp_path / "store")))


def test_each_file_is_looked_up_once(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    whole = Root.file

    def note(root: Root, path: str) -> FoundFile:
        looked.append(path)
        return whole(root, path)

    monkeypatch.setattr(Root, "file", note)
    settled = settle_places([f"{shard}#row={row}" for row in range(9)] + ["a.jpg", "gone.parquet#row=1"])
    assert sorted(looked) == ["a b#1.parquet", "gone.parquet"]
    assert settled.pop("gone.parquet#row=1").version == ""
    uris = [place.uri for place in settled.values()]
    assert (len(uris), unchanged_rows(uris), len(looked)) == (9, set(uris), 3)
