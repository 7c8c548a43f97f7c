"""Choosing pictures of classes: by the dataset's names, by a fixed draw, and never a broken one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.labelled import labels, rows
from tasks.labelled.draw import draw as draw_pictures
from tasks.labelled.place import RowPlace, unchanged_rows
from tasks.labelled.selection import select
from tasks.labelled.settings import TableSettings
from tasks.records import RequestError
from tests.tasks.labelled.making import (
    FEATURES,
    GARBLED,
    labels_in,
    painting,
    rows_of,
    watch_groups,
    write_shard,
    write_wikiart,
)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing remembered of another test's files."""
    fresh = rows.RowReader()
    for module in ("draw", "labels", "rows"):
        monkeypatch.setattr(f"tasks.labelled.{module}.ROWS", fresh)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wikiart(tmp_path_factory.mktemp("wikiart"))


def draw(table: Path, said: list[str] | None = None, **settings: Any) -> dict[str, list[RowPlace]]:
    made = TableSettings.model_validate({"table": str(table), "by": "artist", **settings})
    say = (said if said is not None else []).append
    return draw_pictures(select(made, say), say)


def pairs(places: list[RowPlace]) -> list[tuple[str, int]]:
    return [(Path(place.file).name, place.row) for place in places]


@pytest.mark.parametrize("by", ["artist", "genre", "style"])
def test_pictures_are_of_their_class_by_the_datasets_own_names(table: Path, by: str) -> None:
    chosen = draw(table, by=by)
    truth = labels_in(table, by)
    assert list(chosen) == sorted(set(truth.values()))
    assert {name: {truth[pair] for pair in pairs(places)} for name, places in chosen.items()} == {
        name: {name} for name in chosen
    }
    assert all(len(set(places)) == 4 for places in chosen.values())


@pytest.mark.parametrize("described", ["infos", "card"])
def test_names_beside_the_shards_serve_as_well(table: Path, tmp_path: Path, described: str) -> None:
    other = write_wikiart(tmp_path, described=described)
    assert {name: pairs(places) for name, places in draw(other).items()} == {
        name: pairs(places) for name, places in draw(table).items()
    }


@pytest.mark.parametrize("named", [0, 2], ids=["first", "last"])
def test_a_shard_that_lost_its_names_has_those_of_the_others(table: Path, tmp_path: Path, named: int) -> None:
    other = write_wikiart(tmp_path, described="nowhere")
    write_shard(other / f"train-{named:05d}-of-00003.parquet", rows_of(named, 40))
    said: list[str] = []
    assert {name: pairs(places) for name, places in draw(other, said).items()} == {
        name: pairs(places) for name, places in draw(table).items()
    }
    assert not any("without names" in line for line in said)


def test_names_that_others_do_not_agree_on_are_refused_where_a_shard_has_none(tmp_path: Path) -> None:
    for shard, features in enumerate([FEATURES, {**FEATURES, "artist": FEATURES["style"]}]):
        write_shard(tmp_path / f"{shard}.parquet", rows_of(shard, 8), features)
    assert draw(tmp_path), "each file has its own"
    write_shard(tmp_path / "2.parquet", rows_of(2, 8), None)
    with pytest.raises(RequestError, match=r"'artist' of 2\.parquet has numbers without names, and other files"):
        draw(tmp_path)


def test_numbers_beside_words_are_refused(tmp_path: Path) -> None:
    pictures = [painting(number) for number in range(2)]
    for name, classes in (("a", [1, 2]), ("b", ["ink", "oil"])):
        pq.write_table(pa.table({"image": pictures, "kind": classes}), tmp_path / f"{name}.parquet")
    with pytest.raises(RequestError, match=r"'kind' of a\.parquet has numbers without names"):
        draw(tmp_path, by="kind")


def test_numbers_that_nobody_names_are_told_of(tmp_path: Path) -> None:
    table = write_wikiart(tmp_path, described="nowhere")
    said: list[str] = []
    assert list(draw(table, said, where={"style": [12, 20]})) == ["1", "2", "22", "4", "49"]
    notes = [line for line in said if "has numbers without names: none are in the files, nor in dataset_infos" in line]
    assert [line.split(": ")[1].split()[0] for line in notes] == ["artist", "style"]
    with pytest.raises(RequestError, match=r'no artist "claude-monet": it has 1, .*numbers without names: put names'):
        draw(table, classes=["claude-monet"])


def test_a_garbled_name_is_a_name(table: Path) -> None:
    assert list(draw(table, classes=[GARBLED])) == [GARBLED]


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


