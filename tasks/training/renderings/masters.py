"""Renderings after painters, potters and cities: Munch, Pollock, Klimt, porcelain, cyberpunk.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Rendering,
    blur,
    contrast,
    coordinates,
    displace,
    edges,
    equalise,
    grain,
    ink_lines,
    kuwahara,
    luminance,
    mix,
    noise,
    ramp,
    saturate,
    smear,
    unit,
)
from tasks.training.renderings.fields import fractal, plane, radius, ridges, size, streaks
from tasks.training.renderings.surface import broad_cells, lit, shade, strokes


def munch(picture_HW3: Picture, rng: Generator) -> Picture:
    """Long wavering bands of paint: a burning orange sky over dark blues and greens."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    bend = 2 * np.pi * (columns / rng.uniform(110, 170) / scale + 0.8 * noise(shape, 90 * scale, rng))
    sway = plane(rng.uniform(4, 8) * scale * np.sin(bend)), plane(2 * scale * np.cos(bend))
    seen = displace(kuwahara(picture_HW3, round(4 * scale)), *sway)
    warm = ramp(equalise(luminance(seen)), ((0.3, 0.05, 0.04), (0.8, 0.22, 0.05), (0.97, 0.55, 0.12), (1, 0.85, 0.5)))
    cold = ramp(
        equalise(luminance(seen)), ((0.02, 0.05, 0.12), (0.08, 0.2, 0.32), (0.28, 0.45, 0.42), (0.8, 0.72, 0.5))
    )
    land_HW = np.clip((rows + sway[0] - rng.uniform(0.3, 0.5) * shape[0]) / (14 * scale), 0, 1)
    paint = mix(saturate(seen, 1.2), mix(warm, cold, plane(land_HW)), np.full(shape, rng.uniform(0.65, 0.85)))
    bands = np.sin(2 * np.pi * (rows + 3 * sway[0]) / (rng.uniform(9, 13) * scale))
    paint = np.clip(paint + 0.11 * bands[..., None] * np.array((1.0, 0.7, 0.4), np.float32), 0, 1)
    angle = np.arctan(0.55 * np.cos(bend)).astype(np.float32)
    return strokes(blur(paint, scale), paint, angle, rng, (22 * scale, 2.4 * scale), 1.2, 0.07)


