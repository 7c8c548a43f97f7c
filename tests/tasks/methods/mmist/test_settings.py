"""What the pictures of a style depend on, and what they do not; defaults; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.settings import MethodSettings
from tasks.records import RequestError
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.styles import PlannedStyle, plan_style
from tests.tasks.actors.making import write_style_pictures
from tests.tasks.methods.mmist.small_generator import save_small_generator

FIRE = StyleSettings(name="fire", references=(ReferenceSettings(text="fire"),))


def planned(style: StyleSettings = FIRE, **settings: Any) -> PlannedStyle:
    return plan_style(style, TypeAdapter(MethodSettings).validate_python({"name": "mmist", **settings}))


@pytest.mark.parametrize(
    "renderer", ["adain", "style_kernel", {"name": "adaattn", "strength": 0.5}, {"name": "adaattn", "epsilon": 1e-8}]
)
def test_another_renderer_takes_the_same_pictures(renderer: Any) -> None:
    first, second = planned(), planned(render_with=renderer)
    assert first.inversions == second.inversions
    assert first.digest != second.digest


def test_what_only_rendering_reads_makes_no_new_representation() -> None:
    first, second = planned(), planned(render_with={"name": "adaattn", "strength": 0.5})
    assert first.representation == second.representation


@pytest.mark.parametrize(
    "change",
    [
        *({"steps": 5}, {"starts": 3}, {"representations": 2}, {"learning_rate": 0.1}, {"crops": 3}, {"size": 64}),
        *({"crop_size": 32}, {"contents": 1}, {"source": "a picture"}, {"seed": 1}, {"precision": "bfloat16"}),
        {"clip": "embedded:clip-judge-small"},
    ],
    ids=str,
)
def test_what_inversion_reads_makes_new_pictures(change: dict[str, Any]) -> None:
    assert planned().inversions != planned(**change).inversions


def test_a_generator_is_known_by_its_weights_not_by_their_place(tmp_path: Path) -> None:
    first = save_small_generator(tmp_path / "one.safetensors")
    (tmp_path / "two.safetensors").write_bytes(first.read_bytes())
    by_place = [planned(generator={"name": "stylegan3", "weights": str(path)}) for path in sorted(tmp_path.iterdir())]
    assert by_place[0].inversions == by_place[1].inversions != planned().inversions


def test_a_picture_that_stands_for_itself_is_not_inverted(tmp_path: Path) -> None:
    bars = ReferenceSettings(image=str(write_style_pictures(tmp_path) / "bars.png"))
    alone = StyleSettings(name="bars", references=(bars,))
    mixed = StyleSettings(name="both", references=(bars, *FIRE.references))
    assert planned(alone, pictures="keep").inversions == ()
    assert planned(mixed, pictures="keep").inversions == planned(pictures="keep").inversions
    assert len(planned(alone, pictures="invert").inversions) == 1
    assert planned(mixed, pictures="invert").inversions != planned(pictures="invert").inversions
    assert planned(mixed, pictures="keep").digest != planned(mixed, pictures="invert").digest


def test_memory_changes_no_key() -> None:
    assert planned().digest == planned(pictures_at_once=1).digest


def test_defaults_are_the_authors_with_a_real_clip() -> None:
    settings = MmistSettings(clip="ViT-B-32/openai")
    assert (settings.starts, settings.steps, settings.learning_rate) == (128, 41, 0.05)
    assert (settings.crops, settings.crop_size, settings.size) == (64, 256, 512)
    assert (settings.representations, settings.contents) == (8, 1)
    assert (settings.pictures, MmistSettings().pictures) == ("invert", "keep")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"generator": "stylegan2"}, "generator"),
        ({"render_with": "clipstyler"}, "render_with"),
        ({"render_with": {"name": "adain", "strenght": 1}}, "strenght"),
        ({"steps": 0}, "steps"),
    ],
    ids=str,
)
def test_what_is_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        MmistSettings(**settings)


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(RequestError, match=r"nowhere\.safetensors"):
        planned(generator={"name": "stylegan3", "weights": "/nowhere.safetensors"})
