"""Renderings in what nature is made of: ice, crystal, lava, lightning, stones, fur.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tasks.training.renderings.canvas import (
    BLACK,
    WHITE,
    Colour,
    Generator,
    Picture,
    Plane,
    Rendering,
    blur,
    borders,
    contrast,
    coordinates,
    displace,
    equalise,
    flatten,
    grain,
    luminance,
    mix,
    noise,
    ramp,
    saturate,
    unit,
)
from tasks.training.renderings.fields import fractal, plane, radius, ridges, size
from tasks.training.renderings.surface import broad_cells, choose, lit, shade, strokes


def ice(picture_HW3: Picture, rng: Generator) -> Picture:
    """Seen through a cracked sheet of pale blue ice, frost creeping in from the rim."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    sheets = broad_cells(shape, rng.uniform(26, 40) * scale, rng)
    slip = rng.uniform(-5, 5, (2, int(sheets.max()) + 1)) * scale
    seen = displace(picture_HW3, slip[0][sheets], slip[1][sheets])
    grey_HW = 0.12 + 0.8 * equalise(luminance(seen)) + 0.12 * (fractal(shape, 24 * scale, rng) - 0.5)
    cold = ramp(plane(grey_HW), ((0.02, 0.14, 0.3), (0.2, 0.52, 0.72), (0.66, 0.87, 0.95), (0.97, 1.0, 1.0)))
    cracks_HW = 0.75 * blur(borders(sheets), 0.5 * scale) + 0.55 * ridges(shape, 34 * scale, rng, 14)
    frost_HW = (radius(shape) - rng.uniform(0.85, 1.0) + 0.9 * (fractal(shape, 18 * scale, rng) - 0.5)) * 2.2
    cold = mix(mix(cold, (0.95, 0.99, 1.0), cracks_HW), (0.93, 0.97, 1.0), plane(np.clip(frost_HW, 0, 0.85)))
    return np.clip(cold + 0.02 * grain(shape, rng)[..., None], 0, 1).astype(np.float32)


GEMS: tuple[tuple[Colour, ...], ...] = (
    (BLACK, (0.0, 0.3, 0.14), (0.05, 0.72, 0.36), (0.62, 1.0, 0.75), WHITE),
    (BLACK, (0.22, 0.04, 0.42), (0.58, 0.24, 0.88), (0.88, 0.7, 1.0), WHITE),
    (BLACK, (0.03, 0.1, 0.5), (0.1, 0.42, 0.98), (0.62, 0.85, 1.0), WHITE),
    (BLACK, (0.4, 0.0, 0.1), (0.9, 0.08, 0.26), (1.0, 0.66, 0.74), WHITE),
    (BLACK, (0.2, 0.28, 0.36), (0.55, 0.68, 0.76), (0.86, 0.94, 0.98), WHITE),
)


