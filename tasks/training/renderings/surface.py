"""Strokes of a brush, the grain a stroke follows, and light that falls across a surface.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Labels,
    Picture,
    Plane,
    blur,
    cells,
    coordinates,
    gradient,
    luminance,
)


def flow(picture_HW3: Picture, sigma: float) -> Plane:
    """The angle, in radians, along which the picture changes least (from the smoothed structure tensor)."""
    down, right = gradient(luminance(picture_HW3), 1.0)
    cross, unlike = blur(down * right, sigma), blur(right * right - down * down, sigma)
    return (0.5 * np.arctan2(2 * cross, unlike) + np.pi / 2).astype(np.float32)


def strokes(
    ground_HW3: Picture,
    source_HW3: Picture,
    angle_HW: Plane,
    rng: Generator,
    size: tuple[float, float],
    coverage: float = 1.5,
    jitter: float = 0.05,
) -> Picture:
    """Straight strokes of `size` (length, width) along the angle, each in one colour of the source.

    `coverage` is the strokes' area over the picture's; `jitter` the deviation of their colours.
    """
    height, width = ground_HW3.shape[:2]
    length, thickness = size
    count = int(coverage * height * width / (length * thickness))
    row, column = rng.integers(0, height, count), rng.integers(0, width, count)
    light = rng.normal(0, jitter, (count, 1)) + rng.normal(0, jitter * 0.5, (count, 3))
    colours = (np.clip(source_HW3[row, column] + light, 0, 1) * 255).astype(np.uint8)
    turn = angle_HW[row, column] + rng.normal(0, 0.15, count)
    reach = length / 2 * rng.uniform(0.7, 1.2, count)
    across, down = reach * np.cos(turn), reach * np.sin(turn)
    ends = np.stack([column - across, row - down, column + across, row + down], -1)
    image = Image.fromarray((np.clip(ground_HW3, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    broad = max(1, round(thickness))
    for line, colour in zip(ends.tolist(), colours.tolist(), strict=True):
        pen.line(line, tuple(colour), broad)
    return np.asarray(image, np.float32) / np.float32(255)


def shade(height_HW: Plane, towards: float, strength: float) -> Plane:
    """Brightness, 1 where level, of a surface lit along the angle `towards`."""
    down, right = np.gradient(height_HW)
    return np.clip(1 + strength * (np.cos(towards) * right + np.sin(towards) * down), 0, 2).astype(np.float32)


def lit(picture_HW3: Picture, brightness_HW: Plane) -> Picture:
    """Multiplied where darker than 1, screened towards white where brighter."""
    light = brightness_HW[..., None]
    return np.where(light < 1, picture_HW3 * light, 1 - (1 - picture_HW3) * (2 - light)).astype(np.float32)


def broad_cells(shape: tuple[int, int], size: float, rng: Generator) -> Labels:
    """Cells like canvas.cells', found at half the resolution, a quarter of the time: for large ones."""
    half = cells(((shape[0] + 1) // 2, (shape[1] + 1) // 2), size / 2, rng)
    return half.repeat(2, 0).repeat(2, 1)[: shape[0], : shape[1]]


def canvas_weave(shape: tuple[int, int], spacing: float) -> Plane:
    """The threads of a painter's canvas, in [-1, 1]."""
    rows, columns = coordinates(shape)
    return (np.sin(rows * np.pi / spacing) * np.sin(columns * np.pi / spacing)).astype(np.float32)


def choose(options: Sequence[Sequence[Colour]], rng: Generator) -> Sequence[Colour]:
    """One of several palettes."""
    return options[int(rng.integers(len(options)))]
