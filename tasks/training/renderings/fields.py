"""Planes that several renderers share: cloudy noise, streaks, ridges, vignettes, scattered discs.

Dimension key: H height, W width, C channels (RGB). Planes are float32 HW.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.training.renderings.canvas import Generator, Picture, Plane, coordinates, noise, resize


def size(picture_HW3: Picture) -> tuple[int, int]:
    return picture_HW3.shape[0], picture_HW3.shape[1]


def fractal(shape: tuple[int, int], scale: float, rng: Generator) -> Plane:
    """Cloudy noise about 0.5: three octaves from `scale` pixels down."""
    octaves = [noise(shape, max(scale / 2**k, 2), rng) / 2**k for k in range(3)]
    return np.asarray(sum(octaves) / 1.75, np.float32)


def streaks(shape: tuple[int, int], down: float, right: float, rng: Generator) -> Plane:
    """Noise in [0, 1] whose blobs measure `down` by `right` pixels."""
    small = rng.random((max(2, round(shape[0] / down)), max(2, round(shape[1] / right))), dtype=np.float32)
    return resize(small, shape)


def ridges(shape: tuple[int, int], scale: float, rng: Generator, sharpness: float = 6.0) -> Plane:
    """Thin winding lines, 1 on the line: where cloudy noise crosses its middle."""
    return np.exp(-sharpness * np.abs(fractal(shape, scale, rng) - 0.5) * 4).astype(np.float32)


def radius(shape: tuple[int, int], centre: tuple[float, float] = (0.5, 0.5)) -> Plane:
    """Distance from the centre (given as shares of height and width), 1 at half the shorter side."""
    rows, columns = coordinates(shape)
    distance = np.hypot(rows - centre[0] * shape[0], columns - centre[1] * shape[1])
    return (distance / (min(shape) / 2)).astype(np.float32)


def discs(shape: tuple[int, int], count: int, sizes: tuple[float, float], rng: Generator) -> Plane:
    """1 inside discs strewn at random, radii in pixels, smooth at the rim."""
    image = Image.new("L", (shape[1] * 2, shape[0] * 2))
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        y, x, r = rng.uniform(0, 2 * shape[0]), rng.uniform(0, 2 * shape[1]), 2 * rng.uniform(*sizes)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return plane(np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float32) / 255)


def in_grey(plane_HW: Plane) -> Picture:
    """The plane as a picture, clipped to [0, 1]."""
    return np.clip(np.repeat(plane_HW[..., None], 3, -1), 0, 1).astype(np.float32)


def plane(values_HW: NDArray[Any]) -> Plane:
    """The values as float32."""
    return np.asarray(values_HW, np.float32)