def drip(picture_HW3: Picture, rng: Generator) -> Picture:
    """Looping skeins of thin paint and splashes all over a canvas; the picture hides beneath."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    ground = mix(blur(saturate(picture_HW3, 1.3), 2 * scale), (0.88, 0.82, 0.7), np.full(shape, rng.uniform(0.25, 0.5)))
    image = Image.fromarray((np.repeat(np.repeat(ground, 2, 0), 2, 1) * 255).astype(np.uint8))
    pen, side = ImageDraw.Draw(image), 2 * scale
    vivid = (np.clip(contrast(saturate(picture_HW3, 2.2), 1.5), 0, 1) * 255).astype(int)
    for _ in range(int(rng.integers(110, 150))):
        at = rng.uniform(0, 1, 2) * shape
        plain = [(12, 12, 14), (245, 240, 230)][int(rng.random() < 0.4)]
        colour = tuple(vivid[int(at[0]), int(at[1])].tolist()) if rng.random() < 0.6 else plain
        turns = np.cumsum(rng.normal(0, 0.35) + rng.normal(0, 0.35, 26)) + rng.uniform(0, 6)
        steps = np.stack([np.cos(turns), np.sin(turns)], -1) * rng.uniform(2, 5) * side
        way = [tuple(point) for point in (np.cumsum(steps, 0) + at[::-1] * 2).tolist()]
        pen.line(way, colour, max(1, round(rng.choice([0.5, 0.8, 1.5]) * side)), joint="curve")
        for x, y in way[:: int(rng.integers(3, 9))]:
            r, dx, dy = rng.exponential(0.9) * side, *rng.normal(0, 5, 2) * side
            pen.ellipse((x + dx - r, y + dy - r, x + dx + r, y + dy + r), colour)
    paint = np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float32) / np.float32(255)
    return np.clip(lit(paint, np.clip(shade(luminance(paint), 0.8, 0.8), 0.5, 1.5)), 0, 1)


def klimt(picture_HW3: Picture, rng: Generator) -> Picture:
    """Gold leaf over the picture, set with spirals, eyes and small bright tiles."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    grey_HW = equalise(luminance(picture_HW3))
    gold = ramp(grey_HW, ((0.2, 0.1, 0.03), (0.62, 0.42, 0.1), (0.9, 0.72, 0.25), (1.0, 0.92, 0.6)))
    paint = mix(saturate(kuwahara(picture_HW3, round(3 * scale)), 1.3), gold, np.full(shape, rng.uniform(0.6, 0.8)))
    fields = broad_cells(shape, rng.uniform(17, 24) * scale, rng)
    count = int(fields.max()) + 1
    inside = np.maximum(1, np.bincount(fields.ravel(), minlength=count))
    middle = [np.bincount(fields.ravel(), axis.ravel(), count) / inside for axis in (rows, columns)]
    down, right = rows - middle[0][fields], columns - middle[1][fields]
    far, turn = np.hypot(down, right) / scale, np.arctan2(down, right)
    spiral_HW = np.cos(rng.choice([-1, 1], count)[fields] * turn + far * rng.uniform(1.3, 1.9)) > 0.35
    tiles_HW = (np.abs(down / scale) % 5 < 2.6) & (np.abs(right / scale) % 7 < 3)
    eyes_HW = (far < 2.5) | ((far > 4) & (far < 5.5))
    kind = rng.choice(4, count, p=(0.45, 0.2, 0.2, 0.15))[fields]
    drawn_HW = np.select([kind == 0, kind == 1, kind == 2], [spiral_HW, tiles_HW, eyes_HW], False) & (far < 9)
    inks = np.array([(0.12, 0.07, 0.04), (0.95, 0.93, 0.85), (0.1, 0.3, 0.5), (0.7, 0.12, 0.08), (1, 0.9, 0.45)])
    ink = inks[rng.choice(5, count, p=(0.35, 0.15, 0.15, 0.1, 0.25))[fields]].astype(np.float32)
    rich = mix(paint, ink, blur(drawn_HW.astype(np.float32), 0.45 * scale) * 0.85)
    glint_HW = np.clip(1 + 0.25 * grain(shape, rng) * (grey_HW > 0.4), 0.6, 1.5)
    return np.clip(lit(rich, plane(glint_HW)), 0, 1)


COBALT: tuple[Colour, ...] = ((0.03, 0.07, 0.36), (0.1, 0.24, 0.66), (0.5, 0.64, 0.88), (0.93, 0.95, 0.97))


