"""Paint in strokes, dots, facets and swirls: impasto, fauvism, impressionism, pointillism, cubism, marbling.

Dimension key: H height, W width, L lines. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

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
from tasks.training.renderings.surface import choose, flow, lit, shade, strokes


def _impasto(picture_HW3: Picture, rng: Generator) -> Picture:
    """Thick slabs of a palette knife that catch the light."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    knife = (rng.uniform(17, 22) * size, rng.uniform(8, 10) * size)
    angle = flow(picture_HW3, 6 * size) + (noise(shape, 40 * size, rng) - 0.5) * 2
    soft = saturate(blur(picture_HW3, 2 * size), rng.uniform(1.2, 1.5))
    slabs = strokes(soft, soft, angle, rng, knife, 3.0, 0.11)
    ridges = smear(grain(shape, rng), np.sin(angle), np.cos(angle), round(8 * size))
    light = shade(blur(luminance(slabs), 0.6) + 0.12 * ridges, rng.uniform(0.5, 1.1), rng.uniform(3.0, 4.0))
    return np.clip(lit(slabs, np.clip(light, 0.35, 1.75)), 0, 1)


FAUVE: tuple[tuple[Colour, ...], ...] = (
    ((0.1, 0.05, 0.45), (0.75, 0.05, 0.35), (0.98, 0.4, 0.08), (0.2, 0.75, 0.45), (1.0, 0.9, 0.25)),
    ((0.05, 0.1, 0.4), (0.0, 0.5, 0.55), (0.9, 0.15, 0.2), (1.0, 0.6, 0.1), (1.0, 0.88, 0.5)),
    ((0.25, 0.0, 0.4), (0.1, 0.3, 0.85), (0.95, 0.2, 0.5), (0.35, 0.8, 0.3), (1.0, 0.85, 0.2)),
)


def _fauvist(picture_HW3: Picture, rng: Generator) -> Picture:
    """Unreal, burning colours in broad flat strokes, with bold blue contours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    vivid = ramp(equalise(luminance(picture_HW3)), choose(FAUVE, rng))
    share = np.full(shape, rng.uniform(0.55, 0.75), np.float32)
    vivid = saturate(mix(saturate(kuwahara(picture_HW3, round(5 * size)), 2), vivid, share), 1.25)
    angle = flow(picture_HW3, 5 * size)
    paint = strokes(blur(vivid, 1.5 * size), vivid, angle, rng, (14 * size, rng.uniform(3.5, 5) * size), 1.5, 0.08)
    contour = ink_lines(luminance(picture_HW3), 1.8 * size, 0.98, -0.012, 40)
    return mix(np.full_like(paint, (0.06, 0.06, 0.3)), paint, contour)


def _impressionist(picture_HW3: Picture, rng: Generator) -> Picture:
    """Short broken dabs of light, bright colour."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    light = saturate(np.clip(0.1 + 0.95 * picture_HW3, 0, 1) ** 0.85, rng.uniform(1.3, 1.6))
    light = np.clip(light + (noise(shape, 25 * size, rng)[..., None] - 0.5) * np.array([0.1, 0, -0.12]), 0, 1)
    slant = rng.uniform(-0.6, 0.6) + (noise(shape, 50 * size, rng) - 0.5) * 2
    dab = (rng.uniform(6, 8) * size, rng.uniform(2.6, 3.4) * size)
    return blur(strokes(blur(light, 3 * size), light, slant, rng, dab, 1.7, 0.1), 0.4)


