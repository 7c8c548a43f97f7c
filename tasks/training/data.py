"""Pictures for training: decoded once into memory from folders or Parquet, cropped at random by seed and step alone.

N pictures, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageOps
from torch import Tensor

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.corpus.settings import CorpusSettings
from tasks.images.decoding import read_picture
from tasks.images.settings import ImageSettings
from tasks.records import ImageError, RequestError

LONGEST_SIDE = 768  # pictures are kept no larger, which is 1.3 MB each at 4:3
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, uint8 HW3, with their names and the count of those that could not be read."""

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


def load_pictures(
    sources: Sequence[str | Path], longest_side: int = LONGEST_SIDE, image: str | None = None
) -> Pictures:
    """Every readable picture of the sources, in the order of their paths; unreadable ones are counted.

    A source is what a job's corpus may be: a folder of pictures, a Parquet file or a folder of them, on disk or behind
    any fsspec URI. `image` names the Parquet column, where several could be meant. RequestError where a source is
    missing or holds no pictures, or none of them can be read.
    """
    images, names, skipped = [], [], 0
    for entry in (entry for source in sources for entry in read_source(str(source), image)):
        pixels_HWC = decode_bounded(entry.data, longest_side) if entry.data is not None else None
        if pixels_HWC is None:
            skipped += 1
        else:
            images.append(pixels_HWC)
            names.append(entry.content_id)
    if not images:
        where = ", ".join(str(source) for source in sources)
        raise RequestError(f"no readable picture in {where} ({skipped} unreadable): name other folders or Parquet")
    return Pictures(images, names, skipped)


def read_source(uri: str, image: str | None) -> Iterator[Entry]:
    """The encoded pictures of a source, a piece at a time. RequestError where its store fails."""
    corpus = open_corpus(CorpusSettings(uri=uri, image=image))
    # By the parts of paths, as pathlib sorts: earlier runs saw their pictures in this order.
    for piece in sorted(corpus.pieces({}), key=lambda piece: (PurePosixPath(piece.path), piece.first_row)):
        try:
            yield from corpus.read(piece)
        except OSError as error:
            reason = type(error).__name__
            raise RequestError(f"{piece.path} of {uri} cannot be read ({reason}): check the storage.") from error


def decode_bounded(data: bytes, longest_side: int) -> np.ndarray | None:
    """Upright RGB uint8 HW3 of at most that size; None for what cannot be read, or is too small to crop."""
    try:
        pixels_HWC = read_picture(data, ImageSettings(size=longest_side)).pixels_HWC
    except ImageError:
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
