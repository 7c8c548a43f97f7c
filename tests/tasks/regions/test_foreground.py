"""What stands out in a content, from its own pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.images.fitting import Pixels
from tasks.regions.foreground import split_foreground


def scene(height: int, width: int, color: tuple[int, int, int], seed: int = 0) -> tuple[Pixels, Pixels]:
    """A disc on a mottled ground that grows lighter downwards, and where the disc is."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 1))
    ground = np.array([90, 110, 90]) + 50 * (rows / height)[..., None] + noise
    disc = (rows - height * 0.55) ** 2 + (columns - width * 0.45) ** 2 < (0.25 * min(height, width)) ** 2
    picture = np.where(disc[..., None], np.array(color) + noise, ground)
    return picture.clip(0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("color", [(220, 60, 40), (20, 20, 30), (245, 245, 240)], ids=["red", "dark", "light"])
@pytest.mark.parametrize("size", [(120, 180), (400, 300)], ids=str)
def test_an_object_is_found_to_its_edge(color: tuple[int, int, int], size: tuple[int, int]) -> None:
    picture, disc = scene(*size, color)
    found = split_foreground(picture) > 127
    assert (found & disc).sum() / (found | disc).sum() > 0.9


def test_the_same_pixels_give_the_same_mask() -> None:
    picture, _ = scene(90, 120, (220, 60, 40))
    assert np.array_equal(split_foreground(picture), split_foreground(picture.copy()))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3000, 40), (64, 64)], ids=str)
def test_where_nothing_stands_out_all_is_background(size: tuple[int, int]) -> None:
    found = split_foreground(np.full((*size, 3), 255, np.uint8))
    assert found.shape == size
    assert not found.any()


def test_noise_of_any_shape_gives_a_mask_of_its_size() -> None:
    for size in ((2, 2), (5, 400), (700, 600)):
        noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        assert split_foreground(noise).shape == size
