"""Colours by name, palettes, and how a photograph takes on a palette.

Dimension key: H height, W width, K colours. Pictures are float32 HW3 in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.training.renderings.canvas import (
    LUMA,
    Colour,
    Generator,
    Picture,
    blur,
    equalise,
    luminance,
    nearest_colours,
    ramp,
    unit,
)

NAMED_COLOURS: dict[str, Colour] = {
    "red": (0.86, 0.08, 0.1),
    "orange": (1.0, 0.52, 0.05),
    "yellow": (1.0, 0.88, 0.1),
    "green": (0.1, 0.6, 0.16),
    "teal": (0.0, 0.48, 0.48),
    "blue": (0.1, 0.25, 0.85),
    "purple": (0.48, 0.12, 0.66),
    "pink": (1.0, 0.52, 0.74),
    "brown": (0.42, 0.24, 0.1),
    "black": (0.04, 0.04, 0.04),
    "white": (0.97, 0.97, 0.97),
    "grey": (0.52, 0.52, 0.52),
    "gold": (0.83, 0.66, 0.18),
    "cyan": (0.1, 0.88, 0.95),
}


@dataclass(frozen=True)
class Palette:
    """Colours from dark to light, and the phrases that name them; no training caption holds the `unseen` ones."""

    name: str
    colours: tuple[Colour, ...]
    phrases: tuple[str, ...]
    unseen: tuple[str, ...]


def _hexes(*codes: str) -> tuple[Colour, ...]:
    """Colours from `rrggbb`, sorted from dark to light so that a gradient map keeps a picture readable."""
    colours = [tuple(int(code[k : k + 2], 16) / 255 for k in (0, 2, 4)) for code in codes]
    red_green_blue: list[Colour] = [(colour[0], colour[1], colour[2]) for colour in colours]
    return tuple(sorted(red_green_blue, key=lambda colour: float(np.dot(colour, LUMA))))


def recolour(picture_HW3: Picture, rng: Generator, palette: Palette) -> Picture:
    """The picture in the palette's colours: luminance mapped along them, mixed with each pixel's nearest colour."""
    grey_HW = equalise(luminance(picture_HW3), 0.03) ** rng.uniform(0.75, 1.3)
    mapped = ramp(grey_HW, palette.colours)
    nearest = blur(nearest_colours(picture_HW3, palette.colours), 0.8 * unit(picture_HW3.shape))
    share = rng.uniform(0.1, 0.4)
    shade = 0.85 + 0.15 * grey_HW[..., None]
    return np.clip(((1 - share) * mapped + share * nearest) * shade, 0, 1).astype(np.float32)


PALETTES: tuple[Palette, ...] = (
    Palette(
        "autumn",
        _hexes("3b1a0e", "7a2e12", "b8480f", "d9751a", "e8a33d", "f3d58a"),
        ("warm autumn colours", "autumn colors", "the reds and oranges of autumn leaves", "warm fall colors"),
        ("warm reds and oranges of fall", "the warm colours of autumn leaves"),
    ),
    Palette(
        "winter",
        _hexes("0f2238", "24496e", "4f7fa8", "8db6d3", "c3dcec", "f1f8fc"),
        ("cold winter blues", "icy blue colours", "cold blue colors", "a frosty winter palette"),
        ("icy winter colours", "a cold blue palette"),
    ),
    Palette(
        "pastel-colours",
        _hexes("8f86b8", "c3a6d8", "f4b6c8", "a8dcd0", "fce0b0", "fdf6e3"),
        ("pastel colours", "pastel colors", "soft pale pastel tones", "a gentle pastel palette"),
        ("soft pastel colours", "gentle pale pastel colors"),
    ),
    Palette(
        "rainbow",
        _hexes("2a0a8c", "9b12c9", "e8123a", "ff7a00", "12c24a", "17c8ee", "ffe814"),
        ("vivid rainbow colours", "rainbow colors", "all the colours of the rainbow", "a bright vivid rainbow palette"),
        ("bright rainbow colours", "the vivid colors of the rainbow"),
    ),
    Palette(
        "earth",
        _hexes("2b1f15", "565a2c", "a4593a", "b98a3c", "b7a97a", "e6d8b8"),
        ("earth tones", "muted earthy browns", "natural earthy colours", "brown and olive earth colors"),
        ("earthy brown tones", "muted natural earth tones"),
    ),
    Palette(
        "black-and-gold",
        _hexes("040302", "151005", "4a3508", "a8811f", "e3bd4b", "ffeeb0"),
        ("black and gold", "a black and gold palette", "rich black and gold colours"),
        ("rich gold and black", "gold colours on black"),
    ),
    Palette(
        "teal-and-orange",
        _hexes("03222a", "07525c", "0f8b90", "e8772a", "ffa857", "ffe0b8"),
        (
            "teal and orange",
            "a teal and orange film grade",
            "teal shadows and orange highlights",
            "orange and teal colors",
        ),
        ("an orange and teal film grade", "orange highlights and teal"),
    ),
    Palette(
        "purple-night",
        _hexes("0d0420", "27104d", "4b1f86", "7d3fc0", "a985dc", "dccdf6"),
        ("purple night tones", "deep violet colours", "a purple and violet palette", "dark purple night colors"),
        ("deep violet night tones", "dark purple and violet"),
    ),
    Palette(
        "candy-pink",
        _hexes("8a0f4c", "d42a7c", "f45fa4", "ff93c2", "ffc3dd", "fff0f6"),
        ("candy pinks", "bubblegum pink colours", "a candy pink palette", "sweet pink colors"),
        ("sweet candy pinks", "a bubblegum pink palette"),
    ),
    Palette(
        "forest-green",
        _hexes("06170c", "10371d", "205c30", "3f8746", "7db36b", "cde3b0"),
        ("forest greens", "deep green colours", "the greens of a forest", "a mossy green palette"),
        ("deep forest greens", "a forest palette of mossy green"),
    ),
    Palette(
        "desert",
        _hexes("6b2f1f", "a5522f", "cc7f4e", "e2ad74", "f0cf9c", "8fb4bd", "faeed6"),
        ("desert tones", "sandy terracotta colours", "a desert palette of sand and terracotta", "sandy desert colors"),
        ("terracotta and sand desert tones", "a sandy desert palette"),
    ),
    Palette(
        "red-and-black",
        _hexes("030202", "1f0305", "5a070b", "a30d12", "e01a1f", "ff6a5c"),
        ("red and black", "black and red colours", "a red and black palette", "blood red on black"),
        ("a palette of black and red", "black and blood red"),
    ),
)
