"""Styles of a labelled table become ordinary styles: named, weighed, digested, and the same tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.expansion import expand_styles, has_table
from tasks.labelled import rows
from tasks.labelled.settings import TableSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.preflight import prepare_styles
from tasks.records import RequestError
from tasks.styles import ReferenceSettings, StyleSettings, read_reference
from tests.tasks.labelled.making import GARBLED, write_wikiart


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wikiart(tmp_path_factory.mktemp("wikiart"))


def from_table(table: Path, **settings: Any) -> TableSettings:
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


def test_two_styles_of_one_name_are_refused(table: Path) -> None:
    with pytest.raises(RequestError, match="Two styles are named 'landscape'"):
        expand_styles([from_table(table, by="genre"), from_table(table, by="genre", seed=1)])
    with pytest.raises(RequestError, match="more than 200 letters"):
        expand_styles(from_table(table, name="long " * 40 + "{class}"))


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


def test_planning_again_reads_no_picture(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_styles(from_table(table), AdainSettings())
    monkeypatch.setattr(rows, "_read_rows", None)
    assert prepare_styles(from_table(table), AdainSettings()) == first
