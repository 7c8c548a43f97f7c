"""Styles between two others: names, mixtures, and what a path cannot go between."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from tasks.expansion import expand_styles
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.mmist.settings import MmistSettings
from tasks.paths import PathSettings
from tasks.preflight import prepare_styles
from tasks.records import RequestError
from tasks.style_settings import ReferenceSettings, StepSettings, StyleSettings

FIRE = StyleSettings(
    name="fire", references=(ReferenceSettings(text="fire"), ReferenceSettings(text="smoke", weight=3))
)
INK = StyleSettings(name="ink", references=(ReferenceSettings(text="black ink"),))
PATH = PathSettings(path=("fire", "ink"), steps=3)


def test_a_path_is_so_many_styles_between_its_ends() -> None:
    styles = expand_styles([FIRE, PATH, INK])
    assert [style.name for style in styles] == ["fire", "fire-to-ink-25", "fire-to-ink-50", "fire-to-ink-75", "ink"]
    assert [round(one.weight, 6) for one in styles[1].references] == [0.1875, 0.5625, 0.25]
    assert isinstance(styles[1], StepSettings)
    assert styles[1].step.model_dump() == {"start": "fire", "end": "ink", "at": 0.25, "references": 2}


@pytest.mark.parametrize("steps", [1, 2, 7, 48])
def test_every_step_has_a_name_of_its_own(steps: int) -> None:
    assert len(set(PathSettings(path=("a", "b"), steps=steps).names())) == steps


def test_a_path_may_stand_before_its_ends_and_go_between_pictures_of_a_table_or_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    pictures = [
        StyleSettings(name=name, references=(ReferenceSettings(image=str(tmp_path / f"{name}.png")),))
        for name in ("one", "two")
    ]
    styles = prepare_styles([PathSettings(path=("one", "two"), steps=1), *pictures], AdainSettings())
    assert [style.name for style in styles] == ["one-to-two-50", "one", "two"]


def test_the_ends_are_inverted_once_for_all_steps() -> None:
    """A method that inverts is given each end as it is, whatever its share of a step."""
    fire, *steps, ink = prepare_styles([FIRE, PATH, INK], MmistSettings())
    assert len(fire.inversions) == len(ink.inversions) == 1
    assert all(step.inversions == (*fire.inversions, *ink.inversions) for step in steps)
    assert len({style.representation for style in (fire, *steps, ink)}) == 5


def test_mixed_references_of_a_style_are_inverted_together() -> None:
    both = StyleSettings(name="both", references=(*FIRE.references, *INK.references))
    (planned,) = prepare_styles([both], MmistSettings())
    assert len(planned.inversions) == 1


@pytest.mark.parametrize(
    ("styles", "what"),
    [
        ([FIRE, PATH], '"ink", which the job has not: it has fire'),
        ([FIRE, INK.model_copy(update={"method": AdainSettings()}), PATH], "one method"),
        ([FIRE, INK, PATH, PATH], 'Two styles are named "fire-to-ink-25"'),
        (
            [FIRE, StyleSettings(name="ink", references=INK.references * 2, regions={"stripes": 2}), PATH],
            '"ink" has regions',
        ),
    ],
    ids=["no such end", "two methods", "twice", "regions"],
)
def test_what_a_path_cannot_be(styles: list[StyleSettings], what: str) -> None:
    with pytest.raises(RequestError, match=what):
        expand_styles(styles)


def test_a_path_goes_somewhere() -> None:
    with pytest.raises(ValidationError, match="two different styles"):
        PathSettings(path=("fire", "fire"))