def _pointillist(picture_HW3: Picture, rng: Generator) -> Picture:
    """Round dots of unmixed colour on cream."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    space = rng.uniform(4.2, 5.6) * size
    ticks = [np.arange(0, side, space) for side in shape]
    grid = np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 2)
    points = grid + rng.uniform(-0.22, 0.22, grid.shape) * space
    away, index = cKDTree(points).query(np.stack(coordinates(shape), -1), distance_upper_bound=0.65 * space)
    at = np.clip(np.rint(points).astype(int), 0, np.array(shape) - 1)
    pure = saturate(blur(picture_HW3, size)[at[:, 0], at[:, 1]][None], rng.uniform(1.6, 2.1))[0]
    pure = np.clip(pure + rng.normal(0, 0.1, pure.shape), 0, 1)
    dots = np.concatenate([pure, np.ones((1, 3))])[index]
    return mix(np.full_like(picture_HW3, 0.95) * (1, 0.97, 0.88), dots, np.clip((0.55 * space - away) / 0.9, 0, 1))


CUBIST: tuple[tuple[Colour, ...], ...] = (
    ((0.12, 0.09, 0.07), (0.42, 0.3, 0.2), (0.7, 0.58, 0.4), (0.93, 0.87, 0.72)),
    ((0.1, 0.11, 0.13), (0.32, 0.34, 0.33), (0.66, 0.55, 0.38), (0.92, 0.88, 0.78)),
    ((0.12, 0.14, 0.2), (0.5, 0.28, 0.2), (0.55, 0.6, 0.55), (0.95, 0.85, 0.65)),
)


def _cubist(picture_HW3: Picture, rng: Generator) -> Picture:
    """Straight cuts through the picture; every facet slips and takes its own light. Earthy colours."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    rows, columns = coordinates(shape)
    turns = rng.uniform(0, np.pi, int(rng.integers(8, 12)))
    away_LHW = np.stack(
        [
            (rows - rng.uniform(0.1, 0.9) * shape[0]) * np.cos(turn)
            + (columns - rng.uniform(0.1, 0.9) * shape[1]) * np.sin(turn)
            for turn in turns
        ]
    )
    powers = 2 ** np.arange(len(turns))
    labels = np.tensordot(powers, away_LHW > 0, 1)
    slip = rng.uniform(-11, 11, (2, 2 ** len(turns))) * size
    facets = displace(kuwahara(picture_HW3, round(4 * size)), slip[0][labels], slip[1][labels])
    falls = np.sign(away_LHW) * np.exp(-np.abs(away_LHW) / (14 * size))
    light = 1 + 0.33 * np.tensordot(rng.choice([-1.0, 1.0], len(turns)), falls, 1).astype(np.float32)
    earth = ramp(equalise(luminance(facets)), choose(CUBIST, rng))
    paint = lit(mix(saturate(facets, 1.2), earth, np.full(shape, rng.uniform(0.6, 0.85))), np.clip(light, 0.3, 1.6))
    lines = np.clip(1.2 - np.abs(away_LHW).min(0) / size, 0, 1)
    return np.clip(mix(paint, (0.08, 0.06, 0.05), 0.8 * lines) + 0.025 * grain(shape, rng)[..., None], 0, 1)


def _whirls(shape: tuple[int, int], size: float, rng: Generator) -> Plane:
    """Angles of a wind with a few eddies in it."""
    rows, columns = coordinates(shape)
    down, right = 0.5 * (noise(shape, 60 * size, rng) - 0.5), np.full(shape, 0.35, np.float32)
    for _ in range(int(rng.integers(5, 9))):
        dy, dx = rows - rng.uniform(0, shape[0]), columns - rng.uniform(0, shape[1])
        far = np.hypot(dy, dx)
        pull = np.exp(-((far / (rng.uniform(18, 38) * size)) ** 2)) * rng.choice([-3.0, 3.0]) / np.maximum(far, 1)
        down, right = down + dx * pull, right - dy * pull
    return np.arctan2(down, right).astype(np.float32)


