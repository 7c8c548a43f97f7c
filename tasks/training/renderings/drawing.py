"""Drawings made with a pencil, a pen, a brush of ink, chalk, pastel, crayon or a marker.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tasks.training.renderings import canvas
from tasks.training.renderings.canvas import Generator, Picture, Rendering, unit
from tasks.training.renderings.marks import calm, contours, hatching, inked, pick, strokes, tone, wander

OFF_WHITES = ((0.99, 0.99, 0.98), (0.97, 0.96, 0.92), (0.95, 0.95, 0.94))
RICE = ((0.96, 0.93, 0.85), (0.94, 0.91, 0.84), (0.95, 0.94, 0.9))
CRAYONS = (
    (0.9, 0.1, 0.12), (0.98, 0.5, 0.1), (1.0, 0.86, 0.1), (0.2, 0.65, 0.2), (0.1, 0.4, 0.15), (0.1, 0.3, 0.8),
    (0.4, 0.7, 0.95), (0.45, 0.2, 0.6), (0.95, 0.55, 0.7), (0.45, 0.27, 0.12), (0.8, 0.6, 0.4), (0.12, 0.12, 0.14),
    (0.6, 0.6, 0.62), (1.0, 1.0, 1.0),
)  # fmt: skip


def pencil_sketch(picture_HW3: Picture, rng: Generator) -> Picture:
    """Grey lines where the picture is darker than round about, and light shading in one direction."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    lines = 1 - np.clip(grey / (canvas.blur(grey, rng.uniform(2, 3.5) * size) + 0.02), 0, 1)
    marks = strokes(grey.shape, 1.3 * size, 22 * size, rng.uniform(0.6, 1.0), rng)
    shade = np.clip(0.85 - grey, 0, 1) * np.clip(2.2 * marks - 0.45, 0, 1) * rng.uniform(0.55, 0.85)
    lead = np.clip(1.9 * lines + shade, 0, 1) * (0.9 + 0.12 * canvas.grain(grey.shape, rng))
    return inked(0.85 * lead, pick(((0.24, 0.24, 0.26),), rng), pick(OFF_WHITES, rng, 0.01), rng, 0.04)


def coloured_pencil(picture_HW3: Picture, rng: Generator) -> Picture:
    """Strokes of colour that let white paper through."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    colour = canvas.saturate(canvas.blur(picture_HW3, 0.8 * size), rng.uniform(1.6, 2.1)) * 0.95
    angle = rng.uniform(0.5, 1.1) * rng.choice([-1, 1])
    marks = strokes(grey.shape, 1.4 * size, 16 * size, angle, rng)
    crossed = strokes(grey.shape, 1.4 * size, 16 * size, angle + 0.5, rng)
    cover = (0.35 + 0.6 * (1 - grey)) * (0.3 + 1.1 * np.maximum(marks, 0.8 * crossed))
    cover += 0.7 * contours(grey, 0.9 * size)
    cover *= 0.95 + 0.15 * canvas.grain(grey.shape, rng)
    return canvas.mix(canvas.colour_paper(grey.shape, pick(OFF_WHITES, rng, 0.01), rng), colour, cover)


def charcoal(picture_HW3: Picture, rng: Generator) -> Picture:
    """Smudged deep blacks that catch the tooth of the paper."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    soft = canvas.blur(grey, 1.6 * size)
    smudge = np.clip(1.1 - 1.25 * soft, 0, 1) ** 1.4
    lines = 0.75 * canvas.blur(contours(grey, rng.uniform(1.2, 1.7) * size, -0.03, 40), 0.6 * size)
    marks = strokes(grey.shape, 3 * size, 30 * size, rng.uniform(0.3, 1.3), rng)
    tooth = canvas.blur(canvas.grain(grey.shape, rng), 0.6 * size)
    coal = np.clip(smudge * (0.6 + 0.6 * marks) + lines, 0, 1)
    coal = np.clip(coal + rng.uniform(0.35, 0.55) * tooth * np.sqrt(coal) * (1.15 - coal), 0, 1)
    ground = pick(((0.88, 0.87, 0.84), (0.84, 0.8, 0.72), (0.8, 0.79, 0.77)), rng)
    return inked(coal, (0.07, 0.07, 0.07), ground, rng, 0.12)


