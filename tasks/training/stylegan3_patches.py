"""Patches of art for a generator to learn from, cut in batches on the device that trains.

Dimension key: N patches, P pixels of all works, L levels, H and W sides of a patch, C channels (RGB).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tasks.training.data import Pictures

LEVELS = 4  # each half the one before: windows up to 8 times a patch are read without aliasing
OVERSAMPLING = 2  # positions a pixel and axis, whose mean it is
GAMMA, CONTRAST = 0.35, (0.7, 1.2)  # of recoloured patches, as `data.change_colours` draws them
GREEN, RED_BLUE = 1, (0, 2)


@dataclass(frozen=True)
class PatchPool:
    """Works at falling sizes as one run of pixels, so that patches of any of them are read at once."""

    pixels_P3: Tensor  # uint8
    starts_ML: Tensor  # first pixel of each work's level
    sides_ML2: Tensor  # height and width

    @staticmethod
    def load(works: Pictures, short_side: int, device: torch.device) -> PatchPool:
        """The works, their short side no longer than `short_side`, as a mean over areas halves them."""
        runs, starts, sides, position = [], [], [], 0
        for image_HWC in works.images:
            for level_HWC in halve(bound(image_HWC, short_side)):
                runs.append(level_HWC.reshape(-1, 3))
                starts.append(position)
                sides.append(level_HWC.shape[:2])
                position += len(runs[-1])
        table = torch.tensor(sides).reshape(-1, LEVELS, 2)
        pixels_P3 = torch.from_numpy(np.concatenate(runs))
        return PatchPool(*(part.to(device) for part in (pixels_P3, torch.tensor(starts).reshape(-1, LEVELS), table)))

    def draw(self, count: int, size: int, smallest: int, recolour: float, generator: torch.Generator) -> Tensor:
        """`count` patches of `size` pixels, N3HW in [-1, 1], decided by the generator, which is of the pool's device.

        A window is log-uniform from `smallest` (or a work's short side, where that is less) to the whole short side;
        half are mirrored, a share `recolour` has other colours.
        """
        work_N = torch.randint(len(self.starts_ML), (count,), generator=generator, device=generator.device)
        random_N6 = torch.rand(count, 6, generator=generator, device=generator.device)
        sides_N2 = self.sides_ML2[work_N, 0].float()
        short_N = sides_N2.amin(1)
        window_N = short_N * (short_N.clamp(max=smallest) / short_N) ** random_N6[:, 0]
        corner_N2 = (sides_N2 - window_N[:, None]) * random_N6[:, 1:3]
        images_N3HW = self._read(work_N, corner_N2, window_N, size)
        images_N3HW = torch.where(random_N6[:, 3, None, None, None] < 0.5, images_N3HW.flip(3), images_N3HW)
        changed_N3HW = change_colours(images_N3HW, random_N6[:, 4:], generator)
        chosen_N = torch.rand(count, generator=generator, device=generator.device) < recolour
        return 2 * torch.where(chosen_N[:, None, None, None], changed_N3HW, images_N3HW) - 1

    def _read(self, work_N: Tensor, corner_N2: Tensor, window_N: Tensor, size: int) -> Tensor:
        """Windows at `size` pixels, N3HW in [0, 1]: means of bilinear readings of a level fine enough."""
        positions = OVERSAMPLING * size
        level_N = (window_N / positions).log2().floor().clamp(0, LEVELS - 1).long()
        sides_N2 = self.sides_ML2[work_N, level_N]
        scale_N2 = sides_N2 / self.sides_ML2[work_N, 0]  # odd sides do not halve exactly
        steps_S = (torch.arange(positions, device=window_N.device) + 0.5) / positions
        # The middle of the first pixel is at 0, its edge at -0.5.
        at_N2S = (corner_N2[:, :, None] + window_N[:, None, None] * steps_S) * scale_N2[:, :, None] - 0.5
        read_NSS3 = self._read_between(self.starts_ML[work_N, level_N], sides_N2, at_N2S)
        return F.avg_pool2d(read_NSS3.permute(0, 3, 1, 2), OVERSAMPLING) / 255

    def _read_between(self, start_N: Tensor, sides_N2: Tensor, at_N2S: Tensor) -> Tensor:
        """Bilinear readings NSS3, 0 to 255, where S rows meet S columns, in pictures that begin at `start_N`."""
        low_N2S = at_N2S.floor().long().clamp(min=0).minimum(sides_N2[:, :, None] - 2)
        share_N2S1 = (at_N2S - low_N2S).clamp(0, 1)[..., None]
        down_NS11, across_N1S1 = share_N2S1[:, 0, :, None], share_N2S1[:, 1, None]
        width_N11 = sides_N2[:, 1, None, None]
        first_NSS = start_N[:, None, None] + low_N2S[:, 0, :, None] * width_N11 + low_N2S[:, 1, None]
        rows_NSS3 = [
            torch.lerp(self.pixels_P3[start].float(), self.pixels_P3[start + 1].float(), across_N1S1)
            for start in (first_NSS, first_NSS + width_N11)
        ]
        return torch.lerp(rows_NSS3[0], rows_NSS3[1], down_NS11)


def bound(image_HWC: np.ndarray, short_side: int) -> np.ndarray:
    """The picture with a short side of at most that many pixels."""
    height, width, _ = image_HWC.shape
    ratio = short_side / min(height, width)
    if ratio >= 1:
        return image_HWC
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(image_HWC).resize(size, Image.Resampling.LANCZOS))


def halve(image_HWC: np.ndarray) -> Iterator[np.ndarray]:
    """The picture and its halves, at least 2 pixels on a side: reading between pixels takes two of them."""
    height, width, _ = image_HWC.shape
    for level in range(LEVELS):
        size = (max(2, width >> level), max(2, height >> level))
        yield np.asarray(Image.fromarray(image_HWC).resize(size, Image.Resampling.BOX)) if level else image_HWC


def change_colours(images_N3HW: Tensor, random_N2: Tensor, generator: torch.Generator) -> Tensor:
    """`data.change_colours` for a batch in [0, 1]: channels permuted, a random gamma and contrast."""
    order_N3 = torch.rand(len(images_N3HW), 3, generator=generator, device=generator.device).argsort(1)
    permuted = images_N3HW.gather(1, order_N3[:, :, None, None].expand_as(images_N3HW))
    gamma_N111 = ((2 * random_N2[:, 0] - 1) * GAMMA).exp()[:, None, None, None]
    contrast_N111 = (CONTRAST[0] + (CONTRAST[1] - CONTRAST[0]) * random_N2[:, 1])[:, None, None, None]
    mean_N311 = permuted.mean((2, 3), keepdim=True)
    return ((permuted - mean_N311) * contrast_N111 + mean_N311).clamp(0, 1) ** gamma_N111


def seeded(device: torch.device, numbers: Sequence[int]) -> torch.Generator:
    """A generator of the device that these numbers decide."""
    return seed(torch.Generator(device), numbers)


def seed(generator: torch.Generator, numbers: Sequence[int]) -> torch.Generator:
    """The generator, decided by these numbers: a resumed step draws what the uninterrupted one would."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return generator.manual_seed(int(state) % 2**63)


def latents(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Normal numbers NZ."""
    return torch.randn(count, size, generator=generator, device=generator.device)


def sheet_of(images_N3HW: Tensor, columns: int) -> Tensor:
    """A grid 3HW of images in [-1, 1], row by row, in [0, 1]."""
    count, channels, height, width = images_N3HW.shape
    rows = math.ceil(count / columns)
    grid = images_N3HW.new_ones(rows * columns, channels, height, width)
    grid[:count] = images_N3HW
    cells = grid.reshape(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return (cells.reshape(channels, rows * height, columns * width).clamp(-1, 1) + 1) / 2
