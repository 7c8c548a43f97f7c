"""Made of thread and paper: cross-stitch, embroidery, knitting, tapestry, cut paper, folded paper.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Rendering,
    blur,
    colour_paper,
    contrast,
    coordinates,
    equalise,
    flatten,
    grain,
    ink_lines,
    kuwahara,
    luminance,
    mix,
    noise,
    paper,
    posterise,
    quantise,
    saturate,
    unit,
)
from tasks.training.renderings.surface import choose, lit


def _cross_stitch(picture_HW3: Picture, rng: Generator) -> Picture:
    """A cross of thread in each square of the cloth, in a few colours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    side = max(4, round(rng.uniform(5.6, 8.4) * size))
    rows, columns = coordinates(shape)
    down, right = (rows % side + 0.5) / side, (columns % side + 0.5) / side
    squares = ((rows // side) * (shape[1] // side + 1) + columns // side).astype(np.int64)
    labels, colours = quantise(posterise(flatten(saturate(picture_HW3, 1.3), squares), 32), int(rng.integers(12, 25)))
    thread = np.clip(colours[labels] * (0.93 + 0.14 * noise(shape, 3 * size, rng))[..., None], 0, 1)
    over, under = np.abs(down - right), np.abs(down + right - 1)
    light = np.where(over < 0.21, 1.2 - 1.6 * over, 0.85 - 0.9 * under)
    cloth = colour_paper(shape, (0.9, 0.86, 0.76), rng, 0.05)
    holes = np.maximum(np.abs(down - 0.5), np.abs(right - 0.5)) > 0.42
    cloth = np.where((np.minimum(over, under) > 0.32)[..., None] & ~holes[..., None], cloth, cloth * 0.8)
    return np.clip(np.where((np.minimum(over, under) < 0.21)[..., None], lit(thread, light), cloth), 0, 1)


def _embroidery(picture_HW3: Picture, rng: Generator) -> Picture:
    """Satin stitch: shining threads side by side, at one slant in each patch of colour, outlined."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    smooth = saturate(kuwahara(picture_HW3, round(6 * size)), 1.5)
    labels, colours = quantise(posterise(smooth, 32), int(rng.integers(7, 11)))
    slants = rng.uniform(0, np.pi, 256).astype(np.float32)
    slant = slants[labels]
    rows, columns = coordinates(shape)
    across, along = rows * np.cos(slant) - columns * np.sin(slant), rows * np.sin(slant) + columns * np.cos(slant)
    width = rng.uniform(2.2, 2.9) * size
    thread = across / width
    offset = (np.floor(thread) * 0.37) % 1
    place = (along / (rng.uniform(10, 14) * size) + offset) % 1
    light = 0.55 + 0.75 * np.sin(np.pi * (thread % 1)) * (0.55 + 0.45 * np.sin(np.pi * place))
    sewn = lit(colours[labels], light + 0.25 * (noise(shape, 4 * size, rng) - 0.5))
    linen = colour_paper(shape, (0.88, 0.83, 0.72), rng, 0.1) * (0.93 + 0.07 * ((rows + columns) % 2))[..., None]
    bare = labels == np.argmax(np.bincount(labels.ravel(), minlength=len(colours)) * (colours.mean(-1) > 0.6))
    sewn = np.where(bare[..., None], linen, sewn)
    outline = ink_lines(luminance(smooth), 1.6 * size, 0.98, -0.012, 40)
    return np.clip(mix(sewn * np.array((0.3, 0.25, 0.3)), sewn, outline), 0, 1)


def _knitted(picture_HW3: Picture, rng: Generator) -> Picture:
    """Rows of V-shaped stitches of fluffy wool."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    wide = rng.uniform(7.0, 9.5) * size
    high = wide * rng.uniform(0.75, 0.9)
    rows, columns = coordinates(shape)
    right = (columns / wide) % 1
    lean = np.abs(right - 0.5)
    row = rows / high + 1.3 * lean
    source_row = np.clip(np.floor(row) * high, 0, shape[0] - 1).astype(np.int64)
    source_column = np.clip((np.floor(columns / wide) + 0.5) * wide, 0, shape[1] - 1).astype(np.int64)
    labels, colours = quantise(posterise(saturate(blur(picture_HW3, 2 * size), 1.2), 32), int(rng.integers(10, 20)))
    wool = colours[labels][source_row, source_column]
    bulge = np.sin(np.pi * (row % 1)) * np.sin(np.pi * ((2 * right) % 1)) ** 0.6
    fluff = blur(grain(shape, rng), 0.6) * 0.14
    return np.clip(lit(wool, 0.42 + 0.75 * bulge + fluff), 0, 1)


def _tapestry(picture_HW3: Picture, rng: Generator) -> Picture:
    """Weft packed over ribs of warp, in muted dyes."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    wide, high = rng.uniform(4.5, 6.5) * size, max(2.4, rng.uniform(2.2, 2.8) * size)
    rows, columns = coordinates(shape)
    row = np.floor(rows / high)
    column = np.floor(columns / wide + 0.5 * (row % 2))
    at_row = np.clip((row + 0.5) * high, 0, shape[0] - 1).astype(np.int64)
    at_column = np.clip((column + 0.5 - 0.5 * (row % 2)) * wide, 0, shape[1] - 1).astype(np.int64)
    dyes = np.array([1.0, 0.9, 0.7], np.float32) * saturate(contrast(blur(picture_HW3, size), 0.85, 0.55), 0.9)
    labels, colours = quantise(posterise(np.clip(dyes, 0, 1), 32), int(rng.integers(14, 24)))
    weft = colours[labels][at_row, at_column]
    round_ = np.sin(np.pi * ((columns / wide + 0.5 * (row % 2)) % 1)) * np.sin(np.pi * ((rows / high) % 1))
    tint = rng.normal(0, 0.07, (int(row.max()) + 1,)).astype(np.float32)[row.astype(np.int64)]
    return np.clip(lit(weft, 0.55 + 0.6 * np.sqrt(round_) + tint + 0.05 * grain(shape, rng)), 0, 1)


CARD: tuple[tuple[Colour, ...], ...] = (
    ((0.1, 0.2, 0.32), (0.16, 0.42, 0.5), (0.88, 0.38, 0.3), (0.96, 0.7, 0.4), (0.98, 0.93, 0.82)),
    ((0.25, 0.12, 0.32), (0.62, 0.2, 0.42), (0.93, 0.45, 0.4), (0.98, 0.75, 0.55), (1.0, 0.94, 0.85)),
    ((0.08, 0.25, 0.2), (0.2, 0.5, 0.35), (0.6, 0.72, 0.35), (0.93, 0.82, 0.45), (0.98, 0.96, 0.88)),
)


def _cut_paper(picture_HW3: Picture, rng: Generator) -> Picture:
    """Sheets of coloured card cut out with scissors and stacked, each throwing a shadow on the next."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    grey = equalise(blur(luminance(picture_HW3), 2.6 * size))
    cards = choose(CARD, rng)
    own = rng.random() < 0.5  # the picture's own colours instead of a set of cards
    shift = (round(rng.uniform(2, 3.5) * size), round(rng.uniform(1, 3.5) * size))
    sheet = np.zeros_like(picture_HW3)
    for index, colour in enumerate(cards):
        mask = (grey >= index / len(cards)) if index else np.ones(shape, bool)
        if not mask.any():
            continue
        tone = np.clip(0.12 + 1.05 * saturate(picture_HW3[mask & (grey < (index + 1.1) / len(cards))][None], 1.5), 0, 1)
        fill = tuple(tone.mean((0, 1)).tolist()) if own and tone.size else colour
        covered = mask.astype(np.float32)
        shadow = blur(np.roll(covered, shift, (0, 1)), 1.8 * size)
        sheet = lit(sheet, 1 - 0.6 * shadow)
        rim = np.clip(covered - np.roll(covered, (1, 1), (0, 1)), 0, 1)
        sheet = mix(sheet, fill, covered)
        sheet = mix(sheet, (1.0, 1.0, 1.0), 0.5 * rim)
    return np.clip(sheet * paper(shape, rng, 0.08)[..., None], 0, 1)


def _origami(picture_HW3: Picture, rng: Generator) -> Picture:
    """A sheet folded into rows of pyramids, sharp creases and tilted faces."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    side, turn = rng.uniform(17, 26) * size, rng.uniform(0, np.pi / 2)
    rows, columns = coordinates(shape)
    down = (rows * np.cos(turn) + columns * np.sin(turn)) / side + 50
    right = (columns * np.cos(turn) - rows * np.sin(turn)) / side + 50
    up, left = down % 1 - 0.5, right % 1 - 0.5
    face = np.where(np.abs(up) > np.abs(left), np.where(up > 0, 0, 1), np.where(left > 0, 2, 3))
    _, labels = np.unique((np.floor(down) * 200 + np.floor(right)) * 4 + face, return_inverse=True)
    faces = flatten(picture_HW3, labels.reshape(shape))
    sheet = 0.22 + 0.74 * saturate(contrast(faces, 1.2), 1.3)
    tilt = rng.permutation([1.2, 0.62, 0.95, 0.8])[face]
    slope = np.maximum(np.abs(up), np.abs(left))
    crease = np.minimum(np.abs(np.abs(up) - np.abs(left)), 1 - 2 * slope) < 0.6 / side
    light = tilt * (0.8 + 0.4 * slope) + 0.25 * crease
    return np.clip(lit(sheet, light) * paper(shape, rng, 0.05)[..., None], 0, 1)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "cross-stitch",
        _cross_stitch,
        (
            "a cross-stitch",
            "a cross-stitch picture",
            "cross-stitch on white cloth",
            "little crosses of thread on cloth",
            "a cross-stitch sampler",
            "a counted cross-stitch pattern",
        ),
        ("a cross-stitch pattern on cloth", "a sampler of little cross-stitches", "cross-stitch in coloured thread"),
    ),
    Rendering(
        "embroidery",
        _embroidery,
        (
            "an embroidery",
            "an embroidered picture",
            "embroidery in satin stitch on linen",
            "silk thread embroidery",
            "an embroidered patch",
            "shining embroidery thread",
        ),
        ("an embroidery in silk thread", "an embroidered linen picture", "embroidery on linen"),
    ),
    Rendering(
        "knitted",
        _knitted,
        (
            "knitted wool",
            "a knitted jumper",
            "a knitted sweater",
            "a picture knitted in wool",
            "knitting",
            "knitted stitches of fluffy yarn",
        ),
        ("a woollen knitted picture", "a knitted wool jumper", "knitting in fluffy wool yarn"),
    ),
    Rendering(
        "tapestry",
        _tapestry,
        (
            "a tapestry",
            "a woven tapestry",
            "a medieval wall tapestry",
            "a woven rug",
            "a picture woven on a loom",
            "a woven wall hanging",
        ),
        ("a medieval woven tapestry", "a tapestry woven on a loom", "a woven wall rug"),
    ),
    Rendering(
        "cut-paper",
        _cut_paper,
        (
            "a paper cut-out collage",
            "layered cut paper",
            "a paper collage",
            "cut-out shapes of coloured paper",
            "cut-out shapes of colored paper",
            "papercut art with layers and shadows",
        ),
        ("a collage of cut coloured paper", "a layered papercut", "layers of paper cut-outs"),
    ),
    Rendering(
        "origami",
        _origami,
        (
            "origami",
            "folded paper",
            "an origami picture",
            "a sheet of paper with sharp folds",
            "origami paper folded into pyramids",
            "a paper folding with sharp creases",
        ),
        ("origami of folded paper", "sharply folded origami paper", "a picture in folded paper"),
    ),
)
