"""Made of stuff: wood, stone, bronze, clay, gold, rust.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tasks.training.renderings import textiles, tiles
from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Plane,
    Rendering,
    blur,
    borders,
    coordinates,
    edges,
    equalise,
    grain,
    ink_lines,
    kuwahara,
    luminance,
    mix,
    noise,
    posterise,
    quantise,
    ramp,
    saturate,
    unit,
)
from tasks.training.renderings.surface import choose, lit, shade


def _wood_grain(shape: tuple[int, int], size: float, rng: Generator) -> Plane:
    """Rings of a plank, in [0, 1]."""
    rows, columns = coordinates(shape)
    if rng.random() < 0.5:
        rows, columns = columns, rows
    wave = rows / (rng.uniform(7, 12) * size) + 1.6 * noise(shape, 70 * size, rng) + 0.004 * columns / size
    fibre = ndimage.gaussian_filter(grain(shape, rng), (0.5, 7 * size) if rows[0, -1] == 0 else (7 * size, 0.5))
    return np.clip(0.5 + 0.28 * np.sin(2 * np.pi * wave) + 0.7 * fibre, 0, 1).astype(np.float32)


WOOD: tuple[tuple[Colour, ...], ...] = (
    ((0.62, 0.43, 0.24), (0.82, 0.64, 0.41), (0.9, 0.75, 0.53)),
    ((0.66, 0.5, 0.32), (0.86, 0.72, 0.51), (0.94, 0.84, 0.65)),
    ((0.55, 0.34, 0.18), (0.74, 0.52, 0.3), (0.84, 0.64, 0.41)),
)


def _pyrography(picture_HW3: Picture, rng: Generator) -> Picture:
    """Brown scorched lines and tones on a bare plank."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    plank = ramp(_wood_grain(shape, size, rng), choose(WOOD, rng))
    grey = equalise(luminance(picture_HW3), 0.03)
    burnt = 0.85 * (1 - ink_lines(grey, rng.uniform(1.2, 1.6) * size, 0.98, -0.005, 50))
    tone = np.clip(0.75 - grey, 0, 1) * (0.85 + 0.3 * noise(shape, 3 * size, rng))
    return np.clip(mix(plank, (0.17, 0.08, 0.03), np.maximum(burnt, tone)), 0, 1)


def _height(picture_HW3: Picture, size: float) -> Plane:
    """A carved surface: the brighter, the higher, with rounded edges."""
    grey = equalise(luminance(kuwahara(picture_HW3, round(4 * size))))
    return 2.2 * blur(grey, 0.8 * size) + 3 * blur(grey, 2.5 * size)


def _wood_carving(picture_HW3: Picture, rng: Generator) -> Picture:
    """Relief cut in wood with a gouge."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    height = _height(picture_HW3, size)
    facets = 0.25 * np.abs(noise(shape, 4 * size, rng) - 0.5)
    light = shade((height + facets) * size, rng.uniform(0.4, 1.2), 1.1)
    rings = 0.45 * _wood_grain(shape, size, rng) + 0.1 * height
    brown: list[Colour] = [(0.2, 0.09, 0.03), (0.48, 0.26, 0.11), (0.72, 0.45, 0.22)]
    return np.clip(lit(ramp(rings, brown), np.clip(light, 0.25, 1.55)), 0, 1)


def _stone_relief(picture_HW3: Picture, rng: Generator) -> Picture:
    """Pale stone, carved in low relief and lit from the side."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    rough = 0.06 * grain(shape, rng) + 0.3 * noise(shape, 4 * size, rng)
    light = shade((_height(picture_HW3, size) + rough) * size, rng.uniform(0.3, 1.3), rng.uniform(0.8, 1.1))
    warm = rng.uniform(0, 0.09)
    stone = np.array([0.68 + warm, 0.67 + 0.6 * warm, 0.66 - warm], np.float32)
    stone = stone * (0.88 + 0.2 * noise(shape, 50 * size, rng))[..., None]
    return np.clip(lit(stone.astype(np.float32), np.clip(light, 0.3, 1.6)), 0, 1)


def _bronze(picture_HW3: Picture, rng: Generator) -> Picture:
    """Dark polished bronze with highlights, green in the hollows."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    height = _height(picture_HW3, size)
    dented = np.asarray((height + 0.15 * noise(shape, 5 * size, rng)) * size, np.float32)
    light = shade(dented, rng.uniform(0.4, 1.2), rng.uniform(1.2, 1.6))
    metal = ramp(
        np.clip(0.42 * light + 0.05 * (height - 2.5), 0, 1),
        [(0.06, 0.03, 0.02), (0.28, 0.16, 0.07), (0.6, 0.37, 0.15), (0.97, 0.8, 0.5), (1.0, 0.97, 0.85)],
    )
    hollow = np.clip(blur(height, 5 * size) - height, 0, 1) * noise(shape, 25 * size, rng)
    return np.clip(mix(metal, (0.25, 0.5, 0.42), rng.uniform(0.8, 1.6) * hollow), 0, 1)


def _clay(picture_HW3: Picture, rng: Generator) -> Picture:
    """Rounded lumps of coloured plasticine with thumb marks and a soft sheen."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    smooth = blur(kuwahara(picture_HW3, round(8 * size)), 1.2 * size)
    labels, colours = quantise(posterise(saturate(smooth, 1.9), 32), int(rng.integers(6, 10)))
    seam = borders(labels, 1)
    far = ndimage.distance_transform_edt(1 - seam).astype(np.float32) / size
    swell = 5 * (1 - np.exp(-far / 4))
    height = swell + 3.5 * noise(shape, 14 * size, rng) + 0.5 * noise(shape, 3 * size, rng)
    light = shade(blur(height, 1.2 * size) * size, rng.uniform(0.5, 1.1), 0.75)
    lump = np.clip(0.08 + 0.9 * colours[labels], 0, 1) * (1 - 0.35 * np.exp(-far / 1.2))[..., None]
    return np.clip(lit(lump, np.clip(light, 0.45, 1.7)), 0, 1)


