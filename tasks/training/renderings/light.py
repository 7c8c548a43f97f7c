"""Renderings made by light: neon, holograms, trails, silhouettes, fire; and those of weather and of photography.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings import photographs, weather
from tasks.training.renderings.canvas import (
    BLACK,
    Colour,
    Generator,
    Picture,
    Plane,
    Rendering,
    blur,
    coordinates,
    displace,
    edges,
    equalise,
    luminance,
    mix,
    noise,
    ramp,
    resize,
    smear,
    unit,
)
from tasks.training.renderings.fields import plane, radius, size, streaks

NEON: tuple[Colour, ...] = (
    (1, 0.1, 0.6),
    (0.1, 0.9, 1),
    (1, 0.45, 0.05),
    (0.3, 1, 0.25),
    (0.65, 0.25, 1),
    (1, 0.1, 0.15),
)


def _thin_lines(picture_HW3: Picture, sigma: float) -> Plane:
    """Ridges of the gradient's strength, 1 on the line: the tubes of a neon sign."""
    strength = edges(equalise(luminance(picture_HW3)), sigma)
    return np.clip((strength - blur(strength, 1.6 * sigma)) * 4.5, 0, 1).astype(np.float32)


def neon_sign(picture_HW3: Picture, rng: Generator) -> Picture:
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    tubes_HW = blur(_thin_lines(picture_HW3, 2.0 * scale), 0.5 * scale)
    first, second = rng.permutation(len(NEON))[:2]
    share_HW = np.clip((noise(shape, 70 * scale, rng) - 0.5) * 8 + 0.5, 0, 1)
    colour = mix(np.broadcast_to(np.array(NEON[first], np.float32), picture_HW3.shape), NEON[second], share_HW)
    lit = colour * tubes_HW[..., None]
    glow = blur(lit, 2.5 * scale) * 1.0 + blur(lit, 9 * scale) * 1.1
    return np.clip(0.01 + glow + lit * 0.9 + np.clip(tubes_HW - 0.45, 0, 1)[..., None] * 1.0, 0, 1).astype(np.float32)


def hologram(picture_HW3: Picture, rng: Generator) -> Picture:
    """Cyan light on dark blue, scan lines, rims that shimmer through the rainbow."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    jitter_HW = np.broadcast_to((streaks((shape[0], 2), 5 * scale, 2, rng)[:, :1] - 0.5) * 5 * scale, shape)
    grey_HW = displace(equalise(luminance(picture_HW3)), np.zeros(shape, np.float32), jitter_HW)
    rim_HW = edges(grey_HW, 1.2 * scale)
    phase = rng.uniform(0, 6) + 3 * grey_HW + (rows + columns) / shape[1] * rng.uniform(3, 6)
    sheen = np.stack([0.5 + 0.5 * np.cos(phase + shift) for shift in (0, 2.1, 4.2)], -1)
    base = ramp(0.75 * grey_HW + 0.1, ((0.0, 0.03, 0.12), (0.0, 0.4, 0.6), (0.25, 0.95, 1.0)))
    lit = (
        base
        + sheen * (0.35 * rim_HW + 0.16 * grey_HW)[..., None]
        + np.array([0, 0.15, 0.2], np.float32) * rim_HW[..., None]
    )
    lines_HW = 0.72 + 0.4 * np.cos(2 * np.pi * rows / max(3.0, 3.2 * scale))
    return np.clip((lit + 0.25 * blur(lit, 4 * scale)) * lines_HW[..., None], 0, 1).astype(np.float32)


def light_painting(picture_HW3: Picture, rng: Generator) -> Picture:
    """Long trails of coloured light on black: the picture's rims swept along a swirling field, over a dim scene."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    small = (-(-shape[0] // 2), -(-shape[1] // 2))  # trails are swept at half size: a quarter of the time
    rims_HW = resize(edges(luminance(picture_HW3), 1.2 * scale), small) ** 2 * (rng.random(small) < 0.4)
    hue = 6 * noise(small, 30 * scale, rng) + rng.uniform(0, 6)
    colours = np.stack([0.5 + 0.5 * np.cos(hue + shift) for shift in (0, 2.1, 4.2)], -1).astype(np.float32)
    angle = np.pi * 2 * noise(small, 45 * scale, rng) + rng.uniform(0, 6)
    trails = smear(colours * rims_HW[..., None], np.sin(angle), np.cos(angle), round(9 * scale))
    trails = resize(np.clip(1.1 * trails, 0, 1), shape) * 0.8
    rows, columns = coordinates(shape)
    for colour in rng.permutation(len(NEON))[:3]:
        wave = [
            rng.uniform(8, 26) * np.sin(columns / scale / rng.uniform(10, 34) + rng.uniform(0, 6)) for _ in range(2)
        ]
        away_HW = np.abs(rows - rng.uniform(0.15, 0.85) * shape[0] - scale * sum(wave)) / scale
        band_HW = np.exp(-away_HW / 0.9) + 0.3 * np.exp(-away_HW / 6)
        trails = trails + 0.22 * band_HW[..., None] * np.array(NEON[colour], np.float32)
    return np.clip(4 * trails + 0.16 * picture_HW3**1.3, 0, 1).astype(np.float32)


