"""What an actor keeps: representations computed when they are missing, style pictures a few at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.actors import representing
from tasks.actors.loaded import Loaded
from tasks.records import RequestError
from tasks.styles import PlannedStyle
from tests.tasks.actors.making import load, make_order, plan_styles, stylize, write_style_pictures


def test_a_lost_representation_is_computed_again(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(photos, styles)
    stylize(load(tmp_path / "one"), order)
    kept = sorted((tmp_path / "one" / "representations").rglob("*.safetensors"))
    assert [path.stem for path in kept] == sorted(style.representation for style in styles)
    before = [path.read_bytes() for path in kept]
    for path in kept:
        path.unlink()
    assert load(tmp_path / "one").represent(styles) == 2
    assert [path.read_bytes() for path in kept] == before
    assert load(tmp_path / "one").represent(styles) == 0


def test_style_pictures_are_loaded_a_bounded_number_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = plan_styles(write_style_pictures(tmp_path / "art"))
    monkeypatch.setattr(representing, "STYLE_BYTES", 0)
    assert [len(batch) for batch in representing.load_in_batches(styles)] == [1, 1]


def test_a_style_picture_that_went_bad_is_named(tmp_path: Path) -> None:
    art = write_style_pictures(tmp_path / "art")
    styles = plan_styles(art)
    (art / "bars.png").write_bytes(b"words")
    with pytest.raises(RequestError, match=r"'bars'.*bars\.png"):
        Loaded.represent(load(tmp_path / "out"), styles)
