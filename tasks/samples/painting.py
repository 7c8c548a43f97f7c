"""What the drawn styles share: noise, palettes, brush strokes that follow a field, light on thick paint.

Dimension key: H height, W width, C channels (RGB). Colours and values are floats in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.images.fitting import Pixels

Floats = NDArray[np.floating[Any]]

SIDE = 576


@dataclass(frozen=True)
class Brush:
    """A stroke's length and width in pixels, the spacing of strokes, and how far their colours stray."""

    length: float
    width: float
    spacing: float
    bristles: int = 4
    stray: float = 0.06
    wander: float = 0.15


def grid() -> tuple[Floats, Floats]:
    """x to the right and y downwards, each in [0, 1]."""
    places = np.linspace(0.0, 1.0, SIDE)
    across_HW, down_HW = np.meshgrid(places, places)
    return across_HW, down_HW


def cloud(rng: np.random.Generator, cells: float, octaves: int = 4, stretch: float = 1.0) -> Floats:
    """Smooth noise in [0, 1] of some cells a side; `stretch` makes it that many times wider than high."""
    total_HW = np.zeros((SIDE, SIDE))
    for octave in range(octaves):
        rows, columns = round(cells * 2**octave) + 1, round(cells * 2**octave / stretch) + 1
        coarse = Image.fromarray(rng.random((rows, max(2, columns))).astype(np.float32))
        total_HW += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 2**octave
    return rescale(total_HW)


def rescale(values_HW: Floats) -> Floats:
    """Values brought to [0, 1]."""
    low, high = values_HW.min(), values_HW.max()
    return (values_HW - low) / max(high - low, 1e-9)


def ramp(values_HW: Floats, *colours: str) -> Floats:
    """Colours (as `#rrggbb`) blended evenly over values from 0 to 1."""
    stops = np.linspace(0.0, 1.0, len(colours))
    table = np.array([rgb(colour) for colour in colours])
    return np.stack([np.interp(values_HW, stops, table[:, channel]) for channel in range(3)], axis=-1)


def rgb(colour: str) -> Floats:
    """A `#rrggbb` colour as three floats."""
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def blend(under_HWC: Floats, over_HWC: Floats, alpha_HW: Floats) -> Floats:
    """One picture over another."""
    return under_HWC + (over_HWC - under_HWC) * np.clip(alpha_HW, 0, 1)[..., None]


def soft_step(values_HW: Floats, edge: float, softness: float) -> Floats:
    """0 below an edge and 1 above it, smooth over twice the softness."""
    t = np.clip((values_HW - edge) / (2 * softness) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def stroke_over(
    rng: np.random.Generator, canvas_HWC: Floats, colours_HWC: Floats, angles_HW: Floats, brush: Brush
) -> Floats:
    """Paint strokes over a canvas, coloured by one picture and turned along a field of angles."""
    starts = _scatter(rng, brush.spacing)
    paths = _trace(starts, angles_HW + rng.normal(0, brush.wander, angles_HW.shape), brush)
    rows, columns = starts[:, 1].astype(int), starts[:, 0].astype(int)
    shades = colours_HWC[rows, columns] + rng.normal(0, brush.stray, (len(starts), 1))
    shades = shades + rng.normal(0, brush.stray / 2, (len(starts), 3))
    image = Image.fromarray(to_pixels(canvas_HWC))
    draw = ImageDraw.Draw(image)
    thickness = max(1, round(1.4 * brush.width / brush.bristles))
    tints = rng.normal(0, brush.stray, (len(starts), brush.bristles))
    for path, shade, tint in zip(paths, shades, tints, strict=True):
        levels = np.clip((shade + tint[:, None]) * 255, 0, 255).astype(int)
        for bristle in range(brush.bristles):
            draw.line(path[bristle], fill=tuple(levels[bristle]), width=thickness)
    return np.asarray(image) / 255


def light(colours_HWC: Floats, strength: float) -> Floats:
    """Light from the upper left on paint whose thickness follows its brightness."""
    height_HW = colours_HWC.mean(axis=-1)
    slope_HW = np.gradient(height_HW, axis=0) + np.gradient(height_HW, axis=1)
    return np.clip(colours_HWC + strength * slope_HW[..., None], 0, 1)


def draw_polygons(canvas_HWC: Floats, polygons: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Fill polygons (points in pixels, colour) in order, with smooth edges."""
    scale = 3
    image = Image.fromarray(to_pixels(canvas_HWC)).resize((scale * SIDE, scale * SIDE))
    draw = ImageDraw.Draw(image)
    for points, colour in polygons:
        level = tuple(np.clip(colour * 255, 0, 255).astype(int).tolist())
        draw.polygon((points * scale).ravel().tolist(), fill=level)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255


def to_pixels(colours_HWC: Floats) -> Pixels:
    """Floats in [0, 1] as uint8."""
    return (np.clip(colours_HWC, 0, 1) * 255 + 0.5).astype(np.uint8)


def _scatter(rng: np.random.Generator, spacing: float) -> Floats:
    """Jittered grid of starts (x, y), shuffled."""
    count = int(SIDE / spacing)
    across, down = np.meshgrid(np.arange(count), np.arange(count))
    points = np.stack([across.ravel(), down.ravel()], axis=1) + rng.random((count * count, 2))
    return rng.permutation(np.clip(points * spacing, 0, SIDE - 1))


def _trace(starts: Floats, angles_HW: Floats, brush: Brush) -> list[list[list[float]]]:
    """For each start, and each bristle, the corner points of its path, flat: x, y, x, y, ..."""
    steps = 5
    points = [starts]
    for _ in range(steps):
        place = np.clip(points[-1], 0, SIDE - 1).astype(int)
        turn = angles_HW[place[:, 1], place[:, 0]]
        points.append(points[-1] + brush.length / steps * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    path = np.stack(points, axis=1)
    along = np.gradient(path, axis=1)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    offsets = (np.arange(brush.bristles) - (brush.bristles - 1) / 2) * brush.width / brush.bristles
    bristles = path[:, None] + offsets[None, :, None, None] * normal[:, None]
    flat: list[list[list[float]]] = bristles.reshape(len(starts), brush.bristles, -1).tolist()
    return flat