def porcelain(picture_HW3: Picture, rng: Generator) -> Picture:
    """Cobalt blue brushed on a shining white glaze: one plate, or tiles with their joints."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    grey_HW = equalise(luminance(kuwahara(picture_HW3, round(3 * scale))))
    wash_HW = np.clip(0.35 + 0.75 * grey_HW + 0.25 * (fractal(shape, 10 * scale, rng) - 0.5), 0, 1)
    wash_HW = np.where(wash_HW > rng.uniform(0.68, 0.8), 1.0, wash_HW)
    lines_HW = ink_lines(luminance(picture_HW3), 1.1 * scale, 0.98, -0.01, 60)
    glaze = ramp(blur(plane(wash_HW), 0.6 * scale), COBALT)
    glaze = mix(np.broadcast_to(np.array(COBALT[0], np.float32), glaze.shape), glaze, lines_HW)
    if rng.random() < 0.6:
        side = shape[0] / int(rng.integers(2, 5))
        joint_HW = np.minimum(rows % side, columns % side) < 1.4 * scale
        glaze = mix(glaze, (0.62, 0.64, 0.66), joint_HW.astype(np.float32))
    else:
        rim_HW = (np.abs(radius(shape) - 0.93) < 0.035) | (np.abs(radius(shape) - 0.83) < 0.012)
        glaze = mix(glaze, (0.96, 0.97, 0.98), plane(radius(shape) > 0.83))
        glaze = mix(glaze, COBALT[1], rim_HW.astype(np.float32))
    crazing_HW = 0.12 * ridges(shape, 18 * scale, rng, 22)
    shine_HW = 0.6 * np.exp(-5 * radius(shape, (rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.9))) ** 2)
    return np.clip(mix(mix(glaze, (0.4, 0.42, 0.5), crazing_HW), (1, 1, 1), plane(0.7 * shine_HW)), 0, 1)


def cyberpunk(picture_HW3: Picture, rng: Generator) -> Picture:
    """A wet night lit in magenta from one side and in teal from the other; rain, and light lying on the ground."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    grey_HW = contrast(equalise(luminance(picture_HW3)), 1.3) ** 1.4
    pink = ramp(plane(grey_HW), ((0.03, 0.0, 0.07), (0.4, 0.02, 0.35), (1.0, 0.15, 0.6), (1.0, 0.8, 0.9)))
    teal = ramp(plane(grey_HW), ((0.0, 0.03, 0.08), (0.0, 0.24, 0.36), (0.05, 0.8, 0.85), (0.8, 1.0, 1.0)))
    side_HW = (columns / shape[1] - 0.5) * rng.choice([-2.5, 2.5]) + 0.5 + 1.4 * (noise(shape, 50 * scale, rng) - 0.5)
    night = mix(pink, teal, plane(side_HW))
    glow = night * (edges(luminance(picture_HW3), 1.3 * scale) * (grey_HW > 0.25))[..., None]
    night = 0.75 * night + 0.9 * glow + 1.2 * blur(glow, 5 * scale)
    mirrored = smear(night[::-1], np.ones(shape, np.float32), np.zeros(shape, np.float32), round(12 * scale))
    wet_HW = 0.75 * np.clip((rows / shape[0] - rng.uniform(0.62, 0.75)) * 8, 0, 1)
    night = mix(night, 0.9 * mirrored, plane(wet_HW))
    rain_HW = np.clip(streaks(shape, 15 * scale, max(1.0, 0.9 * scale), rng) - 0.8, 0, 1)
    return np.clip(night + 1.1 * rain_HW[..., None] * np.array((0.6, 0.75, 0.9), np.float32), 0, 1).astype(np.float32)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "munch",
        munch,
        (
            "The Scream by Edvard Munch",
            "a painting by Edvard Munch",
            "an anxious painting in wavy bands",
            "wavy bands of orange and dark blue paint",
            "a painting in the style of Munch",
            "a burning orange sky in wavering strokes",
        ),
        ("a painting like The Scream", "wavering Munch bands of orange paint"),
    ),
    Rendering(
        "drip",
        drip,
        (
            "an action painting",
            "a drip painting by Jackson Pollock",
            "splattered paint",
            "paint drips and splatters",
            "a canvas splashed with paint",
            "abstract expressionism in the style of Pollock",
            "tangled skeins of dripped paint",
        ),
        ("splashes and drips of paint", "a splattered painting like Jackson Pollock"),
    ),
    Rendering(
        "klimt",
        klimt,
        (
            "The Kiss by Gustav Klimt",
            "a painting by Gustav Klimt",
            "art nouveau with gold ornament",
            "golden spirals and ornaments",
            "an ornamental golden painting",
            "art nouveau",
            "a Viennese secession painting in gold",
        ),
        ("golden ornaments like Klimt", "an art nouveau painting of spirals"),
    ),
    Rendering(
        "porcelain",
        porcelain,
        (
            "blue and white porcelain",
            "Delft tiles",
            "a Delftware tile",
            "a painted porcelain plate",
            "cobalt blue on white china",
            "Chinese porcelain",
            "Delft blue pottery",
        ),
        ("cobalt porcelain tiles", "a Delft china plate"),
    ),
    Rendering(
        "cyberpunk",
        cyberpunk,
        (
            "cyberpunk",
            "a cyberpunk city at night",
            "a rainy night in neon pink and teal",
            "a futuristic cyberpunk street",
            "a dystopian science fiction city",
            "cyberpunk art",
            "a wet neon-lit street of the future",
        ),
        ("a rainy cyberpunk night", "a dystopian cyberpunk street"),
    ),
)