def sunset_silhouette(picture_HW3: Picture, rng: Generator) -> Picture:
    """What is dark goes black before a sky from red to yellow with a low sun."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = blur(luminance(picture_HW3), 1.2 * scale)
    level = np.quantile(grey_HW, rng.uniform(0.42, 0.55))
    open_HW = np.clip((grey_HW - level) * 14 + 0.5, 0, 1)
    rows, _ = coordinates(shape)
    sky = ramp(plane(rows / shape[0]), ((0.45, 0.08, 0.2), (0.9, 0.25, 0.08), (1.0, 0.55, 0.08), (1.0, 0.82, 0.3)))
    sun_HW = radius(shape, (rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.75)))
    sky = mix(sky, (1.0, 0.72, 0.2), 0.7 * np.exp(-2.2 * sun_HW**2))
    sky = mix(sky, (1.0, 0.97, 0.75), np.clip((0.2 - sun_HW) * 20, 0, 1))
    return mix(np.full_like(picture_HW3, 0.02), sky * (0.75 + 0.25 * grey_HW[..., None]), open_HW)


FIRE: tuple[tuple[Colour, ...], ...] = (
    (BLACK, (0.3, 0.01, 0), (0.8, 0.1, 0), (1, 0.45, 0), (1, 0.82, 0.15), (1, 1, 0.75)),
    ((0.12, 0.02, 0), (0.5, 0.06, 0), (0.9, 0.28, 0.02), (1, 0.6, 0.08), (1, 0.88, 0.35)),
    (BLACK, (0.45, 0.04, 0), (0.95, 0.25, 0), (1, 0.7, 0.1), (1, 0.97, 0.6)),
)


def flames(picture_HW3: Picture, rng: Generator) -> Picture:
    """Tongues of flame, hotter towards the foot, shaped by the picture's light; some with the picture still in it."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, _ = coordinates(shape)
    sway_HW = 16 * scale * (noise(shape, 22 * scale, rng) - 0.5)
    reach, breadth = rng.uniform(26, 48) * scale, rng.uniform(5, 11) * scale
    tongues_HW = displace(streaks(shape, reach, breadth, rng), np.zeros(shape, np.float32), sway_HW)
    lift_HW = 12 * scale * tongues_HW
    grey_HW = displace(equalise(luminance(picture_HW3)), lift_HW, 0.4 * sway_HW)
    heat_HW = 0.62 * grey_HW + rng.uniform(0.3, 0.6) * (tongues_HW - 0.35)
    heat_HW = heat_HW + rng.uniform(0.1, 0.4) * (rows / shape[0] - 0.45)
    heat_HW = np.clip(0.06 + blur(plane(heat_HW), 0.6 * scale), 0, 1) ** rng.uniform(0.9, 1.25)
    colours = FIRE[int(rng.integers(len(FIRE)))]
    sparks_HW = np.clip(blur((rng.random(shape) < 0.003).astype(np.float32), 0.7 * scale) * 6 * scale**2, 0, 1)
    burning = mix(ramp(plane(heat_HW * 1.15), colours), (1, 0.75, 0.25), plane(sparks_HW))
    return mix(burning, picture_HW3 * np.array((1, 0.6, 0.3)), np.full(shape, max(0.0, rng.uniform(-0.4, 0.3))))


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "neon-sign",
        neon_sign,
        (
            "a neon sign",
            "neon lights",
            "glowing neon tubes on black",
            "a glowing neon light drawing",
            "bright neon lines in the dark",
        ),
        (
            "glowing neon lights",
            "a bright neon tube sign",
        ),
    ),
    Rendering(
        "hologram",
        hologram,
        (
            "a hologram",
            "a holographic projection",
            "a shimmering cyan hologram",
            "an iridescent hologram with scan lines",
            "a glowing science fiction hologram",
        ),
        (
            "a shimmering holographic hologram",
            "a glowing cyan holographic projection",
        ),
    ),
    Rendering(
        "light-painting",
        light_painting,
        (
            "light painting",
            "a long exposure of light trails",
            "long-exposure light trails on black",
            "streaks of coloured light in the dark",
            "swirling trails of colored light",
        ),
        (
            "long exposure light painting",
            "swirling streaks of light trails",
        ),
    ),
    Rendering(
        "sunset-silhouette",
        sunset_silhouette,
        (
            "a silhouette at sunset",
            "black silhouettes against an orange sky",
            "a backlit silhouette",
            "dark shapes before a setting sun",
            "a sunset with black shapes",
        ),
        (
            "black silhouettes at sunset",
            "a dark silhouette against a setting sun",
        ),
    ),
    Rendering(
        "flames",
        flames,
        (
            "fire and flames",
            "burning flames",
            "a blazing fire",
            "a picture on fire",
            "blazing orange flames on black",
            "an inferno",
        ),
        (
            "a burning fire",
            "blazing flames on fire",
        ),
    ),
    *weather.RENDERINGS,
    *photographs.RENDERINGS,
)
