"""Paint laid on smoothly or in washes: oil, watercolour, gouache, fresco, airbrush, cartoon, colour fields.

Dimension key: H height, W width. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings import brushwork
from tasks.training.renderings.canvas import (
    Generator,
    Picture,
    Rendering,
    blur,
    borders,
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
    paper,
    posterise,
    quantise,
    ramp,
    saturate,
    smear,
    unit,
)
from tasks.training.renderings.surface import broad_cells, canvas_weave, choose, flow, lit, shade


def _oil(picture_HW3: Picture, rng: Generator) -> Picture:
    """Blended dabs, bristle marks along the shapes, varnish and canvas."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    angle = flow(picture_HW3, 4 * size)
    paint = kuwahara(picture_HW3, round(rng.uniform(5, 8) * size))
    bristles = smear(blur(grain(shape, rng), 0.5), np.sin(angle), np.cos(angle), round(9 * size))
    paint = np.clip(saturate(paint, rng.uniform(1.2, 1.5)) ** rng.uniform(1.0, 1.3), 0, 1)
    paint = lit(paint, shade(luminance(paint) + 0.25 * bristles, 0.8, rng.uniform(1.0, 1.6)))
    paint = lit(paint, 1 + 0.06 * canvas_weave(shape, 2 * size))
    return np.clip(paint * np.array([1.02, 0.97, rng.uniform(0.8, 0.93)], np.float32), 0, 1)


def _watercolour(picture_HW3: Picture, rng: Generator) -> Picture:
    """Thin washes with dark rims and blooms, on white paper, often left bare around."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    drift = [(noise(shape, 14 * size, rng) - 0.5) * 7 * size for _ in range(2)]
    wash = kuwahara(displace(picture_HW3, *drift), round(7 * size))
    wash = saturate(1 - (1 - wash) * 0.92, rng.uniform(1.4, 1.9))
    density = (1 - wash) * rng.uniform(0.75, 0.95)
    pools = 0.62 + 0.5 * noise(shape, 26 * size, rng) + 0.3 * edges(luminance(wash), 1.0 * size)
    rows, columns = coordinates(shape)
    rim = np.minimum(np.minimum(rows, shape[0] - 1 - rows), np.minimum(columns, shape[1] - 1 - columns))
    bare = rng.uniform(4, 22) if rng.random() < 0.6 else 0.0  # some sheets are painted to the edge
    inside = np.clip((rim / size - bare * noise(shape, 26 * size, rng)) / 3 + (bare == 0), 0, 1)
    tooth = paper(shape, rng, 0.12)
    return np.clip(1 - density * (pools * inside * tooth)[..., None] - 0.02, 0, 1).astype(np.float32)


def _gouache(picture_HW3: Picture, rng: Generator) -> Picture:
    """Flat, matt, chalky shapes in a few opaque colours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    wobble = [(noise(shape, 5 * size, rng) - 0.5) * 3 * size for _ in range(2)]
    labels, colours = quantise(posterise(kuwahara(picture_HW3, round(7 * size)), 32), int(rng.integers(8, 13)))
    flat = displace(saturate(contrast(colours[labels], 1.25), 1.7), *wobble)
    flat = 0.12 + 0.84 * flat
    dry = noise(shape, 3 * size, rng) - 0.5
    return np.clip(blur(flat, 0.4) + (0.05 * dry + 0.012 * grain(shape, rng))[..., None], 0, 1).astype(np.float32)


def _fresco(picture_HW3: Picture, rng: Generator) -> Picture:
    """Faded earth colours on plaster, with cracks and places where it has fallen off."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    plaster = np.array([0.86, 0.79, 0.66], np.float32) * (0.9 + 0.2 * noise(shape, 30 * size, rng))[..., None]
    earth = ramp(equalise(luminance(picture_HW3)), [(0.3, 0.2, 0.15), (0.66, 0.45, 0.3), (0.9, 0.82, 0.66)])
    paint = 0.5 * earth + 0.5 * saturate(kuwahara(picture_HW3, round(4 * size)), 0.8)
    worn = 0.6 * noise(shape, 30 * size, rng) + 0.4 * noise(shape, 6 * size, rng)
    share = np.where(worn > rng.uniform(0.66, 0.76), 0.05, 0.72 + 0.25 * noise(shape, 9 * size, rng))
    wall = mix(plaster, paint, share)
    jag = [(noise(shape, 6 * size, rng) - 0.5) * 9 * size for _ in range(2)]
    cracks = displace(borders(broad_cells(shape, rng.uniform(30, 50) * size, rng)), *jag)
    wall = lit(wall, shade(np.where(worn > 0.7, 0.0, 0.3) - 0.2 * cracks, 0.8, 0.8))
    return np.clip(mix(wall, (0.22, 0.16, 0.12), 0.75 * cracks) + 0.03 * grain(shape, rng)[..., None], 0, 1)


def _cartoon(picture_HW3: Picture, rng: Generator) -> Picture:
    """Flat bright colours in two or three tones, inside clean dark lines."""
    size = unit(picture_HW3.shape)
    smooth = blur(kuwahara(picture_HW3, round(5 * size)), 0.8 * size)
    grey = equalise(luminance(smooth))
    tones = 0.25 + 0.75 * posterise(grey, int(rng.integers(3, 5)))
    hue = smooth / np.maximum(luminance(smooth)[..., None], 0.08)
    flat = saturate(np.clip(hue * tones[..., None], 0, 1), rng.uniform(1.5, 1.9))
    lines = ink_lines(luminance(smooth), rng.uniform(0.8, 1.2) * size, 0.98, -0.004, 70)
    return mix(np.full_like(flat, (0.05, 0.04, 0.1)), blur(flat, 0.4), lines)


def _airbrush(picture_HW3: Picture, rng: Generator) -> Picture:
    """Everything melts into soft light and pale sugar colours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    soft = blur(picture_HW3, rng.uniform(2.2, 3.2) * size)
    tints = [
        [(0.72, 0.66, 0.95), (0.98, 0.74, 0.86), (1.0, 0.9, 0.78)],
        [(0.6, 0.8, 0.96), (0.86, 0.76, 0.97), (1.0, 0.83, 0.86)],
        [(0.64, 0.86, 0.86), (0.98, 0.84, 0.8), (1.0, 0.78, 0.9)],
    ]
    tint = ramp(noise(shape, 90 * size, rng), choose(tints, rng))
    bright = 0.32 + 0.68 * contrast(saturate(soft, 1.3), 1.15)
    dreamy = mix(bright, tint, np.full(shape, rng.uniform(0.35, 0.5), np.float32))
    glow = np.clip(blur(bright, 8 * size) - 0.55, 0, 1)
    return np.clip(1 - (1 - dreamy) * (1 - 0.8 * glow) + 0.012 * grain(shape, rng)[..., None], 0, 1)


