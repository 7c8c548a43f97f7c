"""Renderings as instruments see: heat camera, x-ray, night vision.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings.canvas import (
    BLACK,
    Generator,
    Picture,
    Rendering,
    blur,
    edges,
    equalise,
    grain,
    luminance,
    ramp,
    unit,
)
from tasks.training.renderings.fields import radius, size, streaks


def thermal_camera(picture_HW3: Picture, rng: Generator) -> Picture:
    """Soft and coarse like the sensor, cold blue to hot red."""
    scale = unit(picture_HW3.shape)
    heat_HW = equalise(blur(luminance(picture_HW3), rng.uniform(1.4, 2.6) * scale), 0.04)
    heat_HW = np.clip(heat_HW ** rng.uniform(0.8, 1.25) + 0.012 * grain(heat_HW.shape, rng), 0, 1)
    stops = (
        (0.05, 0, 0.35),
        (0, 0.1, 0.95),
        (0, 0.75, 0.9),
        (0.1, 0.9, 0.2),
        (1, 0.95, 0),
        (1, 0.4, 0),
        (0.9, 0, 0.05),
    )
    return ramp(heat_HW, (*stops, (1, 0.85, 0.85)))


def x_ray(picture_HW3: Picture, rng: Generator) -> Picture:
    """Inverted and blue, rims glow as bone does, black towards the corners."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = equalise(luminance(picture_HW3))
    bone_HW = 0.55 * (1 - blur(grey_HW, 1.5 * scale)) ** 1.3 + 0.35 * edges(grey_HW, 1.5 * scale)
    bone_HW = bone_HW + 0.2 * blur(bone_HW, 5 * scale)
    bone_HW = bone_HW * np.clip(1.35 - 0.55 * radius(shape, (rng.uniform(0.4, 0.6), 0.5)), 0.05, 1)
    return ramp(bone_HW + 0.015 * grain(shape, rng), (BLACK, (0.05, 0.2, 0.4), (0.4, 0.65, 0.85), (0.92, 0.98, 1.0)))


def night_vision(picture_HW3: Picture, rng: Generator) -> Picture:
    """Grainy green through a round eyepiece, lights in bloom."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = equalise(luminance(blur(picture_HW3, 0.8 * scale)))
    bloom_HW = blur(np.clip(grey_HW - 0.7, 0, 1), 6 * scale)
    noisy_HW = 0.85 * grey_HW + 1.2 * bloom_HW + 0.08 * grain(shape, rng) + 0.08 * (streaks(shape, 2, 9, rng) - 0.5)
    edge = rng.uniform(1.0, 1.12)
    lit_HW = np.clip(0.08 + 0.92 * noisy_HW, 0, 1) * np.clip((edge - radius(shape)) * 9, 0, 1)
    return ramp(lit_HW, (BLACK, (0.02, 0.3, 0.05), (0.1, 0.75, 0.15), (0.75, 1.0, 0.65)))


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "thermal-camera",
        thermal_camera,
        (
            "a thermal camera image",
            "a heat map",
            "thermal imaging",
            "a heat camera picture",
            "a thermographic image in rainbow heat colours",
            "a thermogram",
        ),
        ("a thermal heat image", "a thermal camera heat map"),
    ),
    Rendering(
        "x-ray",
        x_ray,
        (
            "an x-ray",
            "an x-ray image",
            "a radiograph",
            "a medical x-ray film",
            "a bluish x-ray scan",
            "glowing bones on an x-ray",
        ),
        ("a medical radiograph", "a bluish x-ray film", "a medical scan of bones"),
    ),
    Rendering(
        "night-vision",
        night_vision,
        (
            "night vision",
            "a night vision camera image",
            "green night vision goggles",
            "grainy green night vision",
            "a view through night vision goggles",
        ),
        ("a grainy night vision image", "a green view through night goggles"),
    ),
)