def ink_drawing(picture_HW3: Picture, rng: Generator) -> Picture:
    """Pure black lines, solid black in the darkest places."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    lines = 1 - canvas.ink_lines(grey, rng.uniform(0.7, 1.0) * size, 0.985, rng.uniform(-0.002, 0.002), 200)
    solid = np.clip((rng.uniform(0.14, 0.2) - canvas.blur(grey, size)) * 30, 0, 1)
    few = hatching(np.where(grey < 0.32, 0.36, 0.0), 3.6 * size, rng.uniform(0.5, 1.0))
    return inked(np.clip(lines + solid + few, 0, 1), (0.02, 0.02, 0.03), pick(OFF_WHITES, rng, 0.01), rng, 0.02)


def ink_wash(picture_HW3: Picture, rng: Generator) -> Picture:
    """A few pools of diluted ink with wandering borders, and dry dark strokes of the brush."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    down, right = wander(grey.shape, 4.5 * size, 9 * size, rng)
    flowing = canvas.displace(canvas.blur(grey, 2.5 * size), down, right)
    flowing = flowing + 0.25 * (canvas.noise(grey.shape, 28 * size, rng) - 0.5)
    steps = np.clip(1.05 - 1.3 * flowing, 0, 1) ** 1.6 * 4
    pools = (np.floor(steps) + np.clip((steps % 1) * 5, 0, 1)) / 4
    rims = np.clip(canvas.edges(pools, 0.7 * size), 0, 1) * 0.08
    dry = strokes(grey.shape, size, 14 * size, rng.uniform(-0.4, 0.4), rng)
    down, right = wander(grey.shape, 1.5 * size, 9 * size, rng)
    brush = canvas.displace(contours(grey, 2.4 * size, -0.045), down, right) * np.clip(1.9 * dry, 0, 1)
    ink = np.clip(0.85 * canvas.blur(pools, 0.6 * size) + rims + 0.85 * brush, 0, 1)
    return inked(ink, pick(((0.08, 0.08, 0.1), (0.1, 0.1, 0.13)), rng, 0.02), pick(RICE, rng, 0.015), rng, 0.05)


def cross_hatching(picture_HW3: Picture, rng: Generator) -> Picture:
    """Straight lines of black ink, crossed by more where it is darker."""
    size, grey = unit(picture_HW3.shape), canvas.contrast(tone(picture_HW3), 1.1)
    spacing, turn = rng.uniform(3.6, 4.6) * size, rng.uniform(-0.15, 0.15)
    sheet = np.zeros_like(grey)
    for layer, angle in enumerate((0.785, -0.785, 0.05, 1.6)):
        dark = np.clip((0.88 - 0.21 * layer - canvas.blur(grey, 0.7 * size)) * 1.6, 0, 0.5)
        wobble = 1.5 * size * canvas.noise(grey.shape, 24 * size, rng)
        sheet = np.maximum(sheet, hatching(dark, spacing, angle + turn, wobble))
    sheet = np.maximum(sheet, 0.8 * contours(grey, 0.8 * size, -0.02))
    return inked(sheet, (0.04, 0.04, 0.05), pick(OFF_WHITES, rng, 0.01), rng, 0.02)


