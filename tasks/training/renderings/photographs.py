"""Kinds of photograph: sepia, black and white, instant, infrared, noir, golden hour, negative.

Dimension key: H height, W width. Every renderer takes a picture float32 HW3 in [0, 1] and a generator, and gives a
picture of the same shape.
"""

from __future__ import annotations

import numpy as np

from tasks.training.renderings.canvas import (
    Generator,
    Picture,
    Rendering,
    blur,
    contrast,
    coordinates,
    equalise,
    grain,
    luminance,
    mix,
    ramp,
    saturate,
    stripes,
    unit,
)
from tasks.training.renderings.fields import in_grey, plane, radius, size


def _instant_frame(picture_HW3: Picture) -> Picture:
    """A white border, wider at the foot."""
    height, width = size(picture_HW3)
    side, foot = round(0.055 * width), round(0.17 * height)
    framed = np.full_like(picture_HW3, 0.94)
    inside = (slice(side, height - foot), slice(side, width - side))
    framed[inside] = picture_HW3[inside]
    return framed


def sepia(picture_HW3: Picture, rng: Generator) -> Picture:
    shape = size(picture_HW3)
    grey_HW = equalise(luminance(picture_HW3)) * 0.85 + 0.08 + 0.03 * grain(shape, rng)
    faded_HW = grey_HW * np.clip(1.2 - rng.uniform(0, 0.3) * radius(shape), 0.5, 1)
    warmth, depth = rng.uniform(-0.06, 0.08), rng.uniform(0.0, 0.12)
    dark, light = (0.13 + depth, 0.07 + 0.6 * depth, 0.02 + 0.3 * depth), (0.97, 0.87, 0.7 - warmth)
    return ramp(faded_HW, (dark, (0.55 + warmth, 0.38, 0.2 - warmth), light))


def black_and_white(picture_HW3: Picture, rng: Generator) -> Picture:
    weights = rng.dirichlet([6, 8, 4]).astype(np.float32)  # a colour filter before the lens
    grey_HW = contrast(equalise(picture_HW3 @ weights, 0.01), rng.uniform(0.95, 1.15))
    return in_grey(grey_HW + 0.02 * grain(size(picture_HW3), rng))


def faded_polaroid(picture_HW3: Picture, rng: Generator) -> Picture:
    """Lifted blacks, washed colours, a yellow cast, a leak of light; most in a white frame."""
    shape = size(picture_HW3)
    washed = 0.2 + 0.68 * saturate(blur(picture_HW3, 0.6 * unit(shape)), 0.6)
    cast = np.array([1.06, 0.98, 0.78 + rng.uniform(-0.05, 0.05)], np.float32)
    shadows = np.array([0.03, 0.04, 0.1], np.float32) * (1 - luminance(picture_HW3))[..., None]
    leak_HW = plane(0.55 * np.exp(-3 * radius(shape, (rng.uniform(0, 1), rng.choice([0.0, 1.0]))) ** 2))
    drawn = mix(washed * cast + shadows, (1.0, 0.6, 0.3), leak_HW) + 0.02 * grain(shape, rng)[..., None]
    return np.clip(_instant_frame(drawn) if rng.random() < 0.8 else drawn, 0, 1)


def infrared(picture_HW3: Picture, rng: Generator) -> Picture:
    """Leaves white, skies pink to magenta, the ground a cold grey, a soft halo."""
    scale = unit(picture_HW3.shape)
    red, green, blue = (picture_HW3[..., channel] for channel in range(3))
    leaf_HW = np.clip((green - 0.5 * (red + blue)) * 9 + 0.05, 0, 1) * np.clip(2.5 * green + 0.25, 0, 1)
    sky_HW = np.clip((blue - red) * 4, 0, 1)
    grey_HW = equalise(luminance(picture_HW3))
    land = ramp(grey_HW, ((0.02, 0.1, 0.16), (0.35, 0.42, 0.5), (0.85, 0.84, 0.88), (1.0, 0.98, 0.98)))
    land = mix(land, in_grey(0.72 + 0.28 * grey_HW), blur(leaf_HW, 1.0 * scale))
    rows, _ = coordinates(grey_HW.shape)
    above_HW = np.clip((rng.uniform(0.5, 0.65) - rows / len(rows)) * 4, 0, 1) * (1 - leaf_HW)
    sky = ramp(grey_HW, ((0.5, 0.03, 0.3), (0.95, 0.3, 0.6), (1.0, 0.6, 0.78), (1.0, 0.85, 0.9)))
    drawn = mix(land, sky, blur(np.maximum(0.9 * above_HW, sky_HW), 2 * scale))
    return np.clip(drawn + 0.3 * blur(np.clip(drawn - 0.75, 0, 1), 5 * scale), 0, 1)


