"""Renderings from screens: pixels, terminals, vectors, glitches, televisions; and what instruments see.

Dimension key: H height, W width, K colours or glyphs. Every renderer takes a picture float32 HW3 in [0, 1] and a
generator, and gives a picture of the same shape.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tasks.training.renderings import sensors
from tasks.training.renderings.canvas import (
    Colour,
    Generator,
    Picture,
    Plane,
    Rendering,
    blur,
    contrast,
    coordinates,
    displace,
    equalise,
    grain,
    luminance,
    mix,
    posterise,
    quantise,
    ramp,
    resize,
    saturate,
    shrink,
    unit,
)
from tasks.training.renderings.fields import plane, radius, size

HANDHELD: tuple[Colour, ...] = ((0.06, 0.22, 0.06), (0.19, 0.38, 0.19), (0.55, 0.67, 0.06), (0.61, 0.74, 0.06))  # DMG
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) / 16  # ordered dither
GLYPHS = " .'`:;-~=+icLvxTYJzF2CSZ4AOU9PRN8B0KQDG#%&M@W"


def pixel_art(picture_HW3: Picture, rng: Generator) -> Picture:
    block = max(2.0, rng.uniform(4.5, 7.0) * unit(picture_HW3.shape))
    small = contrast(saturate(shrink(picture_HW3, block), 1.5), 1.25)
    labels, colours = quantise(small, int(rng.integers(9, 15)))
    return resize(colours[labels], size(picture_HW3), Image.Resampling.NEAREST)


def handheld_game(picture_HW3: Picture, rng: Generator) -> Picture:
    block = max(1.0, rng.uniform(2.0, 3.2) * unit(picture_HW3.shape))
    small_HW = equalise(luminance(shrink(picture_HW3, block)), 0.05)
    tiles = np.tile(BAYER, (small_HW.shape[0] // 4 + 1, small_HW.shape[1] // 4 + 1))
    dithered = small_HW * 3 + 0.9 * tiles[: small_HW.shape[0], : small_HW.shape[1]]
    colours = np.array(HANDHELD, np.float32)[np.clip(dithered, 0, 3).astype(np.int64)]
    return resize(colours, size(picture_HW3), Image.Resampling.NEAREST)


@lru_cache(maxsize=64)
def _glyphs(height: int, width: int) -> Picture:
    """The characters K, height, width, from the emptiest to the fullest."""
    font = ImageFont.load_default(height * 1.15)
    drawn = []
    for glyph in GLYPHS:
        image = Image.new("L", (width, height))
        ImageDraw.Draw(image).text((width / 2, height * 0.85), glyph, fill=255, font=font, anchor="ms")
        drawn.append(np.asarray(image, np.float32) / 255)
    return np.stack(sorted(drawn, key=np.sum))


def terminal_text(picture_HW3: Picture, rng: Generator) -> Picture:
    shape = size(picture_HW3)
    high = max(5, round(rng.uniform(6.5, 9.0) * unit(shape)))
    wide = max(3, round(high * 0.7))
    rows, columns = -(-shape[0] // high), -(-shape[1] // wide)
    grey_HW = equalise(resize(luminance(picture_HW3), (rows, columns), Image.Resampling.BOX), 0.05)
    atlas = _glyphs(high, wide)
    drawn = atlas[(grey_HW * (len(atlas) - 1)).round().astype(np.int64)]
    text_HW = drawn.transpose(0, 2, 1, 3).reshape(rows * high, columns * wide)[: shape[0], : shape[1]]
    lit_HW = np.repeat(np.repeat(0.45 + 0.55 * grey_HW, high, 0), wide, 1)[: shape[0], : shape[1]]
    green: Colour = (rng.uniform(0, 0.3), 1.0, rng.uniform(0.1, 0.4))
    return mix(np.full_like(picture_HW3, 0.02), green, 1.35 * text_HW * lit_HW)


def flat_vector(picture_HW3: Picture, rng: Generator) -> Picture:
    """Few flat shapes with smooth outlines: each colour's mask blurred, the strongest wins."""
    scale = unit(picture_HW3.shape)
    labels, colours = quantise(posterise(blur(saturate(picture_HW3, 1.35), 1.2 * scale), 24), int(rng.integers(6, 10)))
    smoothness = rng.uniform(2.2, 3.2) * scale
    soften = ImageFilter.GaussianBlur(smoothness)
    masks = [np.asarray(Image.fromarray(np.uint8(labels == k) * 255).filter(soften)) for k in range(labels.max() + 1)]
    shapes = contrast(saturate(colours[np.argmax(masks, 0)], rng.uniform(1.2, 1.6)), 1.1)
    return np.clip(blur(shapes, 0.45 * scale) * 0.94 + 0.06, 0, 1)