def stippling(picture_HW3: Picture, rng: Generator) -> Picture:
    """Small black dots, closer together where it is darker."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    height, width = grey.shape
    gap = rng.uniform(1.75, 2.1) * size
    rows, columns = np.meshgrid(np.arange(0, height, gap), np.arange(0, width, gap), indexing="ij")
    rows = np.clip(rows + rng.uniform(-0.42, 0.42, rows.shape) * gap, 0, height - 1).astype(int)
    columns = np.clip(columns + rng.uniform(-0.42, 0.42, columns.shape) * gap, 0, width - 1).astype(int)
    dark = np.clip(1 - canvas.blur(grey, 0.5 * size), 0, 1) ** 1.5 + 0.25 * canvas.edges(grey, size)
    kept = rng.random(rows.shape) * 0.95 + 0.04 < dark[rows, columns]
    empty = np.ones(grey.shape, bool)
    empty[rows[kept], columns[kept]] = False
    distance = ndimage.distance_transform_edt(empty) / size
    spots = np.clip(1.3 - distance + rng.uniform(-0.1, 0.1), 0, 1)
    return inked(spots.astype(np.float32), (0.03, 0.03, 0.04), pick(OFF_WHITES, rng, 0.01), rng, 0.01)


def chalk_on_blackboard(picture_HW3: Picture, rng: Generator) -> Picture:
    """White chalk, broken by the grain, on a dark board with wiped dust."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    rough = np.clip(0.55 + 0.5 * canvas.blur(canvas.grain(grey.shape, rng), 0.5 * size), 0, 1)
    marks = strokes(grey.shape, 2.2 * size, 26 * size, rng.uniform(0.5, 1.1), rng)
    fill = np.clip(canvas.blur(grey, size) * 1.4 - 0.55, 0, 1) * np.clip(2 * marks - 0.5, 0, 1) * 0.85
    lines = np.clip(canvas.edges(grey, 1.3 * size) * 1.5 - 0.55, 0, 1)
    dust = 0.13 * strokes(grey.shape, 14 * size, 90 * size, rng.uniform(-0.3, 0.3), rng)
    chalk = np.clip(1.5 * rough * np.maximum(lines, fill) + dust, 0, 0.96)
    board = pick(((0.13, 0.2, 0.17), (0.12, 0.13, 0.14), (0.1, 0.22, 0.17)), rng, 0.015)
    return inked(chalk, (0.96, 0.96, 0.93), board, rng, 0.12)


def pastel(picture_HW3: Picture, rng: Generator) -> Picture:
    """Powdery broad strokes of light colour on a toned paper whose tooth shows."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    angle = rng.uniform(0.4, 1.2) * rng.choice([-1, 1])
    shift = 7 * size * (strokes(grey.shape, 3.5 * size, 18 * size, angle, rng) - 0.5)
    soft = canvas.displace(canvas.blur(picture_HW3, 0.7 * size), shift * np.sin(angle), shift * np.cos(angle))
    colour = np.clip(canvas.saturate(soft, rng.uniform(1.7, 2.2)) * 0.78 + 0.2, 0, 1)
    colour = np.clip(colour + 0.22 * (strokes(grey.shape, 3 * size, 20 * size, angle, rng)[..., None] - 0.5), 0, 1)
    tooth = canvas.blur(canvas.grain(grey.shape, rng), 0.75 * size)
    cover = np.clip(0.95 + 0.85 * tooth, 0.1, 1)
    toned = pick(((0.72, 0.62, 0.52), (0.55, 0.56, 0.62), (0.78, 0.7, 0.66), (0.5, 0.45, 0.42)), rng)
    return canvas.mix(canvas.colour_paper(grey.shape, toned, rng, 0.1), colour.astype(np.float32), cover)


def crayon(picture_HW3: Picture, rng: Generator) -> Picture:
    """Thick waxy scribbles in the colours of a box of crayons, with a wax outline."""
    size = unit(picture_HW3.shape)
    bright = canvas.saturate(canvas.blur(picture_HW3, 2 * size), rng.uniform(1.7, 2.3))
    grey = tone(bright)
    down, right = wander(grey.shape, 2.5 * size, 7 * size, rng)
    lifted = np.clip(0.2 + 0.85 * bright + 0.15 * (grey[..., None] - 0.5), 0, 1)
    colour = canvas.displace(canvas.nearest_colours(lifted, CRAYONS), down, right)
    curl = 5 * size * canvas.noise(grey.shape, 20 * size, rng)
    gaps = canvas.stripes(grey.shape, rng.uniform(5, 6.5) * size, rng.uniform(0.3, 1.2), curl)
    wax = 0.5 * canvas.blur(canvas.grain(grey.shape, rng), 0.8 * size)
    cover = np.clip(1.45 - 0.9 * gaps + 1.1 * wax, 0, 0.95)
    sheet = canvas.mix(canvas.colour_paper(grey.shape, pick(OFF_WHITES, rng, 0.01), rng), colour, cover)
    outline = canvas.displace(contours(grey, 2.2 * size, -0.02), down, right) * np.clip(0.9 + wax, 0, 1)
    return canvas.mix(sheet, pick(((0.1, 0.1, 0.12), (0.3, 0.15, 0.08), (0.1, 0.12, 0.4)), rng), 0.85 * outline)


def ballpoint(picture_HW3: Picture, rng: Generator) -> Picture:
    """Thin blue pen strokes laid over one another, scribbled in layers."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    dark = np.clip(0.97 - canvas.blur(grey, 0.6 * size), 0, 1)
    sheet = np.zeros_like(grey)
    for layer, angle in enumerate(rng.uniform(0.3, 1.2) + np.array([0.0, 0.45, -0.5, 1.3])):
        wobble = 5 * size * canvas.noise(grey.shape, 26 * size, rng)
        share = np.clip(dark * 1.7 - 0.3 * layer, 0, 0.55)
        sheet = sheet + (0.62 - 0.07 * layer) * (1 - sheet) * hatching(share, 2.9 * size, angle, wobble)
    sheet = np.maximum(sheet, contours(grey, 0.8 * size, -0.015))
    ink = pick(((0.08, 0.13, 0.6), (0.1, 0.15, 0.68), (0.08, 0.1, 0.5)), rng)
    return inked(0.95 * sheet, ink, pick(OFF_WHITES, rng, 0.01), rng, 0.02)


