"""Textures drawn from nothing: stripes, bricks, wood, marble, scales, clouds.

Dimension key: H height, W width. Each texture takes a shape, two colours and a generator, and gives a picture float32
HW3 in [0, 1]. The first colour is the ground, the second what lies on it. Palettes and named colours: `palettes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Plane,
    blur,
    borders,
    cells,
    coordinates,
    displace,
    grain,
    mix,
    noise,
    ramp,
    stripes,
    unit,
)
from tasks.training.renderings.fields import fractal, plane, streaks

Colours = tuple[Colour, Colour]


@dataclass(frozen=True)
class Texture:
    """A pattern that needs no photograph, and the phrases that name it; no training caption holds the `unseen` ones."""

    name: str
    draw: Callable[[tuple[int, int], Colours, Generator], Picture]
    phrases: tuple[str, ...]
    unseen: tuple[str, ...]


def _soft(plane_HW: NDArray[Any], sharpness: float = 6.0) -> Plane:
    """A share in [0, 1] from a signed plane: 0 becomes 0.5."""
    return np.clip(plane_HW * sharpness + 0.5, 0, 1).astype(np.float32)


def _shade(picture_HW3: Picture, light_HW: Plane) -> Picture:
    return np.clip(picture_HW3 * light_HW[..., None], 0, 1).astype(np.float32)


def _grid(shape: tuple[int, int], side: float, rng: Generator) -> tuple[Plane, Plane]:
    """Rows and columns counted in cells of `side` (for a picture of 192), from a random start."""
    rows, columns = coordinates(shape)
    step = side * unit(shape)
    return rows / step + rng.uniform(0, 2), columns / step + rng.uniform(0, 2)


def draw_stripes(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    wave_HW = stripes(shape, rng.uniform(12, 36) * unit(shape), rng.choice([0, np.pi / 2, np.pi / 4, -np.pi / 4]))
    return ramp(_soft(wave_HW - 0.5, 5), colours)


def draw_checks(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    down_HW, right_HW = _grid(shape, rng.uniform(12, 28), rng)
    return ramp(plane((np.floor(down_HW) + np.floor(right_HW)) % 2), colours)


def draw_dots(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    down_HW, right_HW = _grid(shape, rng.uniform(16, 32), rng)
    aside_HW = right_HW + 0.5 * (np.floor(down_HW) % 2)
    away_HW = np.hypot(down_HW % 1 - 0.5, aside_HW % 1 - 0.5)
    return ramp(_soft(rng.uniform(0.24, 0.36) - away_HW, 14), colours)


def draw_bricks(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Bricks in the second colour, mortar in the first."""
    down_HW, right_HW = _grid(shape, rng.uniform(11, 18), rng)
    across_HW = right_HW / 2.2 + 0.5 * (np.floor(down_HW) % 2)
    gap_HW = np.minimum(np.minimum(down_HW % 1, 1 - down_HW % 1), 2.2 * np.minimum(across_HW % 1, 1 - across_HW % 1))
    each = rng.uniform(0.72, 1.08, 997)[(np.floor(down_HW) * 31 + np.floor(across_HW)).astype(np.int64) % 997]
    rough_HW = 1 + 0.06 * grain(shape, rng)
    drawn = ramp(_soft(gap_HW - 0.1, 14), colours)
    return _shade(drawn, np.where(gap_HW > 0.1, each, 1) * rough_HW)


