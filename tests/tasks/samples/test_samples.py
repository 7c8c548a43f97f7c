"""The sample photographs and the drawn styles: enough of them, different, and the same every time."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tasks.images.decoding import decode
from tasks.samples.photographs import (
    neutral_digest,
    neutral_photographs,
    sample_photographs,
    write_photographs,
)
from tasks.samples.styles import DEMO_STYLES, STYLES, style_pictures, write_styles


def test_there_are_24_different_photographs() -> None:
    photographs = dict(sample_photographs())
    assert len(photographs) == 24
    assert len({pixels.shape for pixels in photographs.values()}) > 12
    for pixels in photographs.values():
        assert pixels.dtype == np.uint8
        assert min(pixels.shape[:2]) >= 170
        assert pixels.std() > 10


def test_photographs_are_written_and_read_back(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path / "photos", count=3)
    assert [path.stem for path in paths] == [name for name, _ in sample_photographs(3)]
    for path, (_, pixels) in zip(paths, sample_photographs(3), strict=True):
        assert np.abs(decode(path.read_bytes()).astype(int) - pixels).mean() < 4


def test_the_neutral_photographs_are_the_sample_set() -> None:
    assert len(neutral_photographs()) == 24
    assert neutral_digest() == neutral_digest.__wrapped__()
    assert len(neutral_digest()) == 64


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_drawn_the_same_twice_over_the_whole_canvas(name: str) -> None:
    first, second = (style_pictures((name,))[name] for _ in range(2))
    assert (first == second).all()
    assert first.shape == (576, 576, 3)
    # Statistics of features see texture only where there is some: every large tile must have it, save bare sky.
    tiles = first.astype(float).reshape(6, 96, 6, 96, 3).std(axis=(1, 3)).mean(axis=-1)
    assert (tiles > 4).mean() > 0.8


def test_styles_differ_in_their_colours(tmp_path: Path) -> None:
    paths = write_styles(tmp_path, DEMO_STYLES)
    assert [path.name for path in paths] == [f"{name}.jpg" for name in DEMO_STYLES]
    means = [decode(path.read_bytes()).reshape(-1, 3).mean(axis=0) for path in paths]
    assert all(np.abs(one - other).max() > 10 for one, other in combinations(means, 2))
