"""What the renderers draw with: lines, cells, noise, paper, ramps of colour.

Dimension key: H height, W width, C channels (RGB), K colours. Pictures are float32 HW3 in [0, 1], planes float32 HW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

Plane = NDArray[np.float32]
Picture = NDArray[np.float32]
Labels = NDArray[np.int64]
Colour = tuple[float, float, float]
Generator = np.random.Generator

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Rendering:
    """A way of drawing a photograph, and the phrases that name it.

    `phrases` are complete noun phrases, article included where one is due ("a watercolour painting", "pixel art");
    `unseen` are further ones that no training caption holds.
    """

    name: str
    draw: Callable[[Picture, Generator], Picture]
    phrases: tuple[str, ...]
    unseen: tuple[str, ...]


def unit(shape: tuple[int, ...]) -> float:
    """Pixels here for one pixel of a picture of 192 on its shorter side, in which the renderers give sizes."""
    return min(shape[:2]) / 192


def luminance(picture_HW3: Picture) -> Plane:
    return np.asarray(picture_HW3 @ LUMA, np.float32)


def equalise(plane_HW: Plane, share: float = 0.02) -> Plane:
    """Stretched so that all but a `share` at either end fills [0, 1]."""
    low, high = np.quantile(plane_HW, [share, 1 - share])
    return np.clip((plane_HW - low) / max(float(high - low), 0.05), 0, 1).astype(np.float32)


def blur(image: Picture, sigma: float) -> Picture:
    """Gaussian blur of a picture or a plane; never across channels."""
    spread = (sigma, sigma, 0) if image.ndim == 3 else (sigma, sigma)
    return np.asarray(ndimage.gaussian_filter(image, spread, truncate=3, mode="nearest"), np.float32)


def gradient(plane_HW: Plane, sigma: float = 1.0) -> tuple[Plane, Plane]:
    """Derivatives along y and x of the blurred plane."""
    blurred = blur(plane_HW, sigma)
    down, right = (np.asarray(np.gradient(blurred, axis=axis), np.float32) for axis in (0, 1))
    return down, right


def edges(plane_HW: Plane, sigma: float = 1.0) -> Plane:
    """Strength of edges, [0, 1], 1 at the strongest few."""
    strength = np.hypot(*gradient(plane_HW, sigma))
    return np.clip(strength / max(float(np.quantile(strength, 0.97)), 0.01), 0, 1).astype(np.float32)


def ink_lines(plane_HW: Plane, sigma: float = 1.0, tau: float = 0.97, level: float = 0.0, slope: float = 25.0) -> Plane:
    """1 on paper, 0 on lines: extended difference of Gaussians (Winnemoeller et al. 2012)."""
    difference = blur(plane_HW, sigma) - tau * blur(plane_HW, 1.6 * sigma)
    return np.where(difference >= level, 1.0, 1.0 + np.tanh(slope * (difference - level))).astype(np.float32)


def noise(shape: tuple[int, int], scale: float, rng: Generator) -> Plane:
    """Smooth noise in [0, 1] whose blobs measure about `scale` pixels."""
    height, width = shape
    small = rng.random((max(2, round(height / scale) + 2), max(2, round(width / scale) + 2)), dtype=np.float32)
    grown = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(grown, np.float32), 0, 1)


def grain(shape: tuple[int, int], rng: Generator) -> Plane:
    """White noise of mean 0 and deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def paper(shape: tuple[int, int], rng: Generator, roughness: float = 0.06) -> Plane:
    """Brightness of paper about 1: fibres and tooth."""
    tooth = 0.6 * blur(grain(shape, rng), 0.7) + 0.8 * (noise(shape, 6, rng) - 0.5)
    return (1 + roughness * tooth).astype(np.float32)


def colour_paper(shape: tuple[int, int], colour: Colour, rng: Generator, roughness: float = 0.06) -> Picture:
    return np.clip(paper(shape, rng, roughness)[..., None] * np.array(colour, np.float32), 0, 1)


def coordinates(shape: tuple[int, int]) -> tuple[Plane, Plane]:
    """Rows and columns of the pixels, as planes."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return rows, columns


def stripes(shape: tuple[int, int], spacing: float, angle: float, wobble: Plane | float = 0.0) -> Plane:
    """A triangle wave, 0 at the middle of each line and 1 half way between; `angle` in radians from the horizontal."""
    rows, columns = coordinates(shape)
    phase = (rows * np.cos(angle) - columns * np.sin(angle) + wobble) / spacing
    return np.abs(2 * (phase - np.floor(phase + 0.5))).astype(np.float32)


def posterise(image: Picture, levels: int) -> Picture:
    return (np.round(image * (levels - 1)) / (levels - 1)).astype(np.float32)


def quantise(picture_HW3: Picture, count: int) -> tuple[Labels, Picture]:
    """The picture's own `count` main colours: labels HW, and the colours K3."""
    image = Image.fromarray((picture_HW3 * 255).astype(np.uint8)).quantize(count, Image.Quantize.MEDIANCUT)
    colours = np.asarray(image.getpalette(), np.float32).reshape(-1, 3) / np.float32(255)
    return np.asarray(image, np.int64), colours


def nearest_colours(picture_HW3: Picture, colours: Sequence[Colour]) -> Picture:
    """Each pixel in the nearest of the given colours."""
    table = np.array(colours, np.float32)
    _, index = cKDTree(table).query(picture_HW3.reshape(-1, 3))
    return table[index].reshape(picture_HW3.shape)


