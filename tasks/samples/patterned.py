"""Styles built of pieces: stained glass, a mosaic, a geometric composition, a halftone print."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from tasks.images.fitting import Pixels
from tasks.samples.painting import (
    SIDE,
    Floats,
    blend,
    cloud,
    draw_polygons,
    grid,
    ramp,
    rescale,
    rgb,
    soft_step,
    to_pixels,
)

GLASS = ("#b3122a", "#e0521b", "#f4b321", "#f7df6a", "#1f8a4c", "#0f6f8f", "#173f9c", "#5a1f8a", "#c2378c")
PAINTS = ("#b3201f", "#e0b01f", "#12356e", "#16161a", "#d9622b", "#2f7f86", "#8aa9b8", "#efe3c6")
FRUITS = (
    ("#fff3b0", "#ffb52e", "#f2711c", "#a8321a"),
    ("#ffe0d6", "#ff5f6d", "#d81f5a", "#6f0f4a"),
    ("#f6ffd0", "#c9e24a", "#5fae3a", "#1d5a3a"),
)
# Pixels from one row of stones to the next.
PITCH = 9.0


def stained_glass(seed: int = 5) -> Pixels:
    """Glowing cells in dark leading around a rose, with streaks in the glass."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    seeds = np.concatenate([_rose(), _jittered(rng, 15)])
    seeds = seeds[np.unique(np.round(seeds / 0.035), axis=0, return_index=True)[1]]
    points = np.stack([across_HW.ravel(), down_HW.ravel()], axis=1)
    distances, owners = cKDTree(seeds).query(points, k=2)
    gap_HW = (distances[:, 1] - distances[:, 0]).reshape(SIDE, SIDE)
    owner_HW = owners[:, 0].reshape(SIDE, SIDE)
    from_middle = np.hypot(*(seeds - [0.5, 0.46]).T)
    hues = np.where(from_middle < 0.34, (from_middle * 26).astype(int) % 5, 4 + rng.integers(0, 5, len(seeds)))
    colours = np.array([rgb(GLASS[hue]) for hue in hues]) * rng.uniform(0.75, 1.15, (len(seeds), 1))
    glass = colours[owner_HW]
    glow_HW = 0.72 + 0.55 * np.clip(gap_HW / 0.05, 0, 1) * (0.5 + cloud(rng, 9, 3))
    streaks_HW = 0.86 + 0.28 * cloud(rng, 60, 3, stretch=0.2)
    glass = np.clip(glass * (glow_HW * streaks_HW)[..., None], 0, 1)
    glass = blend(glass, np.ones_like(glass), 0.28 * soft_step(cloud(rng, 18, 3), 0.72, 0.1))
    lead_HW = 1 - soft_step(gap_HW, 0.0085, 0.0018)
    metal = ramp(cloud(rng, 70, 2), "#0b0a0d", "#1c1a1f", "#3a363c")
    return to_pixels(blend(glass, metal, lead_HW))


def _rose() -> Floats:
    """Rings of seeds around the middle, as petals."""
    rings = [(0.0, 1), (0.075, 8), (0.15, 12), (0.225, 16), (0.31, 24)]
    points = []
    for place, (radius, count) in enumerate(rings):
        turn = 2 * np.pi * (np.arange(count) + 0.5 * (place % 2)) / count
        points.append(np.stack([0.5 + radius * np.cos(turn), 0.46 + radius * np.sin(turn)], axis=1))
    return np.concatenate(points)


def _jittered(rng: np.random.Generator, count: int) -> Floats:
    places = np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2)
    points = (places + rng.uniform(0.1, 0.9, places.shape)) / count
    return points[np.hypot(*(points - [0.5, 0.46]).T) > 0.36]


