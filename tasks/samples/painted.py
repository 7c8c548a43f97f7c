"""Styles drawn with brush and ink: a swirling night, a woodcut wave, an ink landscape, a sunset of dots."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tasks.images.fitting import Pixels
from tasks.samples.painting import (
    SIDE,
    Brush,
    Floats,
    blend,
    cloud,
    draw_polygons,
    grid,
    light,
    ramp,
    rescale,
    rgb,
    soft_step,
    stroke_over,
    to_pixels,
)

# Height above which a ridge fades, how high it rises, and how many peaks it has; from far to near.
RIDGES = ((0.34, 0.30, 3), (0.44, 0.22, 4), (0.62, 0.46, 2), (0.80, 0.20, 5), (0.93, 0.34, 2))
# x, y, radius and turning sense of the night's whirls; x, y and radius of its lights.
WHIRLS = ((0.52, 0.36, 0.20, 1.0), (0.72, 0.50, 0.12, -1.0), (0.16, 0.22, 0.13, 1.0), (0.90, 0.16, 0.12, 1.0))
LIGHTS = (
    (0.86, 0.14, 0.085), (0.14, 0.17, 0.05), (0.34, 0.10, 0.035), (0.62, 0.12, 0.03), (0.27, 0.42, 0.04),
    (0.93, 0.44, 0.03), (0.47, 0.60, 0.03), (0.07, 0.46, 0.028),
)  # fmt: skip


def swirling_night(seed: int = 1) -> Pixels:
    """Thick strokes around whirls and lights over dark hills, in blues and yellows."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    angles_HW, turning_HW = _night_field(rng)
    bands_HW = rescale(cloud(rng, 5, 3, stretch=3) + 0.6 * np.sin(turning_HW) + 0.25 * down_HW)
    colours = ramp(bands_HW, "#0b1f4d", "#123a86", "#1f5fb4", "#3f8fcb", "#8cc3d8", "#dfe6bf")
    for x, y, radius in LIGHTS:
        distance_HW = np.hypot(across_HW - x, down_HW - y) / radius
        glow = ramp(np.clip(distance_HW / 2.4, 0, 1), "#fffbe0", "#ffe169", "#f7b52c", "#e8d27a", "#7fb4c9")
        colours = blend(colours, glow, 1.25 - distance_HW / 2.1)
    hills_HW = down_HW - 0.74 - 0.07 * np.sin(5 * across_HW + 0.6) - 0.05 * cloud(rng, 3, 2)
    ground = ramp(cloud(rng, 6, 3), "#0a1a2f", "#12324a", "#1d5a5c", "#4f8a63", "#c9b458")
    on_ground_HW = soft_step(hills_HW, 0, 0.004)
    colours = blend(colours, ground, on_ground_HW)
    angles_HW = np.where(on_ground_HW > 0.5, 0.5 * np.cos(5 * across_HW + 0.6), angles_HW)
    tree_HW = _flame(across_HW - 0.13, down_HW)
    bark = ramp(cloud(rng, 14, 2), "#060d12", "#10281f", "#2c4a22", "#6b5a1e")
    colours = blend(colours, bark, tree_HW)
    angles_HW = np.where(tree_HW > 0.5, -np.pi / 2 + 0.5 * np.sin(22 * down_HW), angles_HW)
    canvas = stroke_over(rng, colours, colours, angles_HW, Brush(34, 9, 9, stray=0.05))
    canvas = stroke_over(rng, canvas, colours, angles_HW, Brush(22, 6, 6.5, stray=0.07))
    return to_pixels(light(canvas, 0.55))


