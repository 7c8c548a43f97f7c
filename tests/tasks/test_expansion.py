"""Styles of a labelled table become ordinary styles: named, weighed, digested, and the same tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.corpus import listing
from tasks.expansion import expand_styles, has_table
from tasks.labelled import rows
from tasks.labelled.place import unchanged_rows
from tasks.labelled.settings import TableSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.preflight import check_pictures, prepare_styles
from tasks.records import RequestError
from tasks.references import load_style
from tasks.store import RepresentationStore
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.styles import read_reference
from tests.tasks.corpus.conftest import memory
from tests.tasks.labelled.making import GARBLED, watch_groups, write_shard, write_wikiart

__all__ = ["memory"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wikiart(tmp_path_factory.mktemp("wikiart"))


def from_table(table: Path | str, **settings: Any) -> TableSettings:
    return TableSettings.model_validate({"table": str(table), "by": "artist", **settings})


def test_each_class_is_a_style_of_pictures_of_one_weight(table: Path) -> None:
    styles = expand_styles(from_table(table))
    assert [style.name for style in styles] == [
        "boris-kustodiev",
        "camille-pissarro",
        "claude-monet",
        GARBLED,
        "vincent-van-gogh",
    ]
    assert {len(style.references) for style in styles} == {4}
    assert {reference.weight for style in styles for reference in style.references} == {0.25}


def test_each_picture_may_be_a_style_that_keeps_its_name(table: Path) -> None:
    styles = expand_styles(from_table(table, per="picture", pictures=3, classes="claude-monet"))
    assert len(styles) == 3
    for style in styles:
        (reference,) = style.references
        assert reference.image is not None
        file, row = reference.image.split("&")[0].removeprefix(f"{table}/").split(".parquet#row=")
        assert style.name == f"claude-monet {file}#{row}"


def test_names_and_words_are_made_of_the_class(table: Path) -> None:
    (style,) = expand_styles(
        from_table(
            table,
            classes="claude-monet",
            name="wikiart/{class}",
            text="a painting by {class}",
            text_weight=0.2,
            pictures=2,
            method={"name": "adain", "strength": 0.5},
        )
    )
    assert style.name == "wikiart/claude-monet"
    assert [reference.weight for reference in style.references] == [0.4, 0.4, 0.2]
    assert style.references[2].text == "a painting by claude monet"
    assert style.method == AdainSettings(strength=0.5)


def test_a_list_may_mix_named_styles_and_tables(table: Path) -> None:
    named = StyleSettings(name="wave", references=(ReferenceSettings(text="waves"),))
    given = [named, from_table(table, by="genre"), from_table(table, by="style", name="movement {class}")]
    assert [style.name for style in expand_styles(given)] == [
        "wave",
        "landscape",
        "portrait",
        "movement Impressionism",
        "movement Post_Impressionism",
        "movement Ukiyo_e",
    ]
    assert (has_table(given), has_table([named]), has_table("folder")) == (True, False, False)


def test_names_that_cannot_be_are_refused_before_a_picture_is_read(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = watch_groups(monkeypatch)
    with pytest.raises(RequestError, match='Two styles are named "landscape"'):
        expand_styles([from_table(table, by="genre"), from_table(table, by="genre", seed=1)])
    single = from_table(table, per="picture")
    with pytest.raises(RequestError, match='Two styles are named "boris-kustodiev train-0'):
        expand_styles([single, single])
    for per, name in (("class", "{class}"), ("picture", "{class}{row}")):
        with pytest.raises(RequestError, match="more than 200 letters"):
            expand_styles(from_table(table, per=per, name="long " * 40 + name))
    assert read == []


def test_a_name_that_only_a_broken_picture_brings_about_is_refused(tmp_path: Path) -> None:
    table = write_wikiart(tmp_path, shards=1)
    single = from_table(table, classes="claude-monet", per="picture", pictures=1, name="{row}")
    first, second = expand_styles(single.model_copy(update={"pictures": 2}))
    (shard,) = table.glob("*")
    rows = pq.read_table(shard).to_pylist()
    rows[int(first.name)]["image"]["bytes"] = b"words"
    write_shard(shard, rows)
    with pytest.raises(RequestError, match=f'Two styles are named "{second.name}"'):
        expand_styles([StyleSettings(name=second.name, references=(ReferenceSettings(text="ink"),)), single])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "monet"}, "lacks {class}"),
        ({"name": "{artist}"}, "nothing else in braces"),
        ({"name": "{class.__class__}"}, "nothing else in braces"),
        ({"name": "{class!r}"}, "nothing else in braces"),
        ({"name": "{class"}, "brace"),
        ({"per": "picture", "name": "{class}"}, "lacks {row}"),
        ({"text": "by {row}"}, "nothing else in braces"),
        ({"where": {"artist": "x"}}, "`classes`"),
        ({"classes": []}, "at least 1"),
        ({"classes": [False]}, "write the name in quotes: without them YAML reads False, which is no word"),
        ({"classes": True}, "write the name in quotes: without them YAML reads True"),
        ({"where": {"genre": [None]}}, "write the name in quotes: without them YAML reads None"),
        ({"pictures": 0}, "greater than or equal"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(table: Path, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        from_table(table, **settings)


def test_planned_styles_hold_the_pictures_and_are_the_same_tomorrow(table: Path, tmp_path: Path) -> None:
    first = prepare_styles(from_table(table), AdainSettings())
    pictures = {row["image"]["bytes"] for path in table.glob("*") for row in pq.read_table(path).to_pylist()}
    for style in first:
        for reference in style.references:
            assert reference.image is not None
            assert read_reference(reference.image, style.name) in pictures
    moved = write_wikiart(tmp_path)
    again = prepare_styles(from_table(moved), AdainSettings())
    assert [style.digest for style in again] == [style.digest for style in first]


@pytest.mark.parametrize("tells", [True, False], ids=["versions", "no versions"])
def test_a_run_reads_each_row_group_once_from_any_store(
    table: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """Preflight asks twice, and decodes what is to be represented."""
    monkeypatch.setattr(listing, "TIMES", listing.TIMES if tells else ())
    memory.put(f"{table}/", f"/art-{tells}/", recursive=True)
    shard = f"memory://art-{tells}/train-00001-of-00003.parquet"
    named = [
        StyleSettings.model_validate({"name": str(row), "references": [{"image": f"{shard}#row={row}"}]})
        for row in range(16)
    ]
    source = [*named, from_table(f"memory://art-{tells}", classes="claude-monet", pictures=1)]
    read = watch_groups(monkeypatch)
    store = RepresentationStore("memory://store")
    first = prepare_styles(source, AdainSettings(), keep=store.folder)
    check_pictures(first, store)
    groups = len(read)
    assert (groups, len(store.folder.list("pictures"))) == (3, 17 if tells else 0)
    check_pictures(prepare_styles(source, AdainSettings(), keep=store.folder), store)
    assert len(read) == groups
    for style in first:
        load_style(style)
    assert (len(read) == groups) == tells, "copies are of a known version"


def test_a_row_that_a_style_names_is_planned_with_its_files_version(table: Path) -> None:
    style = StyleSettings.model_validate(
        {
            "name": "two",
            "references": [
                {"image": f"{table}/train-00001-of-00003.parquet#row=3&version=old"},
                {"text": "ink", "mask": f"{table}/train-00001-of-00003.parquet#row=4"},
            ],
        }
    )
    (planned,) = prepare_styles([style], AdainSettings())
    assert unchanged_rows(planned.pictures()) == set(planned.pictures())
    assert [path.split("&")[0][-6:] for path in planned.pictures()] == ["#row=3", "#row=4"]


def test_planning_again_reads_no_picture(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_styles(from_table(table), AdainSettings())
    monkeypatch.setattr(rows, "_read_rows", None)
    assert prepare_styles(from_table(table), AdainSettings()) == first
