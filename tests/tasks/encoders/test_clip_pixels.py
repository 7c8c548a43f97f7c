"""Preparation of pictures for CLIP, held to open_clip's own transforms over Pillow."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch.testing import assert_close
from torchvision.transforms import Normalize, ToTensor

from tasks.encoders.clip_pixels import PIXELS_AT_ONCE, Preprocessing, Taps, _group
from tasks.images.fitting import Pixels

SIZES = [(512, 384), (300, 300), (48, 48), (64, 64), (17, 23), (1, 37), (37, 1), (1, 1), (40, 900), (900, 40), (49, 48)]
MODES: dict[str, dict[str, Any]] = {
    "shortest": {},
    "squash": {"resize_mode": "squash"},
    "longest": {"resize_mode": "longest", "fill_color": 77},
    "bilinear": {"interpolation": "bilinear"},
    "oblong": {"size": (48, 80)},
    "oblong-squash": {"size": (48, 80), "resize_mode": "squash", "interpolation": "bilinear"},
    "oblong-longest": {"size": (80, 48), "resize_mode": "longest"},
}


def noise(height: int, width: int) -> Pixels:
    """Black, white and anything between, where rounding and clipping show."""
    generator = np.random.default_rng(height * 1000 + width)
    return generator.choice([0, 255, 255, 0, 90, 200], (height, width, 3)).astype(np.uint8)


def with_pillow(cfg: PreprocessCfg, picture: Pixels) -> Pixels:
    """What open_clip's transform gives before it becomes a tensor."""
    image = Image.fromarray(picture)
    for step in image_transform_v2(cfg, is_train=False).transforms:
        if not isinstance(step, (ToTensor, Normalize)):
            image = step(image)
    return np.asarray(image)


@pytest.fixture
def rows_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of passes of every Pillow up to 12; from 13 on it depends on the sizes."""
    resize = Image.Image.resize

    def in_two_passes(image: Image.Image, size: tuple[int, int], resample: int) -> Image.Image:
        return resize(resize(image, (size[0], image.height), resample), size, resample)

    monkeypatch.setattr(Image.Image, "resize", in_two_passes)


def with_ours(cfg: PreprocessCfg, picture: Pixels) -> Pixels:
    fitted_13hw = Preprocessing.read(asdict(cfg)).fit(torch.tensor(picture).permute(2, 0, 1)[None])
    return fitted_13hw[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_those_of_the_pillow_path(rows_first: None, mode: str, size: tuple[int, int]) -> None:
    cfg = PreprocessCfg(**{"size": 48, **MODES[mode]})
    if mode.endswith("longest") and min(size) * max(cfg.input_size[1:]) < max(size):
        pytest.skip("Pillow refuses the empty picture that open_clip asks for")
    picture = noise(*size)
    difference = np.abs(with_ours(cfg, picture).astype(int) - with_pillow(cfg, picture))
    assert difference.max() <= 1  # the bound promised
    assert (difference > 0).mean() < 1e-3  # and what integer arithmetic gives beyond it: none here


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(48, 48), (300, 300), (1, 37), (1, 1), (17, 23), (341, 512), (40, 900)], ids=str)
def test_pixels_of_square_and_wide_pictures_are_those_of_the_installed_pillow(mode: str, size: tuple[int, int]) -> None:
    """Tall ones are left to the test above: from Pillow 13 on some are resized columns first."""
    cfg = PreprocessCfg(**{"size": 48, **MODES[mode]})
    if mode.endswith("longest") and min(size) * max(cfg.input_size[1:]) < max(size):
        pytest.skip("Pillow refuses the empty picture that open_clip asks for")
    picture = noise(*size)
    assert np.abs(with_ours(cfg, picture).astype(int) - with_pillow(cfg, picture)).max() <= 1


def test_a_side_that_would_vanish_is_kept_as_one_pixel() -> None:
    cfg = PreprocessCfg(size=48, resize_mode="longest")
    assert with_ours(cfg, noise(1, 900)).shape == (48, 48, 3)


def test_a_very_long_picture_costs_no_more_than_its_centre() -> None:
    """Scaled whole, this one would be 48 x 393,216 pixels; its centre reads no more than a few of the source."""
    picture = np.zeros((8192, 1, 3), np.uint8)
    picture[4000:4192] = 200
    assert (with_ours(PreprocessCfg(size=48), picture) == 200).all()
    assert Taps("bicubic", 8192, 8192 * 48, 8192 * 24 - 24, 48).reach() == (4094, 4098)


def test_inputs_are_normalized_as_open_clip_normalizes_them() -> None:
    cfg = PreprocessCfg(size=48, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    picture = noise(60, 70)
    expected_3hw = image_transform_v2(cfg, is_train=False)(Image.fromarray(picture))
    inputs_13hw = Preprocessing.read(asdict(cfg)).prepare([picture], "cpu")
    assert (inputs_13hw[0] - expected_3hw).abs().max() <= 1.001 / 255 / 0.2
    assert_close(inputs_13hw[0].mean(), expected_3hw.mean(), atol=1e-3, rtol=0)


def test_groups_hold_one_size_and_a_bounded_number_of_pixels() -> None:
    side = 1 << 11
    groups = _group([(side, side)] * 6 + [(10, 10), (side, side), (3 * side, 3 * side)])
    assert sorted(row for group in groups for row in group) == list(range(9))
    assert [6] in groups
    assert max(len(group) for group in groups) == PIXELS_AT_ONCE // side**2
