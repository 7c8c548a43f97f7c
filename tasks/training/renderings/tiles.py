"""Made of pieces: mosaic, stained glass, triangles, toy bricks, beads.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import Delaunay

from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Rendering,
    blur,
    borders,
    cells,
    contrast,
    coordinates,
    edges,
    flatten,
    luminance,
    mix,
    nearest_colours,
    noise,
    posterise,
    quantise,
    saturate,
    shrink,
    unit,
)
from tasks.training.renderings.surface import broad_cells, lit, shade


def _mosaic(picture_HW3: Picture, rng: Generator) -> Picture:
    """Small uneven tiles in mortar."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    tiles = cells(shape, rng.uniform(7, 10) * size, rng, rng.uniform(0.1, 0.22))
    tint = rng.normal(0, 0.07, (int(tiles.max()) + 1, 1)).astype(np.float32)
    stone = np.clip(flatten(contrast(saturate(picture_HW3, 1.4), 1.15), tiles) + tint[tiles], 0, 1)
    mortar = borders(tiles, 2 * size)
    stone = lit(stone, shade(-blur(mortar, 0.8), rng.uniform(0.5, 1.1), 0.45))
    grey = rng.uniform(0.25, 0.85)
    return np.clip(mix(stone, (grey, grey * 0.96, grey * 0.9), mortar), 0, 1)


