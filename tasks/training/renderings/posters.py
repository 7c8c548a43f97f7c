"""Posters, walls and cloth: flat inks on paper, spray paint through a stencil, dye on cotton.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings import canvas
from tasks.training.renderings.canvas import Colour, Generator, Labels, Picture, Plane, Rendering, unit
from tasks.training.renderings.marks import calm, contours, inked, pick, strokes, tone, wander

TRAVEL: tuple[tuple[Colour, ...], ...] = (
    ((0.1, 0.2, 0.32), (0.12, 0.42, 0.5), (0.85, 0.4, 0.22), (0.95, 0.7, 0.35), (0.98, 0.92, 0.75)),
    ((0.16, 0.14, 0.26), (0.25, 0.38, 0.3), (0.62, 0.6, 0.3), (0.94, 0.66, 0.4), (0.99, 0.93, 0.78)),
    ((0.12, 0.16, 0.36), (0.2, 0.45, 0.66), (0.5, 0.72, 0.72), (0.96, 0.75, 0.45), (0.98, 0.94, 0.82)),
    ((0.22, 0.1, 0.2), (0.6, 0.22, 0.24), (0.88, 0.5, 0.26), (0.56, 0.72, 0.66), (0.98, 0.92, 0.76)),
)


def from_border(shape: tuple[int, int]) -> Plane:
    """Pixels from the nearest side."""
    rows, columns = canvas.coordinates(shape)
    return np.minimum(np.minimum(rows, shape[0] - 1 - rows), np.minimum(columns, shape[1] - 1 - columns))


def travel_poster(picture_HW3: Picture, rng: Generator) -> Picture:
    """Large smooth shapes in five flat inks of the thirties, a graded sky, a cream border."""
    size = unit(picture_HW3.shape)
    smooth = canvas.blur(calm(picture_HW3, 3 * size), 1.1 * size)
    grey = tone(smooth)
    warm = np.clip((smooth[..., 0] - smooth[..., 2]) * 0.5, -0.14, 0.14)
    palette = TRAVEL[rng.integers(len(TRAVEL))]
    colour = canvas.blur(canvas.ramp(canvas.posterise(np.clip(grey + warm, 0, 1), 5), palette), 0.4 * size)
    rows, _ = canvas.coordinates(grey.shape)
    sky = np.clip(1 - rows / (rng.uniform(0.45, 0.6) * grey.shape[0]), 0, 1) * np.clip(8 * grey - 5.5, 0, 1)
    colour = canvas.mix(colour, palette[2], 0.7 * sky)
    frame = np.clip(rng.uniform(7, 11) * size - from_border(grey.shape), 0, 1)
    aged = 1 - 0.05 * canvas.noise(grey.shape, 40 * size, rng) + 0.02 * canvas.grain(grey.shape, rng)
    return np.clip(canvas.mix(colour, (0.97, 0.93, 0.82), frame) * aged[..., None], 0, 1)


def propaganda_poster(picture_HW3: Picture, rng: Generator) -> Picture:
    """Black, red and cream, hard shadows, and rays of red behind."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    soft = canvas.blur(grey, 1.5 * size)
    rows, columns = canvas.coordinates(grey.shape)
    middle = rng.uniform(0.55, 0.95) * grey.shape[0], rng.uniform(0.3, 0.7) * grey.shape[1]
    turn = np.arctan2(rows - middle[0], columns - middle[1]) * rng.integers(9, 13) + rng.uniform(0, 6)
    rays = np.clip(np.sin(turn) * 12 * size, 0, 1)
    cream = pick(((0.94, 0.88, 0.72), (0.93, 0.85, 0.68)), rng, 0.015)
    red = pick(((0.8, 0.1, 0.08), (0.76, 0.13, 0.1), (0.85, 0.16, 0.08)), rng, 0.02)
    middle_tone = np.clip((rng.uniform(0.58, 0.64) - soft) * 30, 0, 1)
    share = np.maximum(middle_tone, rays * np.clip((soft - 0.72) * 20, 0, 1)).astype(np.float32)
    colour = inked(share, red, cream, rng, 0.06)
    black = np.maximum(np.clip((rng.uniform(0.28, 0.34) - soft) * 30, 0, 1), contours(grey, 1.4 * size, -0.05, 150))
    worn = np.clip(1.03 - 0.3 * np.clip(canvas.blur(canvas.grain(grey.shape, rng), 0.7 * size), 0, 1), 0, 1)
    return canvas.mix(colour, (0.08, 0.06, 0.06), black * worn)


def brick_wall(shape: tuple[int, int], size: float, rng: Generator) -> Picture:
    """Courses of bricks with paler joints, or bare concrete."""
    rows, columns = canvas.coordinates(shape)
    rough = canvas.paper(shape, rng, 0.16)[..., None]
    if rng.random() < 0.35:
        return np.clip(canvas.mix(np.full((*shape, 3), 0.66, np.float32), (0.55, 0.54, 0.52),
                                  canvas.noise(shape, 40 * size, rng)) * rough, 0, 1)  # fmt: skip
    tall, wide = 11 * size, 27 * size
    course = np.floor(rows / tall)
    across = columns + (course % 2) * wide / 2
    brick = (course * 37 + np.floor(across / wide) * 11).astype(np.int64) % 64
    shade = 0.82 + 0.32 * rng.random(64, dtype=np.float32)[brick]
    colour = pick(((0.68, 0.42, 0.34), (0.74, 0.62, 0.52), (0.72, 0.72, 0.7)), rng)
    wall = shade[..., None] * np.array(colour, np.float32)
    joints = ((rows % tall) < 1.4 * size) | ((across % wide) < 1.4 * size)
    return np.clip(canvas.mix(wall, (0.78, 0.75, 0.7), (0.7 * joints).astype(np.float32)) * rough, 0, 1)


