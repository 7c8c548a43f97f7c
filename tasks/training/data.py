"""Pictures for training: folders decoded once into memory, random crops that depend on seed and step alone.

N pictures, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageOps
from torch import Tensor

from tasks.images.decoding import read_picture
from tasks.images.settings import ImageSettings
from tasks.records import ImageError, RequestError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
LONGEST_SIDE = 768  # pictures are kept no larger, which is 1.3 MB each at 4:3
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, uint8 HW3, with their names and the count of files that could not be read."""

    images: list[np.ndarray]
    names: list[str]
    skipped: int

    def __len__(self) -> int:
        return len(self.images)

    def split(self, every: int) -> tuple[Pictures, Pictures]:
        """Training and validation pictures: each `every`-th validates."""
        apart = range(every - 1, len(self), every)
        return self.pick([index for index in range(len(self)) if index not in apart]), self.pick(apart)

    def pick(self, indices: Sequence[int]) -> Pictures:
        return Pictures([self.images[i] for i in indices], [self.names[i] for i in indices], self.skipped)


def load_pictures(folders: Sequence[str | Path], longest_side: int = LONGEST_SIDE) -> Pictures:
    """Every readable picture below the folders, in the order of their paths; unreadable files are counted.

    RequestError where a folder is missing or no picture can be read.
    """
    images, names, skipped = [], [], 0
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise RequestError(f"{folder} is not a folder: name a folder of pictures to train on")
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
            image = decode_bounded(path, longest_side)
            if image is None:
                skipped += 1
            else:
                images.append(image)
                names.append(path.relative_to(folder).as_posix())
    if not images:
        where = ", ".join(str(folder) for folder in folders)
        raise RequestError(f"no readable picture in {where} ({skipped} unreadable): name other folders")
    return Pictures(images, names, skipped)


def decode_bounded(path: Path, longest_side: int) -> np.ndarray | None:
    """Upright RGB uint8 HW3 of at most that size; None for what cannot be read, or is too small to crop."""
    try:
        pixels_HWC = read_picture(path.read_bytes(), ImageSettings(size=longest_side)).pixels_HWC
    except (ImageError, OSError):
        return None
    return pixels_HWC if min(pixels_HWC.shape[:2]) >= SMALLEST_SIDE else None


def step_generator(seed: int, step: int, purpose: int) -> Generator:
    """A generator for one step and purpose: a resumed run draws what the uninterrupted one would have."""
    return np.random.default_rng([seed, step, purpose])


def draw_crops(pictures: Pictures, count: int, size: int, generator: Generator, recolour: float = 0.0) -> Tensor:
    """`count` random square crops of `size` pixels, N3HW in [0, 1]; a share `recolour` in other colours."""
    crops = []
    for index in generator.integers(len(pictures), size=count):
        crop = draw_crop(pictures.images[index], size, generator)
        crops.append(change_colours(crop, generator) if generator.random() < recolour else crop)
    crops_NHWC = torch.from_numpy(np.stack(crops))
    return crops_NHWC.permute(0, 3, 1, 2).float() / 255


def draw_crop(image_HWC: np.ndarray, size: int, generator: Generator) -> np.ndarray:
    """A window from `size` to the whole short side (log-uniform), resized, half of the time mirrored."""
    height, width, _ = image_HWC.shape
    short = min(height, width)
    window = round(float(np.exp(generator.uniform(np.log(min(size, short)), np.log(short)))))
    top, left = generator.integers(height - window + 1), generator.integers(width - window + 1)
    part = Image.fromarray(image_HWC[top : top + window, left : left + window])
    crop = np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))
    return crop[:, ::-1] if generator.random() < 0.5 else crop


def change_colours(image_HWC: np.ndarray, generator: Generator) -> np.ndarray:
    """Channels permuted and a random gamma and contrast: more palettes than a small folder of art has."""
    permuted = image_HWC[:, :, generator.permutation(3)].astype(np.float32) / 255
    gamma, contrast = np.exp(generator.uniform(-0.35, 0.35)), generator.uniform(0.7, 1.2)
    mean = permuted.mean(axis=(0, 1))
    changed = ((permuted - mean) * contrast + mean).clip(0, 1) ** gamma
    return (changed * 255).round().astype(np.uint8)


def centre_square(image_HWC: np.ndarray, size: int) -> Tensor:
    """The centred square of a picture at `size` pixels, 3HW in [0, 1]."""
    square = ImageOps.fit(Image.fromarray(image_HWC), (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