def _colour_field(picture_HW3: Picture, rng: Generator) -> Picture:
    """Nothing left but a few great soft-edged blocks of the picture's colours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    rows, columns = coordinates(shape)
    feather = [(noise(shape, 5 * size, rng) - 0.5) * 9 * size for _ in range(2)]
    cuts = np.sort(rng.uniform(0.15, 0.85, int(rng.integers(2, 4)))) * shape[0]
    rooms = np.searchsorted(cuts, rows) * 2 + (columns > rng.uniform(0.3, 0.7) * shape[1]) * (rng.random() < 0.5)
    edge = displace(np.minimum(columns, shape[1] - columns), *feather) > 10 * size
    rooms = displace(rooms, *feather)
    ground = np.clip(saturate(picture_HW3, 2).mean((0, 1)) * rng.uniform(0.6, 1.0), 0, 1)
    field = np.broadcast_to(ground, picture_HW3.shape).astype(np.float32)
    for room in np.unique(rooms):
        mask = rooms == room
        pixels = picture_HW3[mask]
        colour = pixels[np.argsort(np.ptp(pixels, 1))[-max(1, len(pixels) // 4) :]].mean(0)
        block = blur((mask & edge).astype(np.float32), 1.5 * size)
        colour = np.clip(0.5 + 1.5 * (colour - 0.5), 0.03, 1)
        colour = np.clip(colour.mean() + 2 * (colour - colour.mean()), 0, 1)
        field = mix(field, tuple(colour.tolist()), np.clip(block * 1.3 - 0.2, 0, 1))
    brushed = smear(grain(shape, rng), np.full(shape, 0.1, np.float32), np.ones(shape, np.float32), round(8 * size))
    return np.clip(lit(field, 1 + 0.1 * brushed + 0.05 * canvas_weave(shape, 2 * size)), 0, 1)


SMOOTH: tuple[Rendering, ...] = (
    Rendering(
        "oil-painting",
        _oil,
        (
            "an oil painting",
            "an oil painting on canvas",
            "a classical oil painting",
            "oil paint",
            "a varnished oil painting by an old master",
            "a traditional painting in oils",
        ),
        ("oil paint on canvas", "a painting in oil paint", "a classical painting in oils"),
    ),
    Rendering(
        "watercolour",
        _watercolour,
        (
            "a watercolour painting",
            "a watercolor painting",
            "watercolours on white paper",
            "a loose watercolor wash",
            "an aquarelle",
            "a wet watercolour sketch",
            "watercolor",
        ),
        ("a painting in watercolours", "a loose watercolour", "watercolor on paper"),
    ),
    Rendering(
        "gouache",
        _gouache,
        (
            "a gouache painting",
            "gouache",
            "flat opaque gouache",
            "a matt gouache illustration",
            "a poster paint picture",
            "a painting in chalky gouache",
        ),
        ("an illustration in gouache", "opaque gouache paint", "a flat gouache picture"),
    ),
    Rendering(
        "fresco",
        _fresco,
        (
            "a fresco",
            "a faded fresco",
            "an ancient wall painting",
            "a cracked fresco on plaster",
            "a weathered mural on an old wall",
            "paint on cracked plaster",
        ),
        ("an ancient fresco", "an old wall fresco", "a faded painting on plaster"),
    ),
    Rendering(
        "cartoon",
        _cartoon,
        (
            "a cartoon",
            "an anime drawing",
            "cel shading",
            "a cel-shaded cartoon",
            "an animated film still",
            "a still from an anime film",
            "a cartoon with clean dark outlines",
        ),
        ("an anime cartoon", "a cel-shaded anime still", "an animated cartoon"),
    ),
    Rendering(
        "airbrush",
        _airbrush,
        (
            "a soft airbrush painting",
            "a dreamy picture in soft pale colours",
            "a dreamy picture in soft pale colors",
            "airbrush art",
            "a hazy dream in sugary colours",
            "a soft, glowing airbrushed picture",
        ),
        ("a dreamy airbrush painting", "soft airbrushed art", "a soft and hazy dream"),
    ),
    Rendering(
        "colour-field",
        _colour_field,
        (
            "an abstract painting",
            "a colour field painting",
            "a color field painting",
            "abstract blocks of colour",
            "a minimalist abstract canvas",
            "large soft blocks of color",
            "abstract art",
        ),
        ("an abstract canvas", "an abstract painting of colour blocks", "a minimalist painting of large color blocks"),
    ),
)

RENDERINGS: tuple[Rendering, ...] = (*SMOOTH, *brushwork.RENDERINGS)
