"""Prints from a cut block, an etched plate, a screen, a press, or light on sensitised paper.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings import canvas, posters
from tasks.training.renderings.canvas import Colour, Generator, Picture, Rendering, unit
from tasks.training.renderings.marks import calm, contours, dots, hatching, inked, pick, strokes, tone

CREAMS: tuple[Colour, ...] = ((0.95, 0.92, 0.83), (0.94, 0.9, 0.8), (0.93, 0.88, 0.76))
LINO_INKS: tuple[Colour, ...] = ((0.85, 0.25, 0.15), (0.9, 0.6, 0.15), (0.15, 0.55, 0.55), (0.35, 0.6, 0.3))
POP: tuple[tuple[Colour, ...], ...] = (
    ((0.15, 0.05, 0.4), (0.95, 0.1, 0.5), (1.0, 0.6, 0.1), (1.0, 0.95, 0.2)),
    ((0.05, 0.1, 0.35), (0.0, 0.6, 0.9), (1.0, 0.3, 0.6), (1.0, 0.9, 0.1)),
    ((0.1, 0.05, 0.1), (0.9, 0.1, 0.15), (0.1, 0.75, 0.75), (1.0, 0.85, 0.75)),
    ((0.3, 0.0, 0.35), (0.1, 0.65, 0.3), (1.0, 0.45, 0.1), (0.6, 0.95, 1.0)),
    ((0.02, 0.2, 0.3), (0.5, 0.2, 0.8), (1.0, 0.35, 0.65), (0.75, 1.0, 0.3)),
)
UKIYOE: tuple[Colour, ...] = (
    (0.13, 0.2, 0.36), (0.3, 0.44, 0.56), (0.6, 0.7, 0.7), (0.9, 0.84, 0.68), (0.84, 0.7, 0.48), (0.76, 0.36, 0.24),
    (0.5, 0.36, 0.28), (0.42, 0.5, 0.36), (0.66, 0.66, 0.48), (0.24, 0.24, 0.24), (0.96, 0.93, 0.82),
)  # fmt: skip
RISO_PAIRS: tuple[tuple[Colour, Colour], ...] = (
    ((1.0, 0.3, 0.5), (0.0, 0.4, 0.75)), ((1.0, 0.42, 0.2), (0.0, 0.5, 0.48)), ((1.0, 0.8, 0.1), (0.25, 0.3, 0.8)),
    ((0.95, 0.28, 0.6), (0.0, 0.55, 0.35)), ((0.3, 0.75, 0.9), (0.95, 0.25, 0.3)),
)  # fmt: skip


def woodcut(picture_HW3: Picture, rng: Generator) -> Picture:
    """Black ink from a block, with white gouge marks that swell in the light and bend with the form."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    soft = canvas.blur(grey, 1.3 * size)
    bend = 16 * size * canvas.blur(grey, 3 * size) + 4 * size * canvas.noise(grey.shape, 18 * size, rng)
    light = np.clip((soft - 0.28) * 1.9 + 0.3 * (canvas.noise(grey.shape, 5 * size, rng) - 0.5), 0, 1)
    gouged = hatching(light, rng.uniform(5.0, 6.5) * size, rng.uniform(-0.5, 0.5), bend)
    gouged = np.maximum(gouged, np.clip((soft - 0.66) * 20, 0, 1)) * (1 - contours(grey, 1.7 * size, -0.03, 200))
    gaps = strokes(grey.shape, 1.2 * size, 45 * size, rng.uniform(-0.05, 0.05), rng)
    ink = (1 - gouged) * (1 - 0.6 * np.clip(6 * gaps - 5.1, 0, 1))
    return inked(ink, (0.05, 0.05, 0.05), pick(((0.98, 0.97, 0.94), (0.96, 0.94, 0.88)), rng, 0.01), rng, 0.03)


def linocut(picture_HW3: Picture, rng: Generator) -> Picture:
    """Two blocks of flat ink, a coloured one and a dark one, with chips left by the gouge."""
    size = unit(picture_HW3.shape)
    grey = tone(calm(picture_HW3, 3 * size))
    wavy = canvas.blur(grey, 1.2 * size) + 0.12 * (canvas.noise(grey.shape, 5 * size, rng) - 0.5)
    chips = np.clip(9 * strokes(grey.shape, 2.2 * size, 9 * size, rng.uniform(0, 3.1), rng) - 7.6, 0, 1)
    paper_seen = np.clip((wavy - rng.uniform(0.62, 0.7)) * 25, 0, 1)
    dark = np.clip((rng.uniform(0.32, 0.4) - wavy) * 25, 0, 1) * (1 - chips)
    dark = np.maximum(dark, contours(grey, 1.8 * size, -0.035, 200))
    mottle = 0.12 * canvas.blur(canvas.grain(grey.shape, rng), 0.6 * size)
    second = inked((1 - paper_seen) * (1 - chips * (wavy > 0.5)) * (0.95 + mottle), pick(LINO_INKS, rng),
                   pick(CREAMS, rng, 0.015), rng, 0.03)  # fmt: skip
    key = pick(((0.06, 0.07, 0.1), (0.08, 0.12, 0.28), (0.12, 0.05, 0.06)), rng, 0.02)
    return canvas.mix(second, key, dark * (0.96 + mottle))