def draw_wood(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Rings of a trunk cut lengthwise, fine fibres along them."""
    scale = unit(shape)
    along = streaks(shape, rng.uniform(80, 140) * scale, rng.uniform(26, 40) * scale, rng)
    _, columns = coordinates(shape)
    rings_HW = columns / scale / rng.uniform(14, 24) + 3.5 * along
    share_HW = (rings_HW % 1) ** 2 * 0.75 + 0.25 * streaks(shape, 40 * scale, 1.2 * scale, rng)
    return ramp(share_HW, colours)


def draw_marble(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Veins of the second colour through cloudy stone of the first."""
    scale = unit(shape)
    rows, columns = coordinates(shape)
    angle = rng.uniform(0, np.pi)
    along = (rows * np.cos(angle) + columns * np.sin(angle)) / (rng.uniform(45, 75) * scale)
    turbulence = fractal(shape, 60 * scale, rng) * 3.2
    thin_HW = np.abs(np.sin(np.pi * (1.7 * along + 1.3 * turbulence)))
    veins_HW = np.maximum(1 - np.abs(np.sin(np.pi * (along + turbulence))) * 5.5, 0.6 - thin_HW * 9)
    return ramp(np.clip(veins_HW, 0, 1) + 0.3 * np.clip(fractal(shape, 50 * scale, rng) - 0.4, 0, 1), colours)


def draw_waves(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    rows, columns = coordinates(shape)
    scale = unit(shape)
    swing = rng.uniform(5, 9) * scale * np.sin(columns / scale * 2 * np.pi / rng.uniform(38, 64) + rng.uniform(0, 6))
    phase = 2 * np.pi * (rows + swing) / (rng.uniform(14, 24) * scale)
    return ramp(_soft(plane(np.sin(phase)), 2.2), colours)


def draw_scales(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Rows of overlapping half discs, each dark at its root: the lowest row that covers a pixel wins."""
    down_HW, right_HW = _grid(shape, rng.uniform(22, 36), rng)
    share_HW = np.zeros(shape, np.float32)
    for behind in (1, 0):
        row_HW = np.floor(down_HW * 2) - behind
        across_HW = (right_HW + 0.5 * (row_HW % 2)) % 1 - 0.5
        away_HW = np.hypot(down_HW - row_HW / 2, across_HW) / 0.72
        share_HW = np.where(
            (away_HW < 1) & (share_HW == 0), np.where(away_HW > 0.86, 0.02, 1.05 - 0.75 * away_HW), share_HW
        )
    return ramp(share_HW, colours)


def draw_grass(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Tapering blades that stand and lean, the near ones over the far ones."""
    scale = unit(shape)
    draw = ImageDraw.Draw(image := Image.new("L", (shape[1], shape[0]), 20))
    for foot in np.linspace(0.1, 1.3, 420) * shape[0]:
        x, wide = rng.uniform(-0.1, 1.1) * shape[1], rng.uniform(1.2, 2.6) * scale
        tall, lean = rng.uniform(24, 52) * scale, rng.uniform(-16, 16) * scale
        bend = (x + 0.25 * lean, foot - 0.6 * tall)
        near, far = ((x - wide, foot), (bend[0] - wide, bend[1])), ((bend[0] + wide, bend[1]), (x + wide, foot))
        draw.polygon((*near, (x + lean, foot - tall), *far), fill=int(rng.uniform(40, 255)))
    return ramp(blur(plane(np.asarray(image) / 255), 0.4 * scale), colours)


def draw_clouds(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    scale = unit(shape)
    puffs_HW = fractal(shape, rng.uniform(60, 85) * scale, rng) + 0.45 * fractal(shape, 18 * scale, rng)
    return ramp(_soft(puffs_HW - np.quantile(puffs_HW, rng.uniform(0.4, 0.6)), 2.6), colours)


def draw_sand(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Ripples that wander and join, with a steep side each, and grains."""
    scale = unit(shape)
    wander = 26 * scale * (noise(shape, 55 * scale, rng) + 0.35 * noise(shape, 20 * scale, rng))
    rows, columns = coordinates(shape)
    phase = (rows + wander + columns * rng.uniform(-0.4, 0.4)) / (rng.uniform(9, 14) * scale) % 1
    share_HW = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3)
    return _shade(ramp(0.15 + 0.7 * blur(plane(share_HW), 0.8 * scale), colours), 1 + 0.1 * grain(shape, rng))


def draw_leopard(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Broken rings of the second colour, each about a darker heart."""
    scale = unit(shape)
    labels = cells(shape, rng.uniform(19, 27) * scale, rng, 0.38)
    inside_HW = blur(plane(1 - borders(labels, 6.5 * scale)), 2.4 * scale) + 0.2 * (noise(shape, 9 * scale, rng) - 0.5)
    ring_HW = _soft(0.15 - np.abs(inside_HW - 0.66), 12) * _soft(noise(shape, 10 * scale, rng) - 0.42, 10)
    heart_HW = 0.3 * _soft(inside_HW - 0.8, 10)
    return ramp(np.maximum(ring_HW, heart_HW), colours)


def draw_zigzag(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    down_HW, right_HW = _grid(shape, rng.uniform(22, 40), rng)
    teeth_HW = np.abs(right_HW % 1 - 0.5) * rng.uniform(1.0, 1.6)
    return ramp(_soft(np.abs((down_HW * 1.4 + teeth_HW) % 1 - 0.5) - 0.25, 12), colours)


def draw_hexagons(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Tiles of the second colour, joints of the first: the distance to the nearer of two staggered lattices."""
    down_HW, right_HW = _grid(shape, rng.uniform(18, 30), rng)
    tall = np.sqrt(3)
    away = []
    for shift in (0.0, 0.5):
        y_HW = np.abs((down_HW / tall + shift) % 1 - 0.5) * tall
        x_HW = np.abs((right_HW + shift) % 1 - 0.5)
        away.append(np.maximum(x_HW, 0.5 * x_HW + tall / 2 * y_HW))
    inside_HW = np.minimum(away[0], away[1])
    return ramp(_soft(0.445 - inside_HW, 16) * (1 - 0.35 * inside_HW), colours)


def draw_cracks(shape: tuple[int, int], colours: Colours, rng: Generator) -> Picture:
    """Dry ground of the first colour, cracks of the second."""
    scale = unit(shape)
    labels = cells(shape, rng.uniform(26, 38) * scale, rng, 0.5)
    ragged = [5 * scale * (noise(shape, 7 * scale, rng) - 0.5) for _ in range(2)]
    lines_HW = blur(borders(displace(plane(labels), *ragged).astype(np.int64), max(1.0, 2 * scale)), 0.5 * scale)
    ground = np.broadcast_to(np.array(colours[0], np.float32), (*shape, 3))
    worn_HW = 0.85 + 0.3 * (fractal(shape, 24 * scale, rng) - 0.5) + 0.04 * grain(shape, rng)
    return mix(_shade(ground, worn_HW), colours[1], lines_HW * 1.2)


TEXTURES: tuple[Texture, ...] = (
    Texture(
        "stripes",
        draw_stripes,
        ("stripes", "a striped pattern", "straight parallel stripes", "a pattern of broad stripes"),
        ("a pattern of parallel stripes", "broad straight stripes"),
    ),
    Texture(
        "checks",
        draw_checks,
        ("checks", "a chequerboard", "a checkerboard pattern", "a checked pattern of squares"),
        ("a pattern of checks", "a chequerboard of squares"),
    ),
    Texture(
        "polka-dots",
        draw_dots,
        ("polka dots", "a polka dot pattern", "round dots in rows", "a dotted pattern"),
        ("a pattern of round polka dots", "rows of dots"),
    ),
    Texture(
        "brick-wall",
        draw_bricks,
        ("a brick wall", "bricks and mortar", "rows of bricks", "brickwork"),
        ("a wall of bricks", "brick and mortar"),
    ),
    Texture(
        "wood-grain",
        draw_wood,
        ("wood grain", "a wooden plank", "the grain of wood", "a wooden board texture"),
        ("a board of wood grain", "a grainy wooden board"),
    ),
    Texture(
        "marble",
        draw_marble,
        ("marble", "a slab of veined marble", "polished marble stone", "marble veins"),
        ("veined marble stone", "a marble slab"),
    ),
    Texture(
        "waves",
        draw_waves,
        ("waves", "a wavy pattern", "rolling wavy lines", "a pattern of waves"),
        ("wavy waves in lines", "a pattern of wavy lines"),
    ),
    Texture(
        "scales",
        draw_scales,
        ("scales", "fish scales", "overlapping scales", "a pattern of rounded scales"),
        ("rounded overlapping fish scales", "a pattern of fish scales"),
    ),
    Texture(
        "grass",
        draw_grass,
        ("grass", "blades of grass", "a grassy lawn", "long thin grass blades"),
        ("long grass", "thin blades of grass"),
    ),
    Texture(
        "clouds",
        draw_clouds,
        ("clouds", "soft drifting clouds", "a cloudy sky", "billowing clouds"),
        ("a sky of soft clouds", "a cloudy drifting sky"),
    ),
    Texture(
        "sand-ripples",
        draw_sand,
        ("sand ripples", "rippled sand", "wind-blown sand dunes", "ripples in the sand"),
        ("rippled sand dunes", "wind-blown ripples of sand"),
    ),
    Texture(
        "leopard-spots",
        draw_leopard,
        ("leopard spots", "a leopard print", "leopard fur", "spotted leopard skin"),
        ("a spotted leopard print", "leopard skin spots"),
    ),
    Texture(
        "zigzag",
        draw_zigzag,
        ("zigzags", "a zigzag pattern", "zigzag chevrons", "a chevron pattern"),
        ("a pattern of zigzag chevrons", "a zigzag chevron pattern"),
    ),
    Texture(
        "hexagons",
        draw_hexagons,
        ("hexagons", "a honeycomb", "hexagonal tiles", "a honeycomb pattern of hexagons"),
        ("a pattern of hexagonal tiles", "a honeycomb of hexagonal tiles"),
    ),
    Texture(
        "cracks",
        draw_cracks,
        ("cracks", "cracked dry earth", "a cracked surface", "dry ground full of cracks"),
        ("cracked dry ground", "cracks in dry earth"),
    ),
)
