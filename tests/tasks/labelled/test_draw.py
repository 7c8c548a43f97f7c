"""Choosing pictures of classes: by the dataset's names, by a fixed draw, and never a broken one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from tasks.labelled import labels, rows
from tasks.labelled.draw import draw as draw_pictures
from tasks.labelled.place import RowPlace, unchanged_rows
from tasks.labelled.selection import select
from tasks.labelled.settings import TableSettings
from tasks.records import RequestError
from tests.tasks.labelled.making import (
    draw,
    painting,
    pairs,
    rows_of,
    watch_groups,
    write_shard,
    write_wikiart,
)


def test_the_draw_does_not_depend_on_other_classes_threads_or_the_number_drawn(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = {name: pairs(places) for name, places in draw(table).items()}
    assert pairs(draw(table, classes="claude-monet")["claude-monet"]) == full["claude-monet"]
    assert pairs(draw(table, pictures=2)["claude-monet"]) == full["claude-monet"][:2]
    monkeypatch.setattr(labels, "READERS", 1)
    monkeypatch.setattr(labels, "BATCH_ROWS", 7)
    monkeypatch.setattr(labels.Root, "files", _turned(labels.Root.files))
    assert {name: pairs(places) for name, places in draw(table).items()} == full


def _turned(files: Any) -> Any:
    return lambda root: files(root)[::-1]


def test_another_seed_draws_other_pictures(table: Path) -> None:
    assert draw(table, seed=1) != draw(table)


def test_the_draw_is_spread_over_shards_and_row_groups(table: Path) -> None:
    drawn = [pair for places in draw(table, pictures=8).values() for pair in pairs(places)]
    assert len({file for file, _ in drawn}) == 3
    assert len({row // 8 for _, row in drawn}) == 5


def test_more_shards_take_over_some_places_and_leave_the_order_of_the_others(tmp_path: Path) -> None:
    table = write_wikiart(tmp_path)
    before = {name: pairs(places) for name, places in draw(table).items()}
    write_shard(table / "more.parquet", rows_of(7, 40))
    after = {name: pairs(places) for name, places in draw(table).items()}
    kept = {name: [pair for pair in after[name] if pair[0] != "more.parquet"] for name in before}
    assert after != before
    assert kept == {name: before[name][: len(kept[name])] for name in before}


def break_pictures(table: Path, chosen: list[RowPlace], by: dict[int, Any]) -> None:
    """Write other cells in place of the chosen pictures, by their place in the draw."""
    for number, cell in by.items():
        place = chosen[number]
        rows = pq.read_table(place.file).to_pylist()
        rows[place.row]["image"] = cell
        write_shard(Path(place.file), rows)


@pytest.mark.parametrize(
    "cell",
    [
        {"bytes": painting(5)[:200], "path": None},
        {"bytes": b"<html>", "path": None},
        {"bytes": b"", "path": None},
        {"bytes": None, "path": None},
        {"bytes": None, "path": "gone.jpg"},
        {"bytes": None, "path": "../../secret.jpg"},
        None,
    ],
    ids=["cut", "words", "empty", "null", "missing", "outside", "nothing"],
)
def test_a_broken_picture_makes_room_for_the_next_in_the_draw(tmp_path: Path, cell: Any) -> None:
    table = write_wikiart(tmp_path)
    (tmp_path.parent / "secret.jpg").write_bytes(painting(1))
    before = draw(table, pictures=5)["claude-monet"]
    break_pictures(table, before, {1: cell})
    said: list[str] = []
    after = draw(table, said)["claude-monet"]
    assert pairs(after) == [pair for pair in pairs(before) if pair != pairs(before)[1]]
    (line,) = [line for line in said if "is no usable picture" in line]
    assert line.startswith(f"{before[1].file}#row={before[1].row} of claude-monet is no usable picture (")
    assert line.endswith(" and was passed over.")


def write_broken(table: Path, count: int, usable: Collection[int], other: int = 0) -> None:
    """Pictures of claude-monet, of which few are usable, and good ones of vincent-van-gogh."""
    rows = rows_of(0, count + other)
    for number, row in enumerate(rows):
        row["artist"] = 4 if number < count else 22
        if number < count and number not in usable:
            row["image"] = {"bytes": b"words", "path": None}
    write_shard(table / "a.parquet", rows)


@pytest.mark.parametrize(("count", "usable"), [(5, [1, 3]), (100, [7, 8, 99]), (300, [250])], ids=str)
def test_the_draw_goes_on_while_a_class_is_short(tmp_path: Path, count: int, usable: list[int]) -> None:
    write_broken(tmp_path, count, usable)
    said: list[str] = []
    (places,) = draw(tmp_path, said).values()
    assert sorted(place.row for place in places) == usable
    assert f"{tmp_path}: fewer than 4 usable pictures: claude-monet ({len(usable)} of {count})." in said
    assert sum("is no usable picture" in line for line in said) == min(12, count - len(usable))
    if count > 12 + len(usable):
        assert f"{tmp_path}: {count - len(usable) - 12} more pictures that cannot be used: passed over." in said


def test_the_draw_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "SPARE", 20)
    write_broken(tmp_path, 100, [])
    with pytest.raises(RequestError, match=r'No picture of "claude-monet" .* can be used \(0 of 24\): leave'):
        draw(tmp_path)


def test_a_class_of_broken_pictures_is_refused_where_it_was_asked_for(tmp_path: Path) -> None:
    write_broken(tmp_path, 6, [], other=6)
    with pytest.raises(RequestError, match=r'No picture of "claude-monet" .* can be used \(0 of 6\): leave'):
        draw(tmp_path, classes=["claude-monet", "vincent-van-gogh"])
    said: list[str] = []
    assert list(draw(tmp_path, said)) == ["vincent-van-gogh"]
    assert f"{tmp_path}: left out, since no picture can be used: claude-monet (0 of 6)." in said
    assert said[-1].endswith("1 style of 4 pictures by artist: vincent-van-gogh (6).")


def test_only_columns_of_classes_are_read_for_the_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_wikiart(tmp_path, shards=1)
    read: list[list[str]] = []
    whole = pq.ParquetFile.iter_batches

    def note(file: pq.ParquetFile, *words: Any, **options: Any) -> Any:
        read.append(options["columns"])
        return whole(file, *words, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", note)
    settings = TableSettings(table=str(table), by="style", where={"genre": ("landscape",)})
    found = labels.LabelledTable(settings).find()
    assert sum(found.counts.values()) > 0
    assert read == [["style", "genre"]]


def test_each_row_group_is_read_once_for_all_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_wikiart(tmp_path)
    read = watch_groups(monkeypatch)
    chosen = draw(table, pictures=8)
    drawn = {(place.file, place.row // 8) for places in chosen.values() for place in places}
    assert len(read) == len(drawn) > 10
    draw(table, pictures=8)
    assert len(read) == len(drawn), "what was found is remembered"


def test_object_storage_gives_the_same_draw_and_is_not_asked_twice_for_a_picture(
    table: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("s3").put(f"{table}/", f"{s3}/wikiart/data/", recursive=True)
    remote = TableSettings(table=f"{s3}/wikiart/data", by="style", where={"genre": ("portrait",)})
    chosen = draw_pictures(select(remote, [].append), [].append)
    local = draw(table, by="style", where={"genre": "portrait"})
    assert {name: pairs(places) for name, places in chosen.items()} == {name: pairs(p) for name, p in local.items()}
    uris = {place.uri for places in chosen.values() for place in places}
    assert unchanged_rows(uris) == uris
    assert rows.ROWS.read(chosen["Ukiyo_e"][0]) == rows.ROWS.read(local["Ukiyo_e"][0])
    monkeypatch.setattr(rows, "_read_rows", None)
    assert draw_pictures(select(remote, [].append), [].append) == chosen