def stencil_graffiti(picture_HW3: Picture, rng: Generator) -> Picture:
    """Spray paint through two stencils, white under black, on a wall; mist round the edges and a few drips."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    wall = brick_wall((grey.shape[0], grey.shape[1]), size, rng)
    soft = canvas.blur(grey, 1.6 * size)
    speck = canvas.grain(grey.shape, rng)
    white = np.clip((soft - rng.uniform(0.6, 0.68)) * 18, 0, 1)
    black = np.clip((rng.uniform(0.38, 0.46) - soft) * 18, 0, 1)
    mist = np.clip(canvas.blur(black, 7 * size) * 0.5 + 0.28 * speck - 0.22, 0, 0.5)
    drips = np.zeros_like(black)
    for column in rng.integers(0, grey.shape[1], 9):
        wide, start = max(1, round(1.6 * size)), int(rng.integers(0, grey.shape[0]))
        drips[start : start + round(rng.uniform(18, 46) * size), column : column + wide] = black[start, column]
    spray = pick(((0.95, 0.95, 0.93), (0.95, 0.95, 0.93), (0.85, 0.12, 0.15), (0.98, 0.8, 0.1)), rng, 0.02)
    painted = canvas.mix(wall, spray, 0.85 * white * (0.94 + 0.1 * speck))
    covered = np.maximum(np.maximum(mist, drips), black * (0.94 + 0.06 * speck))
    return canvas.mix(painted, (0.06, 0.06, 0.07), covered)


def batik(picture_HW3: Picture, rng: Generator) -> Picture:
    """Dyed cotton: pale lines and dots that wax kept white, fine dark cracks, indigo and brown."""
    size = unit(picture_HW3.shape)
    flat = calm(picture_HW3, 4 * size)
    grey, shape = tone(flat), (picture_HW3.shape[0], picture_HW3.shape[1])
    dyes: tuple[tuple[Colour, ...], ...] = (
        ((0.08, 0.1, 0.28), (0.36, 0.18, 0.1), (0.78, 0.48, 0.2), (0.95, 0.85, 0.62)),
        ((0.05, 0.08, 0.3), (0.15, 0.3, 0.55), (0.62, 0.3, 0.2), (0.94, 0.88, 0.72)),
        ((0.2, 0.07, 0.08), (0.55, 0.16, 0.14), (0.86, 0.58, 0.18), (0.96, 0.88, 0.66)),
    )
    pools = canvas.posterise(
        np.clip(canvas.blur(grey, size) + 0.1 * (canvas.noise(shape, 9 * size, rng) - 0.5), 0, 1), 4
    )
    colour = canvas.ramp(canvas.blur(pools, 0.6 * size), dyes[rng.integers(len(dyes))])
    wax = np.maximum(contours(grey, 1.7 * size, -0.025, 150), wax_dots(shape, size, rng) * (pools < 0.5))
    colour = canvas.mix(colour, (0.96, 0.91, 0.76), (0.92 * wax).astype(np.float32))
    down, right = wander(shape, 5 * size, 14 * size, rng)
    cracks = canvas.displace(canvas.borders(coarse_cells(shape, rng.uniform(24, 32) * size, rng)), down, right)
    colour = canvas.mix(colour, (0.1, 0.09, 0.2), 0.6 * cracks * canvas.noise(shape, 20 * size, rng) * (pools > 0.3))
    weave = 0.93 + 0.07 * strokes(shape, size, 8 * size, 0.0, rng) + 0.05 * strokes(shape, size, 8 * size, 1.571, rng)
    return np.clip(colour * weave[..., None], 0, 1).astype(np.float32)


def coarse_cells(shape: tuple[int, int], across: float, rng: Generator) -> Labels:
    """Voronoi cells found at half size, a quarter of the work; the cracks between them are displaced anyway."""
    half = canvas.cells(((shape[0] + 1) // 2, (shape[1] + 1) // 2), across / 2, rng)
    return half.repeat(2, 0).repeat(2, 1)[: shape[0], : shape[1]]


def wax_dots(shape: tuple[int, int], size: float, rng: Generator) -> Plane:
    """1 in rows of small dots."""
    step, angle = rng.uniform(8, 10.5) * size, rng.uniform(0.6, 0.95)
    distance = np.hypot(canvas.stripes(shape, step, angle), canvas.stripes(shape, step, angle + np.pi / 2))
    return np.clip((0.33 - distance) * step / 2 + 0.5, 0, 1).astype(np.float32)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "travel-poster", travel_poster,
        ("a travel poster", "a vintage travel poster", "a retro travel poster in flat colours",
         "a retro travel poster in flat colors", "an art deco travel poster", "a vintage railway poster"),
        ("a retro railway poster", "an art deco vintage travel poster"),
    ),
    Rendering(
        "propaganda-poster", propaganda_poster,
        ("a propaganda poster", "a Soviet propaganda poster", "a red and black propaganda poster",
         "a constructivist poster", "a political poster in red and black", "a revolutionary poster with red rays"),
        ("a Soviet constructivist poster", "a revolutionary propaganda poster in red"),
    ),
    Rendering(
        "stencil-graffiti", stencil_graffiti,
        ("stencil graffiti", "street art", "a stencil sprayed on a wall", "graffiti on a brick wall",
         "street art in the style of Banksy", "a spray paint stencil on a wall"),
        ("stencil street art on a brick wall", "graffiti in spray paint on a wall"),
    ),
    Rendering(
        "batik", batik,
        ("batik", "a batik cloth", "a batik in indigo and brown", "a batik textile with cracked wax",
         "dyed batik fabric", "a wax-resist batik"),
        ("a batik on dyed cloth", "an indigo batik textile"),
    ),
)  # fmt: skip