def _torn_rows(shape: tuple[int, int], rng: Generator) -> Plane:
    """How far each row is pushed aside: bands, most of them still."""
    shift = np.zeros(shape[0], np.float32)
    for _ in range(int(rng.integers(7, 13))):
        start, height = rng.uniform(0, shape[0]), rng.uniform(2, 16) * unit(shape)
        shift[int(start) : int(start + height) + 1] = rng.uniform(-32, 32) * unit(shape)
    return np.broadcast_to(shift[:, None], shape)


def glitch(picture_HW3: Picture, rng: Generator) -> Picture:
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    tear_HW, still_HW = _torn_rows(shape, rng), np.zeros(shape, np.float32)
    drift = rng.uniform(3.5, 8) * scale * rng.choice([-1, 1])
    shifts = (drift, 0.0, -drift)
    channels = [displace(picture_HW3[..., c], still_HW, tear_HW * (1 + 0.3 * c) + shifts[c]) for c in range(3)]
    drawn = contrast(np.stack(channels, -1), 1.2)
    for _ in range(int(rng.integers(5, 10))):
        y, x = int(rng.uniform(0, shape[0])), int(rng.uniform(-0.2, 0.9) * shape[1])
        high, wide = int(rng.uniform(2, 8) * scale) + 1, int(rng.uniform(20, 90) * scale) + 1
        block = (slice(y, y + high), slice(max(0, x), max(0, x + wide)))
        drawn[block] = 0.35 * drawn[block] + 0.65 * rng.choice([0.0, 1.0], 3)
    return drawn.astype(np.float32)


def television(picture_HW3: Picture, rng: Generator) -> Picture:
    """A bulging tube: scan lines, a soft picture, dark rounded corners."""
    shape, scale = size(picture_HW3), unit(picture_HW3.shape)
    rows, columns = coordinates(shape)
    y_HW, x_HW = plane(rows / shape[0] * 2 - 1), plane(columns / shape[1] * 2 - 1)
    bulge_HW = plane(rng.uniform(0.06, 0.11) * (y_HW**2 + x_HW**2))
    down_HW, right_HW = plane(bulge_HW * y_HW * shape[0] / 2), plane(bulge_HW * x_HW * shape[1] / 2)
    bent = displace(blur(picture_HW3, 1.2 * scale), down_HW, right_HW)
    ghost = 0.75 * bent + 0.25 * np.roll(bent, round(rng.uniform(3, 6) * scale), 1)
    spacing = max(3.0, rng.uniform(3.4, 4.6) * scale)
    lines_HW = 0.7 + 0.42 * np.cos(2 * np.pi * rows / spacing)
    roll_HW = 1 + 0.25 * np.exp(-(((y_HW - rng.uniform(-0.8, 0.8)) / 0.15) ** 2))
    snow_HW = 0.05 * grain(shape, rng)
    tube_HW = np.clip((1.0 - np.abs(y_HW) ** 8 - np.abs(x_HW) ** 8) * 6, 0, 1) * (1.15 - 0.3 * (y_HW**2 + x_HW**2))
    tinted = saturate(ghost, 0.85) * np.array([0.92, 1.05, 1.08], np.float32)
    return np.clip((tinted + snow_HW[..., None]) * (lines_HW * roll_HW * tube_HW * 1.35)[..., None], 0, 1)


def _perspective_grid(shape: tuple[int, int], horizon: float, rng: Generator) -> Plane:
    """Lines of a floor that runs to the horizon (a share of the height), 1 on a line."""
    rows, columns = coordinates(shape)
    depth_HW = np.maximum(rows / shape[0] - horizon, 1e-3) / (1 - horizon)
    across = (columns / shape[1] - 0.5) / (depth_HW + 0.25) * 7
    along = rng.uniform(0, 1) + 2.2 / (depth_HW + 0.2)
    thin_across = 0.8 * unit(shape) * 7 / ((depth_HW + 0.25) * shape[1])
    thin_along = 0.8 * unit(shape) * 2.2 / ((depth_HW + 0.2) ** 2 * (1 - horizon) * shape[0])
    away_HW = np.minimum(np.abs(across - np.round(across)) / thin_across, np.abs(along - np.round(along)) / thin_along)
    return (np.clip(1.6 - away_HW, 0, 1) * (rows > horizon * shape[0])).astype(np.float32)