def _night_field(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Angles of the strokes, and a phase that turns around whirls and lights."""
    across_HW, down_HW = grid()
    flow = 0.45 * np.ones((2, SIDE, SIDE)) * np.array([1.0, 0.15])[:, None, None]
    flow[1] += 0.5 * (cloud(rng, 3, 2) - 0.5)
    phase_HW = 9 * down_HW + 5 * cloud(rng, 3, 2)
    for x, y, radius, sense in [*WHIRLS, *[(x, y, r, 1.0) for x, y, r in LIGHTS]]:
        right_HW, below_HW = across_HW - x, down_HW - y
        distance_HW = np.hypot(right_HW, below_HW) + 1e-6
        weight_HW = 2.2 * np.exp(-((distance_HW / radius / 1.3) ** 2))
        flow += weight_HW * sense * np.stack([-below_HW, right_HW]) / distance_HW
        phase_HW += weight_HW * (sense * np.arctan2(below_HW, right_HW) + 40 * distance_HW)
    return np.arctan2(flow[1], flow[0]), phase_HW


def _flame(right_HW: Floats, down_HW: Floats) -> Floats:
    """A cypress: narrow at the top, wavering, standing on the lower edge."""
    height_HW = np.clip((down_HW - 0.30) / 0.70, 0, 1)
    width_HW = 0.085 * height_HW**0.7 * (1 + 0.25 * np.sin(34 * down_HW))
    sway_HW = 0.018 * np.sin(16 * down_HW)
    return soft_step(width_HW - np.abs(right_HW - sway_HW), 0, 0.006) * (down_HW > 0.30)


def woodcut_wave(seed: int = 2) -> Pixels:
    """Waves in flat indigos with foam and ink contours, under a pale sky with a red sun; wood grain in all."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    canvas = ramp(down_HW, "#e9c99b", "#f1e2bd", "#f4ead0", "#e3dcc0", "#c9d3c2")
    sun_HW = soft_step(0.115 - np.hypot(across_HW - 0.73, down_HW - 0.22), 0, 0.003)
    canvas = blend(canvas, np.broadcast_to(rgb("#c8432c"), canvas.shape), sun_HW)
    shades = ("#9fbfc4", "#6d9fb3", "#3f7c9f", "#27608a", "#194672", "#122f57")
    for layer, shade in enumerate(shades):
        canvas = _wave_layer(rng, canvas, layer, shade)
    grain_HW = cloud(rng, 90, 2, stretch=14) - 0.5
    canvas = canvas * (1 + 0.14 * grain_HW[..., None]) * (1 + 0.05 * (cloud(rng, 200, 1)[..., None] - 0.5))
    return to_pixels(canvas)


def _wave_layer(rng: np.random.Generator, canvas_HWC: Floats, layer: int, shade: str) -> Floats:
    """One sheet of water: body, lines that follow its crest, foam along it, and an ink contour."""
    points = np.linspace(-20, SIDE + 20, 260)
    x, phase, ink = points / SIDE, rng.random() * 6.28, rgb("#14233f")
    swell = (0.05 + 0.012 * layer) * np.abs(np.sin((4.2 - 0.35 * layer) * x + phase)) ** 1.5
    crest = (0.42 + 0.105 * layer - 1.6 * swell + 0.012 * np.sin(15 * x + phase)) * SIDE
    lean = points + 60 * swell / 0.1 * 0.6

    def sheet(sink: float) -> Floats:
        edge = np.stack([lean, crest + sink], axis=1)
        return np.concatenate([edge, [[SIDE + 90, SIDE + 9], [-90, SIDE + 9]]])

    polygons = [(sheet(-2.5), ink), (sheet(0), rgb("#f6f0dd"))]
    foam = np.abs(np.sin(points / 9.0 + phase)) * 7 + 9
    polygons += [(_scalloped(sheet(0), foam), ink), (_scalloped(sheet(2), foam), rgb(shade))]
    for line in range(9):
        sink, tone = 26 + 13 * line, rgb("#f6f0dd") if line % 3 == 0 else ink
        light_tone = 0.55 * rgb(shade) + 0.45 * tone
        polygons += [(sheet(sink), light_tone), (sheet(sink + 1.8 + 1.2 * (line % 2)), rgb(shade))]
    return draw_polygons(canvas_HWC, polygons)


def _scalloped(sheet: Floats, foam: Floats) -> Floats:
    lowered = sheet.copy()
    lowered[: len(foam), 1] += foam
    return lowered


def ink_landscape(seed: int = 3) -> Pixels:
    """Mountains in black ink washes that fade into mist on warm paper, with reeds and a red seal."""
    rng = np.random.default_rng(seed)
    _, down_HW = grid()
    paper = ramp(cloud(rng, 40, 3), "#e9dfc6", "#f1e8d2", "#f7f0de")
    canvas = paper
    for layer in range(5):
        base, height, cells = RIDGES[layer]
        ridge = base - height * (_ridge(rng, cells) ** 1.4 - 0.3)
        below_HW = down_HW - ridge[None, :] + 0.02 * (cloud(rng, 24, 2) - 0.5)
        wash_HW = soft_step(below_HW, 0, 0.004 + 0.002 * (4 - layer)) * np.exp(-np.clip(below_HW, 0, 1) * 7.5)
        streaks_HW = 0.55 + 0.45 * soft_step(cloud(rng, 26, 4, stretch=0.35), 0.5, 0.16)
        density = 0.35 + 0.16 * layer
        rim_HW = 0.7 * np.exp(-((below_HW / 0.006) ** 2)) * cloud(rng, 12, 2)
        dark_HW = np.clip(density * wash_HW * streaks_HW * 1.25 + density * rim_HW, 0, 1)
        canvas = blend(canvas, np.broadcast_to(rgb("#17171b"), canvas.shape), dark_HW)
    image = Image.fromarray(to_pixels(canvas)).resize((2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(image)
    _draw_reeds(rng, draw)
    draw.rectangle((1030, 60, 1086, 116), fill="#b3261e")
    for place in (1041, 1057, 1073):
        draw.line((place, 68, place, 108), fill="#f1e8d2", width=4)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).copy()


def _ridge(rng: np.random.Generator, cells: float) -> Floats:
    return cloud(rng, cells, 6)[SIDE // 2]


def _draw_reeds(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """Stems from the lower edge with blades that thin out, at twice the size."""
    for _ in range(46):
        foot = rng.uniform(-40, 560)
        tip = foot + rng.normal(60, 60)
        height, grey = rng.uniform(200, 560) * (1 - foot / 1100), int(rng.uniform(10, 90))
        t = np.linspace(0, 1, 30)
        x = foot + (tip - foot) * t**2 + 6 * np.sin(7 * t)
        y = 2 * SIDE - height * t
        for k in range(29):
            draw.line((x[k], y[k], x[k + 1], y[k + 1]), fill=(grey,) * 3, width=max(1, int(9 * (1 - t[k]) ** 0.8)))


def dotted_sunset(seed: int = 4) -> Pixels:
    """A low sun over water in dots of pure colours that mix in the eye."""
    rng = np.random.default_rng(seed)
    across_HW, down_HW = grid()
    sky = ramp(down_HW / 0.58, "#27408b", "#5a5fae", "#a86ca8", "#ee7f7b", "#ffb35c", "#ffe08a")
    distance_HW = np.hypot(across_HW - 0.60, down_HW - 0.47)
    sky = blend(sky, np.broadcast_to(rgb("#fff6c9"), sky.shape), np.exp(-((distance_HW / 0.10) ** 2)) * 1.3)
    sea = ramp((down_HW - 0.58) / 0.42, "#f0a070", "#8a6aa0", "#33609c", "#123a6b", "#0a2547")
    glitter_HW = np.exp(-(((across_HW - 0.60) / (0.05 + 0.25 * (down_HW - 0.5))) ** 2)) * cloud(rng, 40, 2, 5)
    sea = blend(sea, np.broadcast_to(rgb("#ffd779"), sea.shape), glitter_HW * 1.3)
    scene = np.where((down_HW > 0.58)[..., None], sea, sky)
    shore_HW = down_HW - 0.92 + 0.30 * (1 - across_HW) ** 3 * (0.8 + 0.4 * cloud(rng, 5, 3))
    scene = blend(
        scene, ramp(cloud(rng, 9, 3), "#0f2b2b", "#1f5b3a", "#6f8f2f", "#d4a63a"), soft_step(shore_HW, 0.2, 0.01)
    )
    return to_pixels(_dots(rng, scene))


def _dots(rng: np.random.Generator, scene_HWC: Floats) -> Floats:
    canvas = Image.fromarray(to_pixels(0.75 * scene_HWC + 0.25 * rgb("#f2e6cf"))).resize((2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(canvas)
    count = 26000
    places = rng.random((count, 2)) * SIDE
    shades = scene_HWC[places[:, 1].astype(int), places[:, 0].astype(int)]
    # Each dot strays towards one primary, as divided colour does; neighbours mix back.
    shades = np.clip((shades - 0.5) * 1.25 + 0.5 + rng.normal(0, 0.13, (count, 3)), 0, 1)
    radii = rng.uniform(3.2, 6.0, count)
    for (x, y), radius, shade in zip(2 * places, radii, (shades * 255).astype(int), strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(shade.tolist()))
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255