def crystal(picture_HW3: Picture, rng: Generator) -> Picture:
    """Sharp facets of a clear stone, each with a gleam of its own, bright where two meet."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    facets = broad_cells(shape, rng.uniform(11, 18) * scale, rng)
    count = int(facets.max()) + 1
    turn, offset = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.13, 0.13, count)
    near = [np.bincount(facets.ravel(), axis.ravel(), count) / np.maximum(1, np.bincount(facets.ravel())) for axis in
            (rows, columns)]  # fmt: skip
    across = (rows - near[0][facets]) * np.sin(turn)[facets] + (columns - near[1][facets]) * np.cos(turn)[facets]
    grey_HW = equalise(luminance(flatten(picture_HW3, facets))) * 0.7 + 0.12 + offset[facets]
    grey_HW = grey_HW + 0.3 * across / (10 * scale)
    stone = ramp(plane(np.clip(grey_HW, 0.03, 0.97)), choose(GEMS, rng))
    rims_HW = blur(borders(facets), 0.5 * scale) * 0.8
    sparks_HW = np.clip(noise(shape, 3 * scale, rng) - 0.9, 0, 1) * 8
    return np.clip(mix(stone, WHITE, plane(rims_HW + blur(plane(sparks_HW), 0.6 * scale))), 0, 1)


MOLTEN: tuple[Colour, ...] = (BLACK, (0.3, 0.02, 0), (0.85, 0.16, 0), (1, 0.5, 0.02), (1, 0.86, 0.3), (1, 1, 0.8))


def lava(picture_HW3: Picture, rng: Generator) -> Picture:
    """A black crust, broken where light shines: molten rock glows in the cracks."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = equalise(luminance(picture_HW3))
    plates = broad_cells(shape, rng.uniform(18, 30) * scale, rng)
    jag = [(noise(shape, 7 * scale, rng) - 0.5) * 9 * scale for _ in range(2)]
    cracks_HW = displace(blur(borders(plates, 2), 1.0 * scale), *jag) + 0.6 * ridges(shape, 20 * scale, rng, 10)
    heat_HW = 0.75 * cracks_HW * (0.35 + grey_HW) + 0.9 * np.clip(grey_HW - rng.uniform(0.55, 0.7), 0, 1)
    heat_HW = plane(heat_HW + 0.5 * blur(plane(heat_HW), 4 * scale))
    rough_HW = fractal(shape, 8 * scale, rng)
    crust = ramp(plane(0.25 + 0.5 * grey_HW), ((0.02, 0.015, 0.015), (0.22, 0.18, 0.17)))
    crust = lit(crust, np.clip(shade(2.5 * rough_HW, 0.8, 1.6), 0.2, 1.8))
    return np.clip(crust + ramp(np.clip(heat_HW, 0, 1), MOLTEN), 0, 1)


def _bolts(shape: tuple[int, int], count: int, rng: Generator) -> Plane:
    """1 on forked lightning from the upper rim, drawn twice as fine."""
    image = Image.new("L", (shape[1] * 2, shape[0] * 2))
    pen = ImageDraw.Draw(image)
    step = 0.035 * image.height
    ways = [(rng.uniform(0.1, 0.9) * image.width, 0.0, rng.uniform(-0.5, 0.5), 1.0) for _ in range(count)]
    while ways:
        x, y, lean, strength = ways.pop()
        while y < image.height and strength > 0.1:
            across, down = x + step * (lean + rng.normal(0, 0.9)), y + step * rng.uniform(0.4, 1.0)
            pen.line((x, y, across, down), fill=round(255 * strength), width=max(1, round(strength * step / 4)))
            x, y, strength = across, down, strength - 0.012
            if rng.random() < 0.1 and len(ways) < 12:
                ways.append((x, y, lean + rng.choice([-1.2, 1.2]), 0.55 * strength))
    return plane(np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float32) / 255)


def lightning(picture_HW3: Picture, rng: Generator) -> Picture:
    """A dark violet storm, and forked bolts whose flash lights it."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    bolts_HW = np.clip(1.6 * _bolts(shape, int(rng.integers(2, 5)), rng), 0, 1).astype(np.float32)
    flash_HW = 0.9 * blur(bolts_HW, 2 * scale) + 1.5 * blur(bolts_HW, 9 * scale)
    storm_HW = equalise(luminance(picture_HW3)) * (0.5 + 0.6 * fractal(shape, 50 * scale, rng))
    dark = ramp(plane(0.75 * storm_HW), ((0.01, 0.01, 0.05), (0.12, 0.1, 0.3), (0.42, 0.42, 0.72), (0.85, 0.86, 1.0)))
    tint = np.array([(0.55, 0.5, 1.0), (0.45, 0.65, 1.0), (0.75, 0.5, 1.0)][int(rng.integers(3))], np.float32)
    drawn = dark * (0.75 + 0.8 * flash_HW[..., None]) + tint * 0.8 * flash_HW[..., None]
    return np.clip(mix(np.clip(drawn, 0, 1), (0.97, 0.97, 1.0), bolts_HW), 0, 1)


def stones(picture_HW3: Picture, rng: Generator) -> Picture:
    """Rough rounded stones in their own grey or brown, dark joints between them."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    jag = [(noise(shape, 12 * scale, rng) - 0.5) * 7 * scale for _ in range(2)]
    rocks = displace(plane(broad_cells(shape, rng.uniform(13, 20) * scale, rng)), *jag).astype(np.int64)
    joints_HW = blur(borders(rocks, max(1.0, 2 * scale)), 1.0 * scale)
    dome_HW = 1 - blur(borders(rocks, max(1.0, 3 * scale)), 3 * scale)
    tone = saturate(flatten(contrast(picture_HW3, 1.5), rocks), 0.45)
    tint = np.array([(0.5, 0.48, 0.45), (0.55, 0.43, 0.33), (0.5, 0.5, 0.52)][int(rng.integers(3))], np.float32)
    tone = mix(tone, 0.35 * tint + 1.1 * tint * tone, np.full(shape, rng.uniform(0.4, 0.65), np.float32))
    tone = plane(tone + rng.normal(0, 0.05, int(rocks.max()) + 1)[rocks][..., None])
    rough_HW = 1.2 * fractal(shape, 6 * scale, rng) + 3.0 * dome_HW * scale
    rock = lit(np.clip(tone, 0.05, 0.95), np.clip(shade(plane(rough_HW), 0.8, 1.1), 0.25, 1.7))
    rock = mix(rock, (0.1, 0.09, 0.08), np.clip(1.3 * joints_HW, 0, 0.9))
    return np.clip(rock + 0.04 * grain(shape, rng)[..., None], 0, 1)