def ukiyoe(picture_HW3: Picture, rng: Generator) -> Picture:
    """Flat muted colours with thin dark blue outlines, the grain of the block, and a graded band at the top."""
    size = unit(picture_HW3.shape)
    flat = calm(canvas.saturate(picture_HW3, rng.uniform(1.3, 1.7)), 3 * size)
    grey = tone(flat)
    lifted = np.clip(flat + (0.22 + 0.78 * grey - canvas.luminance(flat))[..., None], 0, 1)
    colour = canvas.blur(canvas.nearest_colours(lifted, UKIYOE), 0.5 * size)
    rows, _ = canvas.coordinates(grey.shape)
    band = np.clip(1 - rows / (rng.uniform(0.2, 0.34) * grey.shape[0]), 0, 1) * np.clip(3 * grey - 1, 0, 1)
    colour = canvas.mix(colour, (0.14, 0.26, 0.46), 0.9 * band)
    wood = strokes(grey.shape, 1.6 * size, 70 * size, rng.uniform(-0.06, 0.06), rng)
    colour = colour * (0.94 + 0.1 * wood)[..., None]
    lines = contours(tone(picture_HW3), rng.uniform(0.9, 1.2) * size, -0.02, 150)
    return np.clip(canvas.mix(colour, (0.1, 0.13, 0.25), lines), 0, 1)


def pop_art(picture_HW3: Picture, rng: Generator) -> Picture:
    """A few flat vivid colours by brightness, a dark screen on top printed a little out of place."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    palette = POP[rng.integers(len(POP))]
    soft = canvas.contrast(canvas.blur(grey, 1.8 * size), 1.15)
    colour = canvas.ramp(canvas.posterise(soft, 4), palette)
    shift = np.full(grey.shape, rng.uniform(-3, 3) * size, np.float32)
    askew = (0.5 * shift).astype(np.float32)
    screen = np.clip((rng.uniform(0.2, 0.28) - canvas.blur(grey, 0.8 * size)) * 40, 0, 1)
    screen = canvas.displace(np.maximum(screen, contours(grey, 1.3 * size, -0.05, 200)), askew, shift)
    return canvas.mix(colour, palette[0] if rng.random() < 0.5 else (0.04, 0.03, 0.06), screen)


def comic(picture_HW3: Picture, rng: Generator) -> Picture:
    """Primary colours printed in dots, under black ink lines."""
    size = unit(picture_HW3.shape)
    flat = canvas.saturate(calm(picture_HW3, 3 * size), rng.uniform(1.7, 2.2))
    grey, spacing = tone(flat), rng.uniform(5.0, 6.2) * size
    light = np.clip(flat * 0.8 + 0.25 + 0.25 * (grey[..., None] - 0.4), 0, 1)
    angles = (0.26, 1.31, 0.0)  # of the cyan, magenta and yellow screens of a press: 15, 75 and 0 degrees
    dark = (0.9 * (1 - light) ** 1.1).astype(np.float32)
    screens = [dots(dark[..., ink], spacing, angle) for ink, angle in enumerate(angles)]
    colour = np.clip(1 - np.stack(screens, -1) * 0.95, 0, 1)
    colour = 0.3 * canvas.posterise(light, 4) + 0.7 * colour
    black = np.maximum(contours(tone(picture_HW3), 1.3 * size, -0.02, 200), np.clip((0.14 - grey) * 40, 0, 1))
    return canvas.mix(colour * np.array(pick(((0.99, 0.97, 0.9),), rng, 0.01), np.float32), (0.03, 0.02, 0.03), black)


def newspaper(picture_HW3: Picture, rng: Generator) -> Picture:
    """One screen of black dots on greyish newsprint."""
    size, grey = unit(picture_HW3.shape), canvas.contrast(tone(picture_HW3), 1.1)
    dark = np.clip(1 - canvas.blur(grey, 0.7 * size), 0.04, 0.92)
    angle = np.pi / 4 + rng.uniform(-0.06, 0.06)
    ink = dots(dark, rng.uniform(4.0, 5.2) * size, angle) * (0.88 + 0.08 * canvas.grain(grey.shape, rng))
    ground = pick(((0.86, 0.84, 0.78), (0.84, 0.83, 0.8), (0.88, 0.85, 0.77)), rng, 0.015)
    return inked(ink, (0.1, 0.1, 0.1), ground, rng, 0.06)


def risograph(picture_HW3: Picture, rng: Generator) -> Picture:
    """Two bright inks that let light through, grainy, the second printed out of place."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    first, second = RISO_PAIRS[rng.integers(len(RISO_PAIRS))]
    warm = np.clip(0.5 + 1.2 * (picture_HW3[..., 0] - picture_HW3[..., 2]), 0, 1)
    plates = (np.clip(1.25 * (1 - grey) * (0.55 + 0.7 * warm), 0, 1), np.clip(1.35 * (1 - grey) - 0.35, 0, 1))
    sheet = canvas.colour_paper(grey.shape, pick(((0.97, 0.96, 0.92),), rng, 0.01), rng, 0.02)
    for plate, ink in zip(plates, (first, second), strict=True):
        moved = np.full(grey.shape, rng.choice([-1, 1]) * rng.uniform(1.8, 3.5) * size, np.float32)
        screen = canvas.displace(plate, moved, -moved) + 0.3 * canvas.grain(grey.shape, rng) * (plate > 0.04)
        share = np.clip((screen - 0.38) * 2.6, 0, 1) * (0.92 + 0.1 * canvas.noise(grey.shape, 30 * size, rng))
        sheet = sheet * (1 - np.clip(share, 0, 1)[..., None] * (1 - np.array(ink, np.float32)))
    return np.clip(sheet, 0, 1).astype(np.float32)


