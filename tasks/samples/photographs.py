"""Photographs cut from those that scikit-image bundles; also the neutral photographs of the CLIP scores.

Dimension key: H height, W width, C channels (RGB). Nothing is downloaded: only files inside the wheel are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from tasks.images.decoding import decode
from tasks.images.encoding import encode
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings


@dataclass(frozen=True)
class Cut:
    """A part of a bundled photograph, in its pixels."""

    name: str
    file: str
    left: int
    top: int
    width: int
    height: int


# The most different ones first, so that any few of them are a fair sample.
CUTS = (
    Cut("astronaut", "astronaut.png", 0, 0, 512, 512),
    Cut("cat", "chelsea.png", 0, 0, 451, 300),
    Cut("motorcycle", "motorcycle_left.png", 0, 0, 741, 500),
    Cut("coffee", "coffee.png", 0, 0, 600, 400),
    Cut("rocket", "rocket.jpg", 0, 0, 640, 427),
    Cut("photographer", "camera.png", 0, 0, 512, 512),
    Cut("galaxies", "hubble_deep_field.jpg", 0, 0, 1000, 872),
    Cut("coins", "coins.png", 0, 0, 384, 303),
    Cut("portrait", "astronaut.png", 118, 0, 224, 224),
    Cut("wheel", "motorcycle_right.png", 470, 180, 271, 300),
    Cut("cup", "coffee.png", 150, 0, 330, 330),
    Cut("launch-pad", "rocket.jpg", 230, 120, 260, 307),
    Cut("moon", "moon.png", 0, 0, 512, 512),
    Cut("cat-eyes", "chelsea.png", 104, 40, 270, 180),
    Cut("shuttle", "astronaut.png", 340, 0, 172, 300),
    Cut("engine", "motorcycle_left.png", 250, 130, 310, 240),
    Cut("pavement", "brick.png", 0, 0, 512, 512),
    Cut("shelves", "motorcycle_right.png", 370, 0, 371, 220),
    Cut("skyline", "camera.png", 290, 90, 222, 190),
    Cut("helmet", "astronaut.png", 250, 300, 262, 212),
    Cut("spoon", "coffee.png", 330, 130, 270, 270),
    Cut("gravel", "gravel.png", 0, 0, 384, 256),
    Cut("garden-bench", "motorcycle_left.png", 0, 40, 280, 230),
    Cut("grass", "grass.png", 128, 64, 256, 384),
)


def sample_photographs(count: int = len(CUTS)) -> list[tuple[str, Pixels]]:
    """The first `count` photographs by name: uint8 HWC RGB, sides from 172 to 1000, the same every time."""
    sources = {cut.file: decode(_bundled(cut.file)) for cut in CUTS[:count]}
    return [(cut.name, _cut(sources[cut.file], cut)) for cut in CUTS[:count]]


def write_photographs(folder: Path, count: int = len(CUTS)) -> list[Path]:
    """Write the photographs as JPEG files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pixels_HWC in sample_photographs(count):
        paths.append(folder / f"{name}.jpg")
        paths[-1].write_bytes(encode(pixels_HWC, ImageSettings(quality=95)))
    return paths


def neutral_photographs() -> list[Pixels]:
    """The photographs whose mean stands for `a photo` where a style is a picture: the whole sample set."""
    return [pixels_HWC for _, pixels_HWC in sample_photographs()]


@cache
def neutral_digest() -> str:
    """SHA-256 of the neutral photographs' pixels; part of the keys that they enter."""
    digest = hashlib.sha256()
    for name, pixels_HWC in sample_photographs():
        digest.update(f"{name} {pixels_HWC.shape}".encode())
        digest.update(pixels_HWC.tobytes())
    return digest.hexdigest()


def _bundled(name: str) -> bytes:
    return files("skimage.data").joinpath(name).read_bytes()


def _cut(source_HWC: Pixels, cut: Cut) -> Pixels:
    return np.ascontiguousarray(source_HWC[cut.top : cut.top + cut.height, cut.left : cut.left + cut.width])