def fur(picture_HW3: Picture, rng: Generator) -> Picture:
    """Long fine hairs in tufts, light at their tips."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    tufts = (noise(shape, 34 * scale, rng) - 0.5) * 2.2
    angle = np.float32(rng.uniform(0.9, 2.2)) + tufts
    under = 0.55 * blur(picture_HW3, 4 * scale)
    hair = (rng.uniform(15, 22) * scale, max(1.0, 0.9 * scale))
    coat = strokes(under, 0.8 * blur(picture_HW3, 1.5 * scale), angle, rng, hair, 2.2, 0.05)
    coat = strokes(coat, np.clip(1.1 * picture_HW3 + 0.03, 0, 1), angle, rng, hair, 1.3, 0.07)
    return np.clip(blur(coat, 0.35 * scale), 0, 1)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "ice",
        ice,
        (
            "ice",
            "a picture frozen in ice",
            "frost and ice",
            "blue ice with white cracks",
            "an ice sculpture",
            "a sheet of cracked ice on a lake",
            "a world of ice",
        ),
        ("frozen blue ice", "a cracked frosty sheet of ice"),
    ),
    Rendering(
        "crystal",
        crystal,
        (
            "crystal",
            "a cut gemstone",
            "crystals with sharp facets",
            "a glittering gemstone",
            "faceted crystal glass",
            "precious stones",
            "a crystal cave",
        ),
        ("sharp glittering crystals", "a faceted gem of crystal"),
    ),
    Rendering(
        "lava",
        lava,
        (
            "molten lava",
            "lava",
            "glowing lava between black rocks",
            "a volcanic eruption",
            "magma under a black crust",
            "hot lava rock",
            "a volcano",
        ),
        ("glowing molten magma", "black volcanic rock with hot lava"),
    ),
    Rendering(
        "lightning",
        lightning,
        (
            "lightning",
            "a thunderstorm",
            "bolts of lightning at night",
            "electric sparks",
            "a stormy sky with lightning",
            "electricity",
            "a violet storm lit by a lightning bolt",
        ),
        ("a thunderstorm with bolts of lightning", "electric lightning in a storm"),
    ),
    Rendering(
        "stones",
        stones,
        (
            "a stone wall",
            "a wall of rough stones",
            "cobblestones",
            "a dry stone wall",
            "rocks",
            "a picture made of rough rocks",
            "grey and brown field stones",
        ),
        ("a rough wall of rocks", "rough cobblestones"),
    ),
    Rendering(
        "fur",
        fur,
        (
            "fur",
            "soft animal fur",
            "a picture made of fur",
            "fluffy fur",
            "long soft hair",
            "a hairy coat of fur",
            "a furry animal's coat",
        ),
        ("fluffy animal hair", "a soft furry coat"),
    ),
)