def film_noir(picture_HW3: Picture, rng: Generator) -> Picture:
    """Hard black and white, a blind's slats across it, corners lost in the dark."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    grey_HW = equalise(luminance(picture_HW3), 0.05)
    hard_HW = 1 / (1 + np.exp(-16 * (grey_HW - rng.uniform(0.48, 0.56))))
    slats_HW = np.clip((stripes(shape, rng.uniform(20, 28) * scale, rng.uniform(-0.35, 0.35)) - 0.38) * 7, 0, 1)
    lamp_HW = np.clip(1.45 - 0.75 * radius(shape, (rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.7))), 0.05, 1)
    lit_HW = hard_HW * lamp_HW * (0.18 + 0.82 * blur(slats_HW, 0.8 * scale))
    return in_grey(0.9 * lit_HW + 0.04 * grey_HW + 0.02 * grain(shape, rng))


def golden_hour(picture_HW3: Picture, rng: Generator) -> Picture:
    """Low warm sun from one side, with a flare."""
    shape = size(picture_HW3)
    warm = saturate(picture_HW3, 0.85) * np.array([1.18, 0.9, 0.55], np.float32) + np.array(
        [0.1, 0.045, 0.0], np.float32
    )
    sun_HW = radius(shape, (rng.uniform(0.0, 0.3), rng.choice([0.05, 0.95])))
    lit = mix(warm, (1.0, 0.78, 0.35), 0.75 * np.exp(-1.3 * sun_HW))
    return np.clip(mix(lit, (1.0, 0.96, 0.8), np.exp(-14 * sun_HW**2)), 0, 1)


def negative(picture_HW3: Picture, rng: Generator) -> Picture:
    """Light for dark and each colour for its opposite, on film base that is a little orange (as C-41 film is)."""
    mask = np.array([1.0, 0.9, 0.8], np.float32) ** rng.uniform(0.2, 1.2)
    turned = contrast(1 - saturate(picture_HW3, rng.uniform(1.2, 1.5)), 1.05)
    return np.clip(turned * mask + 0.015 * grain(size(picture_HW3), rng)[..., None], 0, 1).astype(np.float32)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "sepia",
        sepia,
        (
            "a sepia photograph",
            "a sepia photo",
            "a brown sepia print",
            "an antique sepia tone photograph",
            "an old brown photograph",
        ),
        (
            "an antique sepia print",
            "an old sepia photo",
        ),
    ),
    Rendering(
        "black-and-white",
        black_and_white,
        (
            "a black and white photograph",
            "a black-and-white photo",
            "a monochrome photograph",
            "a grey photograph without colour",
            "a grayscale photo",
            "a grayscale photograph without color",
        ),
        (
            "a monochrome black and white photo",
            "a grayscale monochrome photograph",
        ),
    ),
    Rendering(
        "faded-polaroid",
        faded_polaroid,
        (
            "a faded polaroid",
            "a polaroid photo",
            "an instant photo with washed-out colours",
            "a faded vintage snapshot",
            "a vintage seventies photograph with a light leak",
            "a washed-out instant picture",
        ),
        (
            "a faded instant polaroid snapshot",
            "a vintage polaroid picture",
        ),
    ),
    Rendering(
        "infrared",
        infrared,
        (
            "an infrared photograph",
            "infrared film",
            "false-colour infrared with pink skies",
            "a pink infrared landscape",
            "white leaves in an infrared photo",
            "an aerochrome photograph",
        ),
        (
            "a pink infrared photo",
            "infrared film with pink skies",
            "a white and pink infrared photograph",
        ),
    ),
    Rendering(
        "film-noir",
        film_noir,
        (
            "film noir",
            "a film noir still",
            "hard black and white shadows",
            "a noir detective film with venetian blind shadows",
            "a dark forties crime film",
        ),
        (
            "a dark noir film still",
            "hard film noir shadows",
        ),
    ),
    Rendering(
        "golden-hour",
        golden_hour,
        (
            "a golden hour photograph",
            "warm golden sunlight",
            "a photo at golden hour",
            "warm evening sunlight with a lens flare",
            "a photograph in glowing golden light",
        ),
        (
            "a warm golden hour photo",
            "golden evening light",
        ),
    ),
    Rendering(
        "negative",
        negative,
        (
            "a photographic negative",
            "inverted colours",
            "a colour negative",
            "a film negative with inverted colors",
            "a color negative film strip",
        ),
        (
            "an inverted colour film negative",
            "inverted photographic colors",
        ),
    ),
)