def _stained_glass(picture_HW3: Picture, rng: Generator) -> Picture:
    """Glowing panes whose black lead follows the picture's shapes."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    panes = broad_cells(shape, rng.uniform(22, 32) * size, rng)
    parts, _ = quantise(posterise(blur(picture_HW3, 4 * size), 32), int(rng.integers(4, 7)))
    panes = parts * (int(panes.max()) + 1) + panes
    tint = rng.normal(0, 0.06, (int(panes.max()) + 1, 3)).astype(np.float32)
    glass = contrast(saturate(flatten(picture_HW3, panes), rng.uniform(2.2, 3.0)) * 1.2 + 0.06 + tint[panes], 1.25)
    glass = lit(glass, 0.85 + 0.4 * noise(shape, 40 * size, rng) + 0.12 * (noise(shape, 4 * size, rng) - 0.5))
    return np.clip(mix(glass, (0.02, 0.02, 0.03), blur(borders(panes, 3 * size), 0.4)), 0, 1)


def _low_poly(picture_HW3: Picture, rng: Generator) -> Picture:
    """Flat triangles, closer together along the edges."""
    size, (height, width) = unit(picture_HW3.shape), picture_HW3.shape[:2]
    weight = (edges(luminance(picture_HW3), 2 * size) + 0.06).ravel().astype(np.float64)
    count = int(rng.integers(160, 320))
    chosen = rng.choice(height * width, count, p=weight / weight.sum())
    frame = np.array([(y, x) for y in np.linspace(0, height, 6) for x in np.linspace(0, width, 6)])
    points = np.concatenate([np.stack([chosen // width, chosen % width], -1), frame])
    corners = points[Delaunay(points).simplices]
    middle = np.clip(corners.mean(1), 0, (height - 1, width - 1)).astype(int)
    colours = saturate(blur(picture_HW3, 1.5 * size), 1.3)[middle[:, 0], middle[:, 1]]
    colours = np.clip(colours + rng.normal(0, 0.035, (len(colours), 1)), 0, 1) * 255
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    for corner, colour in zip(corners[..., ::-1].tolist(), colours.astype(int).tolist(), strict=True):
        pen.polygon([tuple(point) for point in corner], tuple(colour))
    return np.asarray(image, np.float32) / np.float32(255)


BRICKS: tuple[Colour, ...] = (  # the common plastics: white, greys, black, reds, yellows, greens, blues, browns
    *((0.95, 0.95, 0.93), (0.64, 0.64, 0.64), (0.39, 0.38, 0.38), (0.1, 0.1, 0.1), (0.79, 0.1, 0.04)),
    *((0.45, 0.05, 0.06), (0.95, 0.8, 0.22), (1.0, 0.54, 0.1), (0.14, 0.47, 0.25), (0.29, 0.62, 0.29)),
    *((0.73, 0.91, 0.04), (0.0, 0.33, 0.75), (0.04, 0.2, 0.39), (0.35, 0.58, 0.8), (0.35, 0.17, 0.07)),
    *((0.89, 0.8, 0.62), (0.58, 0.54, 0.45), (0.8, 0.57, 0.4), (0.99, 0.59, 0.67), (0.5, 0.0, 0.48)),
)


def _bricks(picture_HW3: Picture, rng: Generator) -> Picture:
    """Square plastic bricks, a round stud on each."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    side = max(6, round(rng.uniform(8, 12) * size))
    small = nearest_colours(contrast(saturate(shrink(picture_HW3, side), 1.5), 1.1), BRICKS)
    rows, columns = coordinates(shape)
    at = [np.minimum(plane.astype(int) // side, small.shape[i] - 1) for i, plane in enumerate((rows, columns))]
    down, right = (rows % side + 0.5) / side - 0.5, (columns % side + 0.5) / side - 0.5
    far = np.hypot(down, right)
    lean = (down + right) / np.maximum(far, 0.01)
    light = np.where(far < 0.27, 1.08, 1.0) + np.where(np.abs(far - 0.3) < 0.07, -0.3 * lean, 0)
    cast = (np.hypot(down - 0.09, right - 0.09) < 0.34) & (far > 0.33)
    gap = np.maximum(np.abs(down), np.abs(right)) > 0.5 - 0.9 / side
    light = np.where(gap, 0.62, light - 0.28 * cast) + rng.uniform(-0.05, 0.05)
    return np.clip(lit(np.clip(small[at[0], at[1]], 0.06, 0.94), np.asarray(light, np.float32)), 0, 1)


def _beads(picture_HW3: Picture, rng: Generator) -> Picture:
    """Glossy round beads packed in offset rows."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    side = max(5.0, rng.uniform(6.5, 9.5) * size)
    rows, columns = coordinates(shape)
    row = np.floor(rows / (side * 0.87))
    column = np.floor(columns / side + 0.5 * (row % 2))
    middle_row, middle_column = (row + 0.5) * side * 0.87, (column + 0.5 - 0.5 * (row % 2)) * side
    at_row = np.clip(middle_row, 0, shape[0] - 1).astype(int)
    at_column = np.clip(middle_column, 0, shape[1] - 1).astype(int)
    bead = saturate(blur(picture_HW3, 0.3 * side), 1.4)[at_row, at_column]
    down, right = (rows - middle_row) / side, (columns - middle_column) / side
    far = np.hypot(down, right)
    light = 1.15 - 1.1 * np.hypot(down + 0.12, right + 0.12)
    light = light + 0.9 * np.exp(-(((down + 0.17) ** 2 + (right + 0.17) ** 2) / 0.009))
    bead = lit(np.clip(bead, 0.08, 1), np.clip(light, 0.3, 1.9))
    back = rng.uniform(0.02, 0.2)
    return np.clip(mix(bead, (back, back, back), np.clip((far - 0.46) * side, 0, 1)), 0, 1)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "mosaic",
        _mosaic,
        (
            "a mosaic",
            "a mosaic of small tiles",
            "a Roman mosaic",
            "a mosaic of coloured stone",
            "a mosaic of colored stone",
            "tesserae set in mortar",
        ),
        ("a Roman mosaic of stone tiles", "small mosaic tiles in mortar", "a tile mosaic"),
    ),
    Rendering(
        "stained-glass",
        _stained_glass,
        (
            "stained glass",
            "a stained glass window",
            "a church window of coloured glass",
            "panes of coloured glass in black lead",
            "panes of colored glass in black lead",
            "a leaded glass window",
        ),
        ("a church window in stained glass", "a coloured glass window with lead lines", "stained glass panes"),
    ),
    Rendering(
        "low-poly",
        _low_poly,
        (
            "low-poly art",
            "a low-poly picture",
            "a low-poly 3D model",
            "flat triangles of colour",
            "a mesh of flat triangles",
            "a triangulated polygon picture",
        ),
        ("a low-poly mesh of triangles", "low-poly triangles", "a picture made of flat polygon triangles"),
    ),
    Rendering(
        "bricks",
        _bricks,
        (
            "a picture made of Lego bricks",
            "Lego",
            "plastic toy bricks",
            "Lego bricks with round studs",
            "a model built of toy bricks",
            "a brick-built Lego picture",
        ),
        ("a Lego brick model", "a picture made of plastic toy bricks", "toy bricks with studs"),
    ),
    Rendering(
        "beads",
        _beads,
        (
            "a picture made of beads",
            "glossy round beads",
            "beadwork",
            "rows of coloured beads",
            "rows of colored beads",
            "a bead picture of shiny glass beads",
        ),
        ("a picture of glossy beads", "coloured glass beads", "round shiny beadwork"),
    ),
)