def etching(picture_HW3: Picture, rng: Generator) -> Picture:
    """Very fine bent lines in brown-black, a film of ink left on the plate, the plate's edge pressed in paper."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    ground = pick(((0.9, 0.83, 0.68), (0.88, 0.8, 0.65), (0.92, 0.86, 0.74)), rng, 0.015)
    dark = np.clip(0.95 - canvas.blur(grey, 0.6 * size), 0, 1)
    bend = 12 * size * canvas.blur(grey, 4 * size) + 8 * size * canvas.noise(grey.shape, 30 * size, rng)
    first, broken = rng.uniform(-0.3, 0.3), np.clip(0.4 + strokes(grey.shape, 2 * size, 20 * size, 0.2, rng), 0, 1)
    lines = broken * hatching(1.1 * dark - 0.1, 2.6 * size, first, bend)
    lines = np.maximum(lines, hatching(1.1 * dark - 0.4, 2.6 * size, first + 0.9, bend))
    ink = np.clip(0.12 + 0.2 * dark + 0.75 * lines + 0.6 * contours(grey, 0.7 * size, -0.02), 0, 0.96)
    rows, columns = canvas.coordinates(grey.shape)
    inside = np.minimum(np.minimum(rows, grey.shape[0] - 1 - rows), np.minimum(columns, grey.shape[1] - 1 - columns))
    margin = rng.uniform(7, 12) * size
    ink = ink * np.clip(inside - margin, 0, 1) + 0.3 * np.exp(-(((inside - margin) / (0.8 * size)) ** 2))
    return inked(ink.astype(np.float32), pick(((0.16, 0.1, 0.06), (0.13, 0.1, 0.09)), rng, 0.02), ground, rng, 0.05)


def blueprint(picture_HW3: Picture, rng: Generator) -> Picture:
    """White outlines and a measured grid on bright blue."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    lines = np.maximum(contours(grey, 0.9 * size, -0.012, 120), 0.12 * canvas.edges(grey, size))
    rows, columns = canvas.coordinates(grey.shape)
    step = rng.uniform(9, 13) * size
    fine = ((rows % step) < 1) | ((columns % step) < 1)
    coarse = ((rows % (4 * step)) < 1) | ((columns % (4 * step)) < 1)
    drawn = np.maximum(0.95 * lines, 0.14 * fine + 0.2 * coarse)
    blue = pick(((0.1, 0.3, 0.68), (0.13, 0.36, 0.75), (0.08, 0.27, 0.6)), rng, 0.02)
    return inked(drawn.astype(np.float32), (0.93, 0.96, 1.0), blue, rng, 0.1)