def _gold(picture_HW3: Picture, rng: Generator) -> Picture:
    """Lines and lights in crinkled gold leaf on black lacquer."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    grey = equalise(luminance(kuwahara(picture_HW3, round(3 * size))))
    level = max(rng.uniform(0.5, 0.65), float(np.quantile(grey, rng.uniform(0.6, 0.75))))
    leaf = np.clip((grey - level) * 14 + 2 * (noise(shape, 3 * size, rng) - 0.5), 0, 1)
    lines = np.clip(edges(grey, 1.0 * size) * 2.2 - 0.9, 0, 1)
    crinkle = 0.45 * noise(shape, 5 * size, rng) + 0.4 * noise(shape, 18 * size, rng) + 0.25 * grey
    shine = shade(3 * crinkle * size, 0.8, 1.1)
    gold = lit(ramp(crinkle, [(0.42, 0.25, 0.04), (0.85, 0.62, 0.17), (1.0, 0.9, 0.5)]), np.clip(shine, 0.4, 1.7))
    black = np.full_like(picture_HW3, 0.03) + 0.015 * noise(shape, 3, rng)[..., None]
    return np.clip(mix(black, gold, np.maximum(leaf, lines)), 0, 1)


def _rust(picture_HW3: Picture, rng: Generator) -> Picture:
    """A steel plate eaten by rust where the picture is dark."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    grey = equalise(luminance(picture_HW3))
    blotch = (
        0.5 * noise(shape, 22 * size, rng) + 0.3 * noise(shape, 7 * size, rng) + 0.2 * noise(shape, 2.5 * size, rng)
    )
    scale: list[Colour] = [(0.14, 0.06, 0.04), (0.4, 0.16, 0.06), (0.68, 0.3, 0.08), (0.86, 0.5, 0.18)]
    rust = ramp(np.clip(0.75 * grey + 0.9 * (blotch - 0.35), 0, 1), scale)
    brushed = ndimage.gaussian_filter(grain(shape, rng), (0.4, 5 * size))
    steel = np.array([0.56, 0.6, 0.62], np.float32) * (0.65 + 0.5 * grey + 0.2 * brushed)[..., None]
    bare = np.clip((grey + 1.3 * (blotch - 0.5) - rng.uniform(0.62, 0.75)) * 9, 0, 1)
    plate = mix(rust, np.clip(steel, 0, 1), 0.85 * bare)
    pits = 2.5 * blotch - bare + 0.25 * grain(shape, rng)
    return np.clip(lit(plate, np.clip(shade(pits, 0.8, 0.45), 0.4, 1.5)), 0, 1)


SOLID: tuple[Rendering, ...] = (
    Rendering(
        "pyrography",
        _pyrography,
        (
            "pyrography",
            "wood burning art",
            "a picture burnt into wood",
            "scorched lines on a wooden plank",
            "a wood-burned drawing",
            "burnt brown lines on a wooden board",
        ),
        ("pyrography on a wooden board", "a drawing burnt into a wooden plank", "burnt wood art"),
    ),
    Rendering(
        "wood-carving",
        _wood_carving,
        (
            "a wood carving",
            "carved wood",
            "a relief carved in dark wood",
            "a carved wooden panel",
            "a wooden sculpture",
            "a wood carver's relief",
        ),
        ("a carved wooden relief", "a panel of carved dark wood", "a wooden carving"),
    ),
    Rendering(
        "stone-relief",
        _stone_relief,
        (
            "a stone relief",
            "a bas-relief sculpture in stone",
            "a marble bas-relief",
            "carved stone",
            "a stone sculpture",
            "an ancient relief carved in marble",
        ),
        ("a carved marble relief", "an ancient stone bas-relief", "a marble sculpture"),
    ),
    Rendering(
        "bronze",
        _bronze,
        (
            "a bronze relief",
            "a bronze sculpture",
            "cast bronze",
            "a bronze statue with green patina",
            "a polished bronze plaque",
            "a picture cast in bronze",
        ),
        ("a cast bronze sculpture", "a bronze plaque with patina", "polished bronze"),
    ),
    Rendering(
        "clay",
        _clay,
        (
            "a clay model",
            "plasticine",
            "a plasticine model",
            "claymation",
            "modelling clay",
            "modeling clay with thumb marks",
            "soft lumps of coloured clay",
        ),
        ("a claymation model in plasticine", "a model of soft clay", "coloured plasticine clay"),
    ),
    Rendering(
        "gold",
        _gold,
        (
            "gold leaf on black",
            "a gilded picture on black lacquer",
            "gold on black",
            "kintsugi",
            "shining gold leaf",
            "gold lines on black lacquer",
        ),
        ("black lacquer with gold leaf", "a picture in gold leaf", "a gilded black lacquer panel with gold lines"),
    ),
    Rendering(
        "rust",
        _rust,
        (
            "rusty metal",
            "rust",
            "a rusty steel plate",
            "rusted iron",
            "corroded metal",
            "a picture in rust on old iron",
        ),
        ("a plate of rusted metal", "a corroded iron plate", "rusty old iron"),
    ),
)

RENDERINGS: tuple[Rendering, ...] = (*tiles.RENDERINGS, *SOLID, *textiles.RENDERINGS)