def mosaic(seed: int = 6) -> Pixels:
    """Small stones laid in rows that follow the curves of a sun over waves, on dark grout."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    colours, field_HW, along_HW = _mosaic_scene(rng, across_HW, down_HW)
    slope_y, slope_x = np.gradient(field_HW)
    angles_HW = np.arctan2(slope_y, slope_x)
    grout = ramp(cloud(rng, 80, 2), "#1d1714", "#2e2621", "#463b32")
    places = _rows_of_stones(field_HW, along_HW)
    rows, columns = places[:, 1].astype(int), places[:, 0].astype(int)
    shades = colours[rows, columns] * rng.uniform(0.72, 1.18, (len(places), 1)) + rng.normal(0, 0.035, (len(places), 3))
    polygons = []
    for (x, y), turn, shade in zip(places, angles_HW[rows, columns], shades, strict=True):
        polygons.append((_stone(rng, x, y, turn), shade))
    stones = draw_polygons(grout, polygons)
    return to_pixels(stones * (0.90 + 0.20 * cloud(rng, 120, 2))[..., None])


def _mosaic_scene(rng: np.random.Generator, across_HW: Floats, down_HW: Floats) -> tuple[Floats, Floats, Floats]:
    """Colours, a field in pixels whose level lines are the rows of stones, and the place along a row."""
    distance_HW = np.hypot(across_HW - 0.38, down_HW - 0.36)
    wave_HW = down_HW - 0.70 - 0.06 * np.sin(9 * across_HW) - 0.03 * np.sin(17 * across_HW + 1)
    rays_HW = 0.5 + 0.5 * np.sin(14 * np.arctan2(down_HW - 0.36, across_HW - 0.38))
    sun = ramp(np.clip(distance_HW / 0.20, 0, 1), "#f7e7b0", "#f2c04d", "#e8862f", "#c9462c")
    sky = ramp(
        np.clip(distance_HW / 0.75 + 0.10 * rays_HW, 0, 1), "#f2d58a", "#e9b872", "#7fb5ad", "#2b7f8e", "#14506b"
    )
    sky = blend(
        sky, np.broadcast_to(rgb("#f3dca0"), sky.shape), 0.55 * soft_step(rays_HW, 0.75, 0.1) * (distance_HW < 0.42)
    )
    bands_HW = rescale(np.sin(48 * wave_HW)) * 0.8 + 0.2 * cloud(rng, 7, 2)
    sea = ramp(bands_HW, "#0c2f4a", "#12506e", "#1f7f8c", "#63b3a4", "#e9ecd0")
    colours = np.where((distance_HW < 0.20)[..., None], sun, sky)
    colours = np.where((wave_HW > 0)[..., None], sea, colours)
    steepness_HW = np.hypot(1, 0.54 * np.cos(9 * across_HW) + 0.51 * np.cos(17 * across_HW + 1))
    field_HW = np.where(wave_HW > 0, wave_HW / steepness_HW + 2, distance_HW) * SIDE
    # Each ring starts elsewhere, so that the joints do not line up.
    turn_HW = np.arctan2(down_HW - 0.36, across_HW - 0.38) + 2.4 * np.floor(distance_HW * SIDE / PITCH)
    return colours, field_HW, np.where(wave_HW > 0, across_HW, turn_HW % (2 * np.pi))


def _rows_of_stones(field_HW: Floats, along_HW: Floats) -> Floats:
    """Centres (x, y) on level lines one pitch apart, and one pitch apart along them, greedily."""
    row_HW = np.floor(field_HW / PITCH)
    near_line = np.abs(field_HW / PITCH - row_HW - 0.5) < 0.09
    rows, columns = np.nonzero(near_line)
    candidates = np.stack([columns, rows], axis=1).astype(float)
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    offsets = [(dx, dy) for dx in range(-9, 10) for dy in range(-9, 10) if np.hypot(dx, dy) < 0.9 * PITCH]
    kept = []
    dx, dy = np.array(offsets).T
    for x, y in candidates[np.lexsort((along_HW[rows, columns], row_HW[rows, columns]))].astype(int):
        if not taken[y, x]:
            kept.append((x, y))
            taken[np.clip(y + dy, 0, SIDE - 1), np.clip(x + dx, 0, SIDE - 1)] = True
    return np.array(kept, dtype=float)


def _stone(rng: np.random.Generator, x: float, y: float, turn: float) -> Floats:
    half = 3.8 * rng.uniform(0.88, 1.08, 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + rng.normal(0, 0.45, (4, 2))
    turn = turn + rng.normal(0, 0.08)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return corners @ spin + [x, y]


def geometric(seed: int = 7) -> Pixels:
    """Discs, bars, rings and checks in primary colours, overlapping on cream; each plane has its own grain."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    canvas = ramp(cloud(rng, 30, 3), "#e7d7b4", "#f1e5c8", "#f6eed8")
    for _ in range(26):
        canvas = _plane(rng, canvas, across_HW, down_HW)
    for _ in range(9):
        canvas = _ring_or_check(rng, canvas, across_HW, down_HW)
    return to_pixels(canvas * (0.93 + 0.14 * cloud(rng, 110, 2))[..., None])


def _plane(rng: np.random.Generator, canvas: Floats, across_HW: Floats, down_HW: Floats) -> Floats:
    """A disc, a half disc, a bar or a triangle, shaded along its length."""
    x, y, turn, size = *rng.random(2), rng.choice([0.0, 0.5, 0.79, 1.2, 2.36]), rng.uniform(0.07, 0.24)
    right_HW = (across_HW - x) * np.cos(turn) + (down_HW - y) * np.sin(turn)
    below_HW = (down_HW - y) * np.cos(turn) - (across_HW - x) * np.sin(turn)
    disc_HW = size - np.hypot(right_HW, below_HW)
    inside_HW = [
        disc_HW,
        np.minimum(disc_HW, below_HW),
        np.minimum(1.9 * size - np.abs(right_HW), 0.22 * size - np.abs(below_HW)),
        np.minimum(size - below_HW, below_HW + size - 1.6 * np.abs(right_HW)),
    ][rng.integers(4)]
    colour, other = (rgb(PAINTS[k]) for k in rng.choice(len(PAINTS), 2, replace=False))
    shade_HW = np.clip(0.5 + right_HW / size * 0.5, 0, 1) * 0.5 + 0.25 * cloud(rng, 50, 2, stretch=0.2)
    paint = colour + (other - colour) * (0.45 * shade_HW)[..., None]
    return blend(canvas, paint, soft_step(inside_HW, 0, 0.002) * rng.choice([1.0, 0.92, 0.78]))


