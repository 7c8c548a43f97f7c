"""Renderings by weather and place: mist, water, snow, moonlight.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings.canvas import (
    WHITE,
    Colour,
    Generator,
    Picture,
    Rendering,
    blur,
    coordinates,
    displace,
    equalise,
    gradient,
    luminance,
    mix,
    noise,
    ramp,
    saturate,
    unit,
)
from tasks.training.renderings.fields import discs, fractal, plane, radius, ridges, size, streaks


def mist(picture_HW3: Picture, rng: Generator) -> Picture:
    """Pale fog in banks, thicker higher up where things are further off."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, _ = coordinates(shape)
    banks_HW = streaks(shape, 30 * scale, 70 * scale, rng)
    thick_HW = np.clip(0.82 - 0.35 * rows / shape[0] + 0.5 * (banks_HW - 0.5), 0.3, 0.93)
    cool = rng.uniform(0.0, 0.04)
    fog: Colour = (0.83 - cool, 0.86 - cool, 0.88)
    return mix(saturate(blur(picture_HW3, 1.2 * scale), 0.35), fog, thick_HW)


def underwater(picture_HW3: Picture, rng: Generator) -> Picture:
    """Blue-green haze, a net of light, shafts from above, bubbles."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    wave = [2.5 * scale * (noise(shape, 18 * scale, rng) - 0.5) for _ in range(2)]
    scene = saturate(displace(blur(picture_HW3, 0.8 * scale), *wave), 0.6)
    water = ramp(plane(rows / shape[0]), ((0.15, 0.75, 0.78), (0.02, 0.48, 0.62), (0.0, 0.16, 0.36)))
    drawn = scene * np.array([0.28, 0.85, 0.9], np.float32) * 0.75 + water * 0.42
    fall_HW = np.clip(1 - rows / shape[0], 0, 1)
    shafts_HW = streaks((2, shape[1]), 1, 16 * scale, rng)
    slant = np.clip(columns + rows * rng.uniform(-0.5, 0.5), 0, shape[1] - 1).astype(np.int64)
    light_HW = 0.45 * ridges(shape, 30 * scale, rng, 5) + 0.5 * np.clip(shafts_HW[0][slant] - 0.5, 0, 1) * fall_HW
    bubbles_HW = discs(shape, 14, (0.8 * scale, 2.6 * scale), rng)
    rings_HW = np.clip(bubbles_HW - 0.8 * blur(bubbles_HW, 1.2 * scale), 0, 1)
    return np.clip(mix(drawn, (0.7, 1.0, 0.97), light_HW * 0.55 + 0.7 * rings_HW), 0, 1)


def snow(picture_HW3: Picture, rng: Generator) -> Picture:
    """Snow lies on whatever faces up, the light is cold, flakes fall."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = luminance(picture_HW3)
    cold = np.minimum(saturate(picture_HW3, 0.3) * np.array([0.66, 0.74, 0.84], np.float32) + 0.16, 1)
    down_HW, _ = gradient(grey_HW, 1.2 * scale)
    lying_HW = np.clip(blur(np.clip(-down_HW * 22, 0, 1), 1.4 * scale) * 1.3, 0, 0.95)
    rows, _ = coordinates(shape)
    drift_HW = np.clip((rows / shape[0] - 0.86 + 0.16 * noise(shape, 60 * scale, rng)) * 14, 0, 0.92)
    white = mix(cold, (0.95, 0.98, 1.0), np.maximum(lying_HW, drift_HW))
    white = mix(white, (0.93, 0.96, 1.0), np.clip(grey_HW - 0.35, 0, 0.6))
    near_HW = blur(discs(shape, int(rng.integers(20, 40)), (1.4 * scale, 2.8 * scale), rng), 0.9 * scale)
    far_HW = discs(shape, int(rng.integers(130, 220)), (0.5 * scale, 1.1 * scale), rng)
    return mix(white, WHITE, near_HW + 0.95 * far_HW)


def moonlight(picture_HW3: Picture, rng: Generator) -> Picture:
    """Day for night: dark and blue, a moon and its shine."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = equalise(luminance(picture_HW3)) ** 1.35
    night = ramp(grey_HW, ((0.0, 0.01, 0.05), (0.03, 0.09, 0.26), (0.14, 0.27, 0.52), (0.42, 0.56, 0.78)))
    night = 0.85 * night + 0.12 * picture_HW3 * np.array([0.3, 0.5, 1.0], np.float32)
    away_HW = radius(shape, (rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.85)))
    clouds_HW = 0.7 + 0.6 * (fractal(shape, 40 * scale, rng) - 0.5)
    shone = mix(night, (0.55, 0.68, 0.9), 0.55 * np.exp(-3.5 * away_HW) * clouds_HW)
    return mix(shone, (0.94, 0.96, 0.98), np.clip((rng.uniform(0.1, 0.14) - away_HW) * 30, 0, 1))


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "mist",
        mist,
        (
            "a foggy photograph",
            "thick mist",
            "a misty scene in pale fog",
            "a hazy morning in the fog",
            "a photograph faint in the mist",
        ),
        (
            "a foggy misty morning",
            "thick pale fog",
        ),
    ),
    Rendering(
        "underwater",
        underwater,
        (
            "an underwater photograph",
            "a scene under water",
            "a photo taken beneath the sea",
            "a blue-green underwater scene",
            "sunbeams and bubbles under the sea",
        ),
        (
            "an underwater scene beneath the sea",
            "a blue-green photo under water",
        ),
    ),
    Rendering(
        "snow",
        snow,
        (
            "a snowy winter scene",
            "a snowfall",
            "a photograph covered in snow",
            "falling snowflakes",
            "a white winter landscape in the snow",
        ),
        (
            "falling snow in winter",
            "a snowy white landscape",
        ),
    ),
    Rendering(
        "moonlight",
        moonlight,
        (
            "a moonlit night",
            "a scene by moonlight",
            "a dark blue night photograph",
            "a photograph taken at night under the moon",
            "a blue night in the light of the moon",
        ),
        (
            "a blue moonlit scene",
            "a night photograph by moonlight",
        ),
    ),
)