def cyanotype(picture_HW3: Picture, rng: Generator) -> Picture:
    """A photograph in Prussian blue and white, its coating most often brushed on by hand, ragged at the border."""
    size, grey = unit(picture_HW3.shape), tone(picture_HW3)
    shades: tuple[Colour, ...] = ((0.02, 0.08, 0.24), (0.06, 0.25, 0.5), (0.42, 0.62, 0.78), (0.92, 0.95, 0.94))
    blue = canvas.ramp(canvas.contrast(canvas.blur(grey, 0.5 * size), rng.uniform(1.0, 1.25)), shades)
    rows, columns = canvas.coordinates(grey.shape)
    sides = [rows, grey.shape[0] - 1 - rows, columns, grey.shape[1] - 1 - columns]
    ragged = [side + 9 * size * (strokes(grey.shape, 2.2 * size, 40 * size, turn, rng) - 0.5)
              for side, turn in zip(sides, (0.03, -0.03, 1.55, 1.6), strict=True)]  # fmt: skip
    coated = np.clip((np.min(ragged, 0) - rng.uniform(7, 12) * size) / (1.5 * size), 0, 1)
    coated = np.maximum(coated, rng.random() < 0.4)
    bare = canvas.colour_paper(grey.shape, pick(((0.95, 0.94, 0.89),), rng, 0.015), rng, 0.05)
    return np.clip(canvas.mix(bare, blue * canvas.paper(grey.shape, rng, 0.12)[..., None], coated), 0, 1)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "woodcut", woodcut,
        ("a woodcut", "a woodcut print", "a black and white woodcut", "a woodblock carved in bold black lines",
         "a print from a carved wood block", "a black woodcut with carved white lines"),
        ("a carved woodcut print in black and white", "a bold black woodcut"),
    ),
    Rendering(
        "linocut", linocut,
        ("a linocut", "a linocut print", "a lino print in two colours", "a lino print in two colors",
         "a two-colour linocut", "a block print cut in lino", "a two-color linocut"),
        ("a two-colour lino print", "a two-color lino print"),
    ),
    Rendering(
        "ukiyo-e", ukiyoe,
        ("a ukiyo-e print", "a Japanese woodblock print", "an ukiyo-e woodblock print",
         "a Japanese print in the style of Hokusai", "a Japanese woodblock print in flat muted colours",
         "a Japanese woodblock print in flat muted colors"),
        ("ukiyo-e in the style of Hokusai", "a ukiyo-e Japanese print"),
    ),
    Rendering(
        "pop-art", pop_art,
        ("pop art", "a pop art print", "a silkscreen print", "a screen print in vivid flat colours",
         "a screen print in vivid flat colors", "a pop art silkscreen in the style of Andy Warhol"),
        ("a silkscreen in the style of Warhol", "a vivid pop art screen print"),
    ),
    Rendering(
        "comic", comic,
        ("a comic book panel", "comic book art", "a comic strip with halftone dots",
         "a comic in the style of Roy Lichtenstein", "a comic book drawing with coloured dots",
         "a comic book drawing with colored dots"),
        ("a comic strip panel", "a comic book picture in coloured dots"),
    ),
    Rendering(
        "newspaper-halftone", newspaper,
        ("a newspaper photograph", "a newspaper halftone", "a halftone print in black dots",
         "a black and white halftone on newsprint", "a photograph printed in a newspaper",
         "a newspaper picture made of halftone dots"),
        ("a halftone photograph on newsprint", "a black and white newspaper print"),
    ),
    Rendering(
        "risograph", risograph,
        ("a risograph print", "a riso print", "a riso print in two inks", "a two-colour risograph",
         "a two-color risograph", "a grainy risograph with misregistered inks"),
        ("a grainy riso print", "a risograph in two misregistered inks"),
    ),
    Rendering(
        "etching", etching,
        ("an etching", "an old etching", "an etching in fine brown lines", "a fine-lined copperplate etching",
         "an antique etching on cream paper", "a print from an etched copperplate"),
        ("an antique copperplate etching", "an etching with fine lines"),
    ),
    Rendering(
        "blueprint", blueprint,
        ("a blueprint", "a blueprint drawing", "an architect's blueprint", "white lines on a blueprint",
         "a technical blueprint with a grid", "a blueprint plan with white lines on blue"),
        ("a technical blueprint drawing", "an architect's plan on a blueprint"),
    ),
    Rendering(
        "cyanotype", cyanotype,
        ("a cyanotype", "a cyanotype print", "a cyanotype photograph", "a photograph in Prussian blue",
         "a sun print in Prussian blue and white", "a hand-coated cyanotype on paper"),
        ("a Prussian blue cyanotype", "a cyanotype sun print"),
    ),
    *posters.RENDERINGS,
)  # fmt: skip