def test_other_columns_filter(table: Path) -> None:
    truth = {column: labels_in(table, column) for column in ("artist", "genre", "style")}
    where = {"genre": "landscape", "style": ["Impressionism", "Ukiyo_e"]}
    said: list[str] = []
    chosen = draw(table, said, classes=["claude-monet", "camille-pissarro"], where=where, pictures=20)
    fitting = [
        pair
        for pair, artist in truth["artist"].items()
        if artist == "claude-monet"
        and truth["genre"][pair] == "landscape"
        and truth["style"][pair] in ("Impressionism", "Ukiyo_e")
    ]
    assert list(chosen) == ["claude-monet", "camille-pissarro"]
    assert 0 < len(fitting) < 20
    assert set(pairs(chosen["claude-monet"])) == set(fitting)
    few = f"claude-monet ({len(fitting)} of {len(fitting)})"
    assert any(few in line and "fewer than 20 usable" in line for line in said)


def test_classes_may_be_the_largest_or_large_enough(table: Path) -> None:
    counts = Counter(labels_in(table, "artist").values())
    largest = sorted(counts, key=lambda name: (-counts[name], name))
    assert set(draw(table, at_most=2)) == set(largest[:2])
    said: list[str] = []
    few = min(counts.values())
    assert set(draw(table, said, min_pictures=few + 1)) == {name for name in counts if counts[name] > few}
    assert any("left out" in line and largest[-1] in line for line in said)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"classes": ["claude monnet"]}, 'no artist "claude monnet": did you mean "claude-monet"'),
        ({"classes": ["joaquin-sorolla"]}, r'did you mean "joaqu\\xE3\\xADn-sorolla"\?'),
        ({"classes": ["zzz"]}, 'no artist "zzz": it has Unknown Artist'),
        ({"where": {"genre": "Landscapes"}}, 'no genre "Landscapes": did you mean "landscape"'),
        ({"classes": ["canaletto"]}, 'no picture of the artist "canaletto": leave that class out'),
        (
            {"classes": ["claude-monet"], "where": {"genre": "still_life"}},
            '"claude-monet" that `where` lets through: loosen it, or leave that class out',
        ),
        (
            {"where": {"genre": "still_life"}},
            "no picture with a class of 'artist' that `where` lets through: loosen it",
        ),
        ({"min_pictures": 1000}, "lower `min_pictures`"),
        ({"by": "painter"}, "no column 'painter': choose among artist, genre, style"),
        ({"by": "image"}, "has struct.* in the column 'image', and no classes: choose among artist"),
        ({"per": "picture", "pictures": 1024}, "gives 5120 styles, and a job takes 4096 of it at most"),
        ({"image": "scan"}, "no picture column 'scan'"),
    ],
    ids=str,
)
def test_what_cannot_be_had_is_refused_with_what_can(table: Path, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        draw(table, **settings)


def test_a_folder_without_shards_and_a_damaged_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be found"):
        draw(tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"no \.parquet files"):
        draw(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RequestError, match=r"a\.parquet is no Parquet file"):
        draw(tmp_path)


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


def test_tables_without_rows_or_classes_say_so(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", [])
    for settings in ({}, {"classes": ["claude-monet"]}, {"where": {"genre": "landscape"}}):
        with pytest.raises(RequestError, match="has no rows: name another"):
            draw(tmp_path, **settings)
    write_shard(tmp_path / "a.parquet", [{**row, "artist": None} for row in rows_of(0, 4)])
    with pytest.raises(RequestError, match="no picture with a class of 'artist': name another column in `by`"):
        draw(tmp_path)
    pq.write_table(pa.table({"image": [painting(1)], "year": [1.5]}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="has double in the column 'year', and no classes: it has no columns of"):
        draw(tmp_path, by="year")
    pq.write_table(pa.table({"year": [1]}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="has no binary column of pictures, only year: name files that have one"):
        draw(tmp_path, by="year")


def test_pictures_without_a_class_are_counted_and_passed_over(tmp_path: Path) -> None:
    rows = rows_of(0, 8)
    for row, number in zip(rows, [-1, None, 129, 4, 4, 4, 4, 4], strict=True):
        row["artist"] = number
    write_shard(tmp_path / "a.parquet", rows)
    said: list[str] = []
    assert {name: sorted(row for _, row in pairs(places)) for name, places in draw(tmp_path, said).items()}.keys() == {
        "claude-monet"
    }
    assert f"{tmp_path}: 3 pictures without artist: passed over." in said


def columns() -> list[Any]:
    words = ["ink", "oil", None, "", "ink"]
    return [
        pytest.param(pa.array(words), ["ink", "oil"], id="words"),
        pytest.param(pa.array(words).dictionary_encode(), ["ink", "oil"], id="dictionary"),
        pytest.param(pa.array([1874, 1901, None, -1, 1874], pa.int16()), ["1874", "1901"], id="numbers"),
    ]


@pytest.mark.parametrize(("column", "names"), columns())
def test_words_and_plain_numbers_are_their_own_names(tmp_path: Path, column: pa.Array, names: list[str]) -> None:
    pictures = pa.array([painting(number) for number in range(5)])
    pq.write_table(pa.table({"scan": pictures, "kind": column}), tmp_path / "a.parquet")
    chosen = draw(tmp_path / "a.parquet", by="kind")
    assert {name: sorted(place.row for place in places) for name, places in chosen.items()} == {
        names[0]: [0, 4],
        names[1]: [1],
    }


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