def line_drawing(picture_HW3: Picture, rng: Generator) -> Picture:
    """Clean even outlines on plain white, nothing filled in: a page to colour."""
    size = unit(picture_HW3.shape)
    grey = tone(calm(canvas.blur(picture_HW3, 0.8 * size), 3 * size))
    lines = contours(grey, rng.uniform(0.9, 1.2) * size, -0.014, 200)
    labels, count = ndimage.label(lines > 0.4, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    kept = (sizes >= 30 * size * size)[labels] & (labels > 0)
    return canvas.mix(np.ones_like(picture_HW3), (0.03, 0.03, 0.03), np.clip(1.4 * lines * kept, 0, 1))


def marker_drawing(picture_HW3: Picture, rng: Generator) -> Picture:
    """Flat bright bands of a felt-tip pen that overlap in streaks, with thick black lines."""
    size = unit(picture_HW3.shape)
    flat = calm(picture_HW3, 5 * size)
    grey = tone(flat)
    labels, colours = canvas.quantise(canvas.saturate(flat, rng.uniform(1.7, 2.2)), int(rng.integers(9, 13)))
    colour = np.clip(0.15 + 0.95 * colours[labels], 0, 1).astype(np.float32)
    wobble = 2 * size * canvas.noise(grey.shape, 30 * size, rng)
    overlap = canvas.stripes(grey.shape, rng.uniform(8, 11) * size, rng.uniform(-0.7, 0.7), wobble)
    colour = colour * (1 - 0.2 * np.clip(overlap * 5 - 3.8, 0, 1))[..., None]
    white = np.clip((grey - 0.86) * 20, 0, 1)
    lines = contours(canvas.blur(grey, 0.6 * size), rng.uniform(1.4, 1.9) * size, -0.016, 150)
    return canvas.mix(canvas.mix(colour, (0.99, 0.99, 0.98), white), (0.03, 0.03, 0.04), np.clip(1.3 * lines, 0, 1))


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "pencil-sketch", pencil_sketch,
        ("a pencil sketch", "a pencil drawing", "a graphite sketch", "a grey pencil sketch on white paper",
         "a gray pencil sketch on white paper", "a sketch drawn with a soft graphite pencil"),
        ("graphite on paper", "a soft pencil drawing on paper"),
    ),
    Rendering(
        "coloured-pencil", coloured_pencil,
        ("a coloured pencil drawing", "a colored pencil drawing", "a drawing in coloured pencils",
         "a drawing in colored pencils", "a coloured pencil sketch with fine strokes", "colored pencil art"),
        ("coloured pencils on paper", "a sketch in colored pencils", "coloured pencil art"),
    ),
    Rendering(
        "charcoal", charcoal,
        ("a charcoal drawing", "a charcoal sketch", "a smudged charcoal drawing on rough paper",
         "a drawing in black charcoal", "a sketch in soft charcoal", "charcoal art"),
        ("charcoal on paper", "a rough drawing in charcoal"),
    ),
    Rendering(
        "ink-drawing", ink_drawing,
        ("an ink drawing", "a pen and ink drawing", "a black ink drawing on white paper",
         "a black and white ink drawing", "a sketch in black ink lines", "pen and ink art"),
        ("pen and ink on paper", "a drawing in black ink lines"),
    ),
    Rendering(
        "ink-wash", ink_wash,
        ("an ink wash painting", "a sumi-e painting", "a Chinese ink painting", "a Japanese brush and ink painting",
         "a sumi-e ink wash on rice paper", "a wash of diluted black ink with a brush"),
        ("ink wash on rice paper", "a sumi-e brush painting"),
    ),
    Rendering(
        "cross-hatching", cross_hatching,
        ("a cross-hatched drawing", "cross-hatching", "an engraving", "a drawing in crossed hatching lines",
         "an engraving with crossed straight lines", "a cross-hatched pen engraving"),
        ("an engraving with cross-hatching", "a drawing with hatching lines"),
    ),
    Rendering(
        "stippling", stippling,
        ("a stippled drawing", "stippling", "a drawing made of tiny ink dots", "stipple art in black dots",
         "a stipple drawing with an ink pen", "fine black ink dots on white paper"),
        ("a stippling of tiny black ink dots", "a stippled ink drawing"),
    ),
    Rendering(
        "chalk-on-blackboard", chalk_on_blackboard,
        ("a chalk drawing on a blackboard", "a chalkboard drawing", "white chalk on a blackboard",
         "a drawing in white chalk on a dark board", "chalk art on a chalkboard", "a blackboard sketch in chalk"),
        ("a chalk sketch on a chalkboard", "a blackboard drawing in white chalk"),
    ),
    Rendering(
        "pastel", pastel,
        ("a pastel drawing", "a soft pastel painting", "a drawing in chalky pastels", "pastel art on toned paper",
         "a pastel sketch in powdery colours", "a pastel sketch in powdery colors"),
        ("soft pastels on toned paper", "a drawing in soft pastel"),
    ),
    Rendering(
        "crayon", crayon,
        ("a crayon drawing", "a child's crayon drawing", "a drawing in wax crayons", "crayon scribbles on paper",
         "a colourful wax crayon picture", "a colorful wax crayon picture"),
        ("wax crayon on paper", "a child's picture in crayons"),
    ),
    Rendering(
        "ballpoint", ballpoint,
        ("a ballpoint pen drawing", "a blue ballpoint drawing", "a sketch in blue biro", "a blue pen drawing",
         "a doodle in blue ballpoint pen", "a biro drawing"),
        ("blue ballpoint pen on paper", "a blue biro sketch"),
    ),
    Rendering(
        "line-drawing", line_drawing,
        ("a line drawing", "a coloring book page", "a colouring book page", "a simple outline drawing",
         "clean outlines on a white page", "line art with no shading"),
        ("a simple line drawing with clean outlines", "a colouring book outline", "a coloring book outline"),
    ),
    Rendering(
        "marker-drawing", marker_drawing,
        ("a marker drawing", "a felt-tip pen drawing", "a drawing in bright markers",
         "marker art with bold black lines", "a picture coloured with felt-tip markers",
         "a picture colored with felt-tip markers"),
        ("bright felt-tip art", "a bold drawing in felt-tip markers"),
    ),
)  # fmt: skip
