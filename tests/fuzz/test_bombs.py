"""Each bomb alone: refused soon, in a sentence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tasks.images.decoding import read_picture
from tasks.images.settings import ImageSettings
from tasks.plain_yaml import read_yaml
from tasks.records import ImageError
from tests.fuzz import jobs, pictures, weights
from tests.fuzz.mutations import FOREIGN

PHOTOGRAPHS = (b"\xff\xd8", b"\x89PNG", b"RIFF")  # how JPEG, PNG and WebP begin
SOON = 10.0  # seconds, on a busy machine: unrefused, these take minutes, or all the memory there is
# Tensors all the same, of one number and of none; of no network of ours.
ODD = {"a million dimensions", "a shape of nothing"}
# Small pictures, whatever else is in their files; the rest never comes out of them.
HARMLESS = {
    "a PNG whose 64 MB of zeros are no picture",
    "a GIF of 20,000 frames",
    "a TIFF that goes round",
}


@pytest.mark.parametrize("bomb", jobs.YAML_BOMBS)
def test_a_hostile_job_is_refused_soon_and_runs_nothing(
    bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "job.yaml"
    path.write_text(jobs.YAML_BOMBS[bomb], encoding="utf-8")
    started = time.monotonic()
    assert jobs.read(path) == "refused"
    assert time.monotonic() - started < SOON
    assert [found.name for found in tmp_path.iterdir()] == ["job.yaml"]


def test_aliases_that_save_typing_are_welcome() -> None:
    text = (
        "base: &base {name: adain, alpha: 0.5}\nstyles:\n- {name: a, method: *base}\n- {name: b, method: {<<: *base}}"
    )
    first, second = read_yaml(text)["styles"]
    assert first["method"] == second["method"] == {"name": "adain", "alpha": 0.5}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("bomb", pictures.BOMBS)
def test_a_picture_that_swells_is_small_or_refused_soon(bomb: str) -> None:
    data, started = pictures.BOMBS[bomb](), time.monotonic()
    try:
        outcome = read_picture(data, ImageSettings(size="keep")).pixels_HWC.size
    except ImageError:
        outcome = 0
    assert (outcome > 0) == (bomb in HARMLESS)
    assert outcome < 1000
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_picture_that_is_something_else_too_is_only_a_picture(foreign: bytes) -> None:
    """What comes out are its pixels, encoded anew: nothing of the other file is left in them."""
    for seed in (one for one in pictures.make_seeds() if one.startswith(PHOTOGRAPHS)):
        expected = read_picture(seed, ImageSettings(size="keep")).pixels_HWC
        assert (read_picture(seed + foreign, ImageSettings(size="keep")).pixels_HWC == expected).all()


@pytest.mark.parametrize("bomb", weights.BOMBS)
def test_hostile_weights_are_refused_soon_and_run_nothing(
    bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    outcome = weights.read(weights.BOMBS[bomb], ".pt", weights.load_tensors)
    assert outcome == ("read" if bomb in ODD else "refused")
    assert weights.read(weights.BOMBS[bomb], ".pkl", weights.import_weights) == "refused"
    assert time.monotonic() - started < SOON
    assert list(tmp_path.iterdir()) == []