def ramp(plane_HW: Plane, colours: Sequence[Colour]) -> Picture:
    """A gradient map: 0 becomes the first colour, 1 the last, evenly between."""
    stops = np.linspace(0, 1, len(colours))
    channels = [np.interp(plane_HW, stops, [colour[channel] for colour in colours]) for channel in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def mix(below_HW3: Picture, above_HW3: Picture | Colour, share_HW: Plane) -> Picture:
    """`above` where the share is 1, `below` where it is 0."""
    share = np.clip(share_HW, 0, 1)[..., None]
    return (below_HW3 * (1 - share) + np.asarray(above_HW3, np.float32) * share).astype(np.float32)


def saturate(picture_HW3: Picture, amount: float) -> Picture:
    """Colourfulness times `amount`; 0 is grey."""
    grey = luminance(picture_HW3)[..., None]
    return np.clip(grey + amount * (picture_HW3 - grey), 0, 1).astype(np.float32)


def contrast(image: Picture, amount: float, middle: float = 0.5) -> Picture:
    return np.clip((image - middle) * amount + middle, 0, 1).astype(np.float32)


def kuwahara(picture_HW3: Picture, radius: int) -> Picture:
    """The mean of the calmest of the four windows at each pixel: flat dabs with firm edges (Kuwahara et al. 1976)."""
    side = radius + 1
    padded = np.pad(picture_HW3, ((side, side), (side, side), (0, 0)), "edge")
    means = np.stack([ndimage.uniform_filter(padded[..., c], side) for c in range(3)], -1)
    grey = luminance(padded)
    spread = ndimage.uniform_filter(grey * grey, side) - ndimage.uniform_filter(grey, side) ** 2
    shift = radius // 2 + radius % 2
    corners = [(dy, dx) for dy in (-shift, shift) for dx in (-shift, shift)]
    best = np.argmin([np.roll(spread, corner, (0, 1)) for corner in corners], 0)
    moved = np.stack([np.roll(means, corner, (0, 1)) for corner in corners])
    calm = np.take_along_axis(moved, best[None, ..., None], 0)[0]
    return calm[side:-side, side:-side].astype(np.float32)


def cells(shape: tuple[int, int], size: float, rng: Generator, jitter: float = 0.5) -> Labels:
    """Voronoi cells of about `size` pixels across: a label for each pixel. `jitter` 0 gives squares."""
    rows, columns = np.arange(size / 2, shape[0] + size / 2, size), np.arange(size / 2, shape[1] + size / 2, size)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    points = points + rng.uniform(-jitter, jitter, points.shape) * size
    _, labels = cKDTree(points).query(np.stack(coordinates(shape), -1))
    return labels.astype(np.int64)


def flatten(picture_HW3: Picture, labels_HW: Labels) -> Picture:
    """Each cell in its mean colour."""
    counts = np.maximum(np.bincount(labels_HW.ravel()), 1)
    means = [np.bincount(labels_HW.ravel(), picture_HW3[..., c].ravel()) / counts for c in range(3)]
    return np.stack(means, -1)[labels_HW].astype(np.float32)


def borders(labels_HW: Labels, width: float = 1.0) -> Plane:
    """1 on the lines between cells, about `width` pixels wide, 0 inside."""
    lines = (np.diff(labels_HW, axis=0, append=labels_HW[-1:]) != 0) | (
        np.diff(labels_HW, axis=1, append=labels_HW[:, -1:]) != 0
    )
    if width <= 1:
        return lines.astype(np.float32)
    return np.asarray(ndimage.maximum_filter(lines.astype(np.float32), round(width)), np.float32)


def displace(image: Picture, down_HW: Plane, right_HW: Plane) -> Picture:
    """Each pixel taken from so many rows below and columns right of itself (nearest pixel)."""
    rows, columns = coordinates(image.shape[:2])
    row = np.clip(np.rint(rows + down_HW), 0, image.shape[0] - 1).astype(np.int64)
    column = np.clip(np.rint(columns + right_HW), 0, image.shape[1] - 1).astype(np.int64)
    return image[row, column]


def smear(image: Picture, down_HW: Plane, right_HW: Plane, length: int) -> Picture:
    """Averaged along a field of directions: brush strokes (line integral convolution, straight within a stroke)."""
    size = np.maximum(np.hypot(down_HW, right_HW), 1e-6)
    steps = np.linspace(-length / 2, length / 2, max(3, length))
    drawn = [displace(image, down_HW / size * step, right_HW / size * step) for step in steps]
    return np.mean(drawn, 0, dtype=np.float32)


def shrink(picture_HW3: Picture, factor: float, resample: Image.Resampling = Image.Resampling.BOX) -> Picture:
    """Made smaller by `factor`."""
    height, width = (max(1, round(side / factor)) for side in picture_HW3.shape[:2])
    return resize(picture_HW3, (height, width), resample)


def resize(
    picture_HW3: Picture, shape: tuple[int, int], resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Picture:
    """At another height and width, through 8 bits."""
    image = Image.fromarray((np.clip(picture_HW3, 0, 1) * 255).round().astype(np.uint8))
    return np.asarray(image.resize((shape[1], shape[0]), resample), np.float32) / np.float32(255)
