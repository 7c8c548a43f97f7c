"""Pictures that a method inverts: once for all styles and renderers that read them, and again where they got lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tasks.expansion import expand_styles
from tasks.methods.mmist.settings import MmistSettings
from tasks.paths import PathSettings
from tasks.store import RepresentationStore
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.styles import PlannedStyle, plan_style
from tests.tasks.actors.making import load, write_style_pictures
from tests.tasks.methods.conftest import few_pictures

FIRE, INK = (StyleSettings(name=name, references=(ReferenceSettings(text=name),)) for name in ("fire", "ink"))


def plan(*styles: StyleSettings | PathSettings, **settings: Any) -> list[PlannedStyle]:
    method = few_pictures(representations=1, render_with=settings.pop("render_with", "adain"), **settings)
    return [plan_style(style, method) for style in expand_styles(styles)]


def inverted(folder: Path) -> dict[str, list[int]]:
    """Inverted pictures by key."""
    found = (folder / "representations" / MmistSettings.inversions).glob("*.safetensors")
    return {path.stem: load_file(path)["pictures"].flatten().tolist() for path in found}


def test_a_path_costs_the_inversions_of_its_ends(tmp_path: Path) -> None:
    styles = plan(FIRE, PathSettings(path=("fire", "ink"), steps=3), INK)
    assert load(tmp_path).represent(styles) == 5
    assert inverted(tmp_path).keys() == {*styles[0].inversions, *styles[-1].inversions}


@pytest.mark.parametrize(("pictures", "inversions"), [("keep", 1), ("invert", 3)])
def test_pictures_stand_for_themselves_or_are_inverted_with_the_texts(
    tmp_path: Path, pictures: str, inversions: int
) -> None:
    """One text, alone, and mixed with a picture at the end of a path; that picture alone."""
    bars = ReferenceSettings(image=str(write_style_pictures(tmp_path / "art") / "bars.png"))
    both = StyleSettings(name="both", references=(*FIRE.references, bars))
    alone = StyleSettings(name="bars", references=(bars,))
    path = PathSettings(path=("fire", "both"), steps=1)
    styles = plan(FIRE, both, path, alone, pictures=pictures, render_with="adaattn")
    assert load(tmp_path).represent(styles) == 4
    assert len(inverted(tmp_path)) == inversions
    store = RepresentationStore(str(tmp_path / "representations"))
    weights = [store.get("mmist", style.representation).tensors["weights"].tolist() for style in styles]
    assert weights[2] == pytest.approx([0.5, 0.25, 0.25] if pictures == "keep" else [0.5, 0.5])


def test_another_renderer_inverts_nothing(tmp_path: Path) -> None:
    load(tmp_path).represent(plan(FIRE))
    before = inverted(tmp_path)
    actor, styles = load(tmp_path), plan(FIRE, render_with="adaattn")
    method = actor.method(styles[0])
    assert actor.represent(styles) == 1
    assert inverted(tmp_path) == before
    assert "_inverter" not in vars(method)  # neither CLIP nor a generator was opened


def test_lost_pictures_are_inverted_again(tmp_path: Path) -> None:
    styles = plan(FIRE)
    load(tmp_path).represent(styles)
    before = inverted(tmp_path)
    for path in (tmp_path / "representations").rglob("*.safetensors"):
        path.unlink()
    assert load(tmp_path).represent(styles) == 1
    assert inverted(tmp_path) == before


@pytest.mark.timeout(60)
def test_a_store_whose_lists_are_late_computes_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RepresentationStore, "keys", lambda *_: set())
    styles = plan(FIRE, INK)
    assert load(tmp_path).represent(styles) == 2
    assert load(tmp_path).represent(styles) == 0


def test_pictures_that_another_process_is_inverting_are_waited_for(tmp_path: Path) -> None:
    """It dies: its lease runs out, and they are inverted here."""
    styles = plan(FIRE)
    actor = load(tmp_path)
    actor.store.lease_seconds = 2.0
    name, key = MmistSettings.inversions, styles[0].inversions[0]
    assert actor.store._take(name, key, "a process that died")
    assert actor.represent(styles) == 1
    assert list(inverted(tmp_path)) == [key]


def test_steps_between_two_styles_mix_the_pictures_of_both(tmp_path: Path) -> None:
    styles = plan(FIRE, PathSettings(path=("fire", "ink"), steps=1), INK, render_with="adaattn")
    load(tmp_path).represent(styles)
    store = RepresentationStore(str(tmp_path / "representations"))
    start, middle, end = (store.get("mmist", style.representation).tensors for style in styles)
    assert torch.equal(middle["picture0"], start["picture0"])
    assert torch.equal(middle["picture1"], end["picture0"])
    assert middle["weights"].tolist() == pytest.approx([0.5, 0.5])