def _ring_or_check(rng: np.random.Generator, canvas: Floats, across_HW: Floats, down_HW: Floats) -> Floats:
    """Concentric rings, a small chequered field, or a fan of lines."""
    x, y, size = *rng.uniform(0.08, 0.92, 2), rng.uniform(0.06, 0.15)
    right_HW, below_HW = across_HW - x, down_HW - y
    distance_HW = np.hypot(right_HW, below_HW)
    kind = rng.integers(3)
    if kind == 0:
        marks_HW = soft_step(np.sin(distance_HW * 2 * np.pi / 0.022), 0.1, 0.15) * (distance_HW < size)
    elif kind == 1:
        check_HW = (np.floor(right_HW / 0.022) + np.floor(below_HW / 0.022)) % 2
        marks_HW = check_HW * (np.abs(right_HW) < size) * (np.abs(below_HW) < 0.6 * size)
    else:
        fan_HW = np.sin(46 * np.arctan2(below_HW, right_HW))
        marks_HW = soft_step(fan_HW, 0.5, 0.3) * (distance_HW < 1.4 * size) * (right_HW > 0)
    ink = rgb(str(rng.choice(["#16161a", "#16161a", "#b3201f", "#12356e"])))
    return blend(canvas, np.broadcast_to(ink, canvas.shape), marks_HW)


def halftone_print(seed: int = 8) -> Pixels:
    """Fruit and leaves in four coarse screens of bright inks, slightly out of register, on rough paper."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    scene = ramp(down_HW + 0.4 * across_HW, "#ffe9a8", "#ffb7a5", "#ff7fa5", "#7e8fe8", "#46c7d6")
    for place in range(17):
        scene = _fruit(rng, scene, across_HW, down_HW, place)
    paper = ramp(cloud(rng, 120, 2), "#efe6d2", "#f8f2e2")
    tones = 1 - scene
    black_HW = np.clip(tones.min(axis=-1) * 1.3 - 0.05, 0, 1)
    screens = [
        (tones[..., 0] - 0.4 * black_HW, 15, "#0090c8"),
        (tones[..., 1] - 0.4 * black_HW, 75, "#e8306f"),
        (tones[..., 2] - 0.4 * black_HW, 0, "#ffd21f"),
        (black_HW, 45, "#1c1a3a"),
    ]
    for tone_HW, degrees, ink in screens:
        shifted_HW = np.roll(tone_HW, rng.integers(-3, 4, 2), axis=(0, 1))
        cover_HW = _screen(shifted_HW, degrees) * (0.86 + 0.14 * cloud(rng, 150, 1))
        paper = paper * (1 - cover_HW[..., None] * (1 - rgb(ink)))
    return to_pixels(paper)


def _fruit(rng: np.random.Generator, scene: Floats, across_HW: Floats, down_HW: Floats, place: int) -> Floats:
    x, y, size = *rng.uniform(0.0, 1.0, 2), rng.uniform(0.07, 0.17)
    turn = rng.uniform(0, np.pi)
    right_HW = (across_HW - x) * np.cos(turn) + (down_HW - y) * np.sin(turn)
    below_HW = (down_HW - y) * np.cos(turn) - (across_HW - x) * np.sin(turn)
    if place % 3 == 0:
        leaf_HW = 0.35 * size * (1 - (right_HW / size / 1.3) ** 2) - np.abs(below_HW)
        tone = ramp(np.abs(np.sin(below_HW * 220 + 140 * np.abs(right_HW))), "#0d4f4a", "#1f9d6b", "#8fdc7a")
        return blend(scene, tone, soft_step(leaf_HW, 0, 0.003))
    distance_HW = np.hypot(right_HW, below_HW) / size
    lit_HW = np.hypot(across_HW - x + 0.35 * size, down_HW - y + 0.35 * size) / size
    tone = ramp(np.clip(lit_HW / 1.5, 0, 1), *(FRUITS[place % len(FRUITS)]))
    scene = blend(scene, np.broadcast_to(rgb("#241a3a"), scene.shape), soft_step(1.06 - distance_HW, 0, 0.02))
    return blend(scene, tone, soft_step(0.98 - distance_HW, 0, 0.02))


def _screen(tone_HW: Floats, degrees: float, pitch: float = 7.0) -> Floats:
    """Dots on a turned grid, larger where the tone is deeper."""
    across_HW, down_HW = (axis * SIDE / pitch for axis in grid())
    turn = np.deg2rad(degrees)
    u_HW = across_HW * np.cos(turn) + down_HW * np.sin(turn)
    v_HW = down_HW * np.cos(turn) - across_HW * np.sin(turn)
    threshold_HW = 0.5 + 0.25 * (np.cos(2 * np.pi * u_HW) + np.cos(2 * np.pi * v_HW))
    return soft_step(np.clip(tone_HW, 0, 1) + threshold_HW - 1, 0, 0.12)
