"""The marks that drawings and prints are made of: strokes, hatching, dots, ink on paper.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tasks.training.renderings import canvas
from tasks.training.renderings.canvas import Colour, Generator, Picture, Plane


def tone(picture_HW3: Picture) -> Plane:
    """The picture's luminance, stretched to [0, 1]."""
    return canvas.equalise(canvas.luminance(picture_HW3))


def strokes(shape: tuple[int, int], across: float, along: float, angle: float, rng: Generator) -> Plane:
    """Noise in [0, 1] drawn out along `angle` (radians): marks `across` pixels wide and `along` long."""
    rows, columns = canvas.coordinates(shape)
    u = (rows * np.cos(angle) - columns * np.sin(angle)) / across
    v = (rows * np.sin(angle) + columns * np.cos(angle)) / along
    table = rng.random((97, 97), dtype=np.float32)
    # Each stroke starts elsewhere, so that those side by side do not end alike.
    shifted = v + 97 * rng.random(97)[np.floor(u).astype(np.int64) % 97]
    return np.asarray(ndimage.map_coordinates(table, [u, shifted], order=1, mode="grid-wrap"), np.float32)


def hatching(darkness_HW: Plane, spacing: float, angle: float, wobble: Plane | float = 0.0) -> Plane:
    """1 on parallel lines whose width grows with the darkness, 0 between them; about a pixel soft at the edges."""
    distance = canvas.stripes((darkness_HW.shape[0], darkness_HW.shape[1]), spacing, angle, wobble)
    drawn = np.clip((np.clip(darkness_HW, 0, 1) - distance) * spacing / 2 + 0.5, 0, 1) * (darkness_HW > 0.03)
    return drawn.astype(np.float32)


def dots(darkness_HW: Plane, spacing: float, angle: float) -> Plane:
    """1 in round dots on a turned grid, their area the darkness (a halftone screen)."""
    shape = (darkness_HW.shape[0], darkness_HW.shape[1])
    distance = np.hypot(canvas.stripes(shape, spacing, angle), canvas.stripes(shape, spacing, angle + np.pi / 2))
    radius = 1.25 * np.sqrt(np.clip(darkness_HW, 0, 1)) * (darkness_HW > 0.02)
    return np.clip((radius - distance) * spacing / 2 + 0.5 * (radius > 0), 0, 1).astype(np.float32)


def contours(plane_HW: Plane, sigma: float, level: float = -0.012, slope: float = 90.0) -> Plane:
    """1 on the lines round shapes, 0 elsewhere, no shading."""
    return 1 - canvas.ink_lines(plane_HW, sigma, 1.0, level, slope)


def calm(picture_HW3: Picture, radius: float) -> Picture:
    """Flat dabs with firm edges, of a radius of at least two pixels."""
    return canvas.kuwahara(picture_HW3, max(2, round(radius)))


def wander(shape: tuple[int, int], reach: float, scale: float, rng: Generator) -> tuple[Plane, Plane]:
    """Rows and columns to displace by, at most `reach`, in waves about `scale` pixels long: an unsteady edge."""
    down, right = (2 * reach * (canvas.noise(shape, scale, rng) - 0.5) for _ in range(2))
    return down.astype(np.float32), right.astype(np.float32)


def inked(share_HW: Plane, ink: Colour, ground: Colour, rng: Generator, roughness: float = 0.06) -> Picture:
    """One ink on paper: the ink where the share is 1."""
    shape = (share_HW.shape[0], share_HW.shape[1])
    return canvas.mix(canvas.colour_paper(shape, ground, rng, roughness), ink, share_HW)


def pick(choices: tuple[Colour, ...], rng: Generator, spread: float = 0.03) -> Colour:
    """One of the colours, a little off."""
    colour = np.clip(np.array(choices[rng.integers(len(choices))]) + rng.uniform(-spread, spread, 3), 0, 1)
    return float(colour[0]), float(colour[1]), float(colour[2])