def vaporwave(picture_HW3: Picture, rng: Generator) -> Picture:
    shape = size(picture_HW3)
    stops: tuple[Colour, ...] = (
        (0.14, 0.02, 0.35),
        (0.55, 0.1, 0.75),
        (1.0, 0.35, 0.75),
        (0.45, 0.8, 1.0),
        (0.8, 1, 1),
    )
    mapped = ramp(equalise(luminance(picture_HW3)), stops)
    horizon = rng.uniform(0.6, 0.72)
    disc_HW = radius(shape, (horizon - 0.16, rng.uniform(0.3, 0.7))) < rng.uniform(0.36, 0.46)
    rows, _ = coordinates(shape)
    gaps = np.sin(rows / unit(shape) * 2 * np.pi / 9) > (horizon - rows / shape[0]) * 9 - 1.4
    sun = ramp(plane(rows / shape[0] / horizon), ((1, 0.95, 0.4), (1, 0.8, 0.4), (1, 0.35, 0.65)))
    mapped = mix(mapped, sun, plane(0.7 * (disc_HW & ~gaps & (rows < horizon * shape[0]))))
    floor_HW = plane(np.clip((rows / shape[0] - horizon) * 30, 0, 1))
    mapped = mix(mapped, (0.2, 0.02, 0.4), 0.45 * floor_HW)
    grid_HW = _perspective_grid(shape, horizon, rng)
    glow: Colour = (0.25, 1.0, 1.0) if rng.random() < 0.5 else (1.0, 0.4, 0.95)
    return mix(mapped, glow, grid_HW)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "pixel-art",
        pixel_art,
        (
            "pixel art",
            "a pixelated picture",
            "big square pixels",
            "blocky pixel art with few colours",
            "a 16-bit sprite",
        ),
        ("a picture of big blocky pixels", "pixelated art in square pixels"),
    ),
    Rendering(
        "handheld-game",
        handheld_game,
        (
            "an 8-bit handheld game",
            "a green handheld game screen",
            "four shades of green dithered pixels",
            "an old handheld console screen",
            "an 8-bit video game in four shades of green",
        ),
        ("an old 8-bit game in shades of green", "a green handheld console game"),
    ),
    Rendering(
        "terminal-text",
        terminal_text,
        (
            "ASCII art",
            "green text on a black terminal",
            "a picture made of text characters",
            "computer terminal characters",
            "green letters and symbols on a black screen",
            "typed ASCII characters",
        ),
        ("ASCII art in green terminal characters", "green ASCII letters on a terminal", "art made of typed text"),
    ),
    Rendering(
        "flat-vector",
        flat_vector,
        (
            "vector graphics",
            "a flat vector illustration",
            "a flat design of smooth shapes",
            "clean vector shapes in flat colours",
            "a minimalist flat illustration",
            "flat colors and smooth vector shapes",
        ),
        ("flat vector graphics", "a clean flat illustration of smooth shapes"),
    ),
    Rendering(
        "glitch",
        glitch,
        (
            "glitch art",
            "a glitched digital image",
            "a corrupted image file",
            "shifted colour channels and torn rows",
            "a digital glitch with shifted color channels",
            "a broken data glitch",
        ),
        ("a corrupted digital glitch", "glitched art with torn rows", "a broken glitched image"),
    ),
    Rendering(
        "old-television",
        television,
        (
            "an old television screen",
            "a CRT television with scan lines",
            "an old TV picture",
            "a cathode ray tube screen",
            "scan lines on a curved CRT screen",
            "a retro television broadcast",
        ),
        ("an old CRT TV screen", "a retro television picture with scan lines"),
    ),
    Rendering(
        "vaporwave",
        vaporwave,
        (
            "vaporwave",
            "vaporwave art",
            "a pink and cyan synthwave picture",
            "a retro eighties sunset grid",
            "a synthwave grid in pink and cyan",
            "retrowave neon pink and purple art",
        ),
        ("synthwave art", "a pink and cyan vaporwave picture", "a retro vaporwave grid"),
    ),
    *sensors.RENDERINGS,
)