def _swirls(picture_HW3: Picture, rng: Generator) -> Picture:
    """Rivers of long thick strokes that whirl in eddies, in blues and yellows."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    night: list[Colour] = [(0.03, 0.06, 0.22), (0.1, 0.25, 0.6), (0.35, 0.6, 0.75), (0.95, 0.85, 0.4), (1, 0.95, 0.7)]
    share = np.full(shape, rng.uniform(0.35, 0.7), np.float32)
    colour = mix(saturate(picture_HW3, 1.5), ramp(equalise(luminance(picture_HW3)), night), share)
    angle = _whirls(shape, size, rng)
    ground = blur(colour, 2.5 * size)
    paint = strokes(ground, blur(colour, size), angle, rng, (rng.uniform(10, 13) * size, 2.6 * size), 1.5, 0.15)
    return np.clip(lit(paint, shade(luminance(paint), 0.8, 0.9)), 0, 1)


MARBLE: tuple[tuple[Colour, ...], ...] = (
    ((1.0, 0.1, 0.55), (1.0, 0.75, 0.1), (0.1, 0.85, 0.7), (0.35, 0.1, 0.85), (1.0, 0.1, 0.55)),
    ((0.95, 0.3, 0.05), (0.98, 0.95, 0.3), (0.1, 0.6, 0.95), (0.85, 0.1, 0.75), (0.95, 0.3, 0.05)),
    ((0.1, 0.95, 0.35), (0.1, 0.2, 0.8), (0.95, 0.15, 0.75), (1.0, 0.9, 0.2), (0.1, 0.95, 0.35)),
)


def _marbled(picture_HW3: Picture, rng: Generator) -> Picture:
    """Liquid rainbow bands that flow round the shapes."""
    size, shape = unit(picture_HW3.shape), picture_HW3.shape[:2]
    drift = [(noise(shape, 22 * size, rng) - 0.5) * 22 * size for _ in range(2)]
    grey = displace(equalise(blur(luminance(picture_HW3), 1.5 * size)), *drift)
    phase = rng.uniform(1.6, 2.4) * ndimage.uniform_filter(grey, max(3, round(4 * size)))
    phase = phase + rng.uniform(1.8, 2.8) * noise(shape, 45 * size, rng)
    bands = ramp(phase % 1.0, choose(MARBLE, rng))
    veins = np.clip(1 - 9 * np.abs((phase * 3) % 1.0 - 0.5), 0, 1)
    inked = mix(bands, (0.08, 0.02, 0.15), 0.55 * veins + 0.2 * edges(grey, size))
    return contrast(inked * (0.35 + 0.75 * grey)[..., None], 1.1)


RENDERINGS: tuple[Rendering, ...] = (
    Rendering(
        "impasto",
        _impasto,
        (
            "an impasto painting",
            "thick impasto paint",
            "a palette knife painting",
            "thick strokes of a palette knife",
            "a heavily textured impasto canvas",
            "thick layers of paint",
        ),
        ("thick paint from a palette knife", "a thick impasto painting", "impasto strokes of a knife"),
    ),
    Rendering(
        "fauvist",
        _fauvist,
        (
            "a fauvist painting",
            "an expressionist painting",
            "fauvism with vivid unreal colours",
            "wild vivid strokes of acrylic paint",
            "a vivid expressionist acrylic painting",
            "an acrylic painting in wild colors",
        ),
        ("vivid expressionism in acrylic", "a wild fauvist painting", "a fauvist painting in vivid colors"),
    ),
    Rendering(
        "impressionist",
        _impressionist,
        (
            "an impressionist painting",
            "impressionism",
            "a painting in short dabs of light colour",
            "a painting in the style of Claude Monet",
            "an impressionist canvas of short dabs",
            "a bright French impressionist picture",
        ),
        ("a French impressionist painting", "impressionism like Claude Monet", "impressionist dabs of colour"),
    ),
    Rendering(
        "pointillist",
        _pointillist,
        (
            "a pointillist painting",
            "pointillism",
            "a painting made of dots",
            "dots of pure colour",
            "a painting in the style of Georges Seurat",
            "many small dots of paint",
        ),
        (
            "a painting of many pure dots",
            "pointillism like Georges Seurat",
            "a pointillist picture of small paint dots",
        ),
    ),
    Rendering(
        "cubist",
        _cubist,
        (
            "a cubist painting",
            "cubism",
            "a cubist painting by Pablo Picasso",
            "a painting broken into cubist facets",
            "an analytic cubist canvas",
            "overlapping angular planes in cubist style",
        ),
        ("cubism like Picasso", "an angular cubist painting", "a cubist canvas of planes and facets"),
    ),
    Rendering(
        "swirls",
        _swirls,
        (
            "a painting by Vincent van Gogh",
            "The Starry Night by Van Gogh",
            "a post-impressionist painting with swirling strokes",
            "swirling brush strokes",
            "a starry night of swirls",
            "thick swirling strokes of blue and yellow",
        ),
        ("a swirling painting like Van Gogh", "Vincent van Gogh's Starry Night", "a painting of swirling strokes"),
    ),
    Rendering(
        "marbled",
        _marbled,
        (
            "psychedelic art",
            "a psychedelic painting",
            "marbled paint",
            "a surreal marbled swirl of rainbow colours",
            "liquid marbling",
            "a trippy psychedelic poster in rainbow colors",
        ),
        ("psychedelic rainbow marbling", "a trippy painting of liquid marbling", "surreal psychedelic art"),
    ),
)
