"""Choosing classes of a labelled table: by the dataset's names, by other columns, and refused where there are none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.records import RequestError
from tests.tasks.labelled.making import (
    FEATURES,
    GARBLED,
    draw,
    labels_in,
    painting,
    pairs,
    rows_of,
    write_shard,
    write_wikiart,
)


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
