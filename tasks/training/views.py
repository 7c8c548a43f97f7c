"""How a render is shown to a CLIP in training: in part, tilted, half faded into its photograph, worn.

What is optimised through a model is seen as CLIPstyler's patches are, tilted crops on black, and is never as clean as
a render: an output keeps much of the photograph, and has a grain of its own.
Dimension key: S side, C channels (RGB). Views are uint8 SS3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import ConfigDict, Field

from tasks.training.renderings.canvas import Generator, Picture
from tasks.training.renders import Pixels, to_bytes

REACH = 0.25  # of the side: how far a corner moves in, torchvision's RandomPerspective at distortion_scale 0.5

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class ViewSettings:
    """Which shares of a batch's views are shown otherwise than whole and clean."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # a misspelt share would train for hours without effect

    smallest_window: Annotated[float, Field(gt=0, le=1)] = 0.45  # of a view's side that a crop may show
    tilted: Share = 0.0  # shown as a tilted patch on black
    smallest_patch: Annotated[float, Field(gt=0, le=1)] = 0.3  # of a view's side that such a patch may show
    faded: Share = 0.0  # of renders of photographs, mixed with their photograph
    least_render: Share = 0.55  # of such a mixture that the render may be
    worn: Share = 0.0  # with noise, a lighter or darker exposure, and other contrast


def show(view_SS3: Pixels, photograph_SS3: Pixels | None, settings: ViewSettings, side: int, rng: Generator) -> Pixels:
    """A view as a training step sees it, at `side` pixels; `photograph` is what it was drawn from, where known."""
    if photograph_SS3 is not None and rng.random() < settings.faded:
        view_SS3 = fade(view_SS3, photograph_SS3, rng.uniform(settings.least_render, 1))
    patch = rng.random() < settings.tilted
    crop = crop_view(view_SS3, settings.smallest_patch if patch else settings.smallest_window, rng, side)
    crop = wear(crop, rng) if rng.random() < settings.worn else crop
    return tilt(crop, rng) if patch else crop


def crop_view(view_SS3: Pixels, smallest_window: float, rng: Generator, side: int) -> Pixels:
    """A random window of the view at the side asked for, half of the time mirrored."""
    whole = view_SS3.shape[0]
    window = round(whole * float(np.exp(rng.uniform(np.log(smallest_window), 0))))
    top, left = (int(x) for x in rng.integers(whole - window + 1, size=2))
    part = Image.fromarray(view_SS3[top : top + window, left : left + window])
    crop = np.asarray(part.resize((side, side), Image.Resampling.BICUBIC))
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def fade(view_SS3: Pixels, photograph_SS3: Pixels, share: float) -> Pixels:
    """So much of the view, and the rest of its photograph."""
    mixed: Picture = view_SS3 * np.float32(share) + photograph_SS3 * np.float32(1 - share)
    return mixed.round().astype(np.uint8)


def wear(view_SS3: Pixels, rng: Generator) -> Pixels:
    """Another exposure and contrast, and fine noise."""
    gain, lift, noise = rng.uniform(0.8, 1.2), rng.uniform(-0.08, 0.08), rng.uniform(0, 0.06)
    picture = view_SS3.astype(np.float32) / np.float32(255)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(noise)
    return to_bytes((picture - 0.5) * np.float32(gain) + np.float32(0.5 + lift) + grain)


def tilt(view_SS3: Pixels, rng: Generator) -> Pixels:
    """Seen from an angle, black around it: each corner moves in by up to REACH of the side, down and across."""
    side = view_SS3.shape[0]
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float64)
    moved = corners + inwards * rng.uniform(0, REACH * side, (4, 2))
    # Of each place (x, y) in the result, the place in the view: eight numbers from four corners.
    equations, places = [], []
    for (x, y), (u, v) in zip(moved, corners, strict=True):
        equations += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        places += [u, v]
    numbers = np.linalg.solve(np.array(equations), np.array(places))
    image = Image.fromarray(np.ascontiguousarray(view_SS3))
    seen = image.transform((side, side), Image.Transform.PERSPECTIVE, tuple(numbers), Image.Resampling.BILINEAR)
    return np.asarray(seen)
