"""Filters with a change of rate as products with banded matrices, which BLAS does many times faster than convolutions.

P planes of one channel of one image each, H and W samples; O samples out of I, T taps.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

# Rows of a matrix that are multiplied at once, with the columns that are not zero in them. One EPYC core took 0.21 s
# for 512 planes of 148 samples in tiles of 32 to 64 rows, 0.67 s with whole matrices; 36 samples prefer larger tiles
# (2026-11-27). For a GPU fewer, larger products: not measured.
ROWS = {"cpu": 48, "cuda": 128}


class PlaneMap(Protocol):
    """A linear map of planes, and its adjoint, which takes gradients back."""

    def apply(self, planes_PHW: Tensor) -> Tensor: ...

    def adjoint(self, planes_PHW: Tensor) -> Tensor: ...


def band(taps_T: Tensor, rows: int, columns: int, row_step: int, column_step: int, offset: int = 0) -> Tensor:
    """The matrix [rows, columns] of a true convolution: the taps, backwards, along a diagonal.

    Row o starts at o * row_step - offset, column i stands at i * column_step.
    """
    places_O = torch.arange(rows, device=taps_T.device)[:, None] * row_step - offset
    taps_OI = torch.arange(columns, device=taps_T.device)[None, :] * column_step - places_O
    inside_OI = (taps_OI >= 0) & (taps_OI < len(taps_T))
    return torch.where(inside_OI, taps_T.flip(0)[taps_OI.clamp(0, len(taps_T) - 1)], 0)


class TiledMatrix:
    """A banded matrix, cut into tiles of rows without the zeros beside the band."""

    def __init__(self, matrix_OI: Tensor) -> None:
        self.rows = len(matrix_OI)
        self.tiles: list[tuple[slice, slice, Tensor]] = []
        count = ROWS.get(matrix_OI.device.type, ROWS["cuda"])
        for start in range(0, self.rows, count):
            tile_OI = matrix_OI[start : start + count]
            used = tile_OI.any(0).nonzero().flatten().tolist() or [0]
            columns = slice(used[0], used[-1] + 1)
            self.tiles.append((slice(start, start + len(tile_OI)), columns, tile_OI[:, columns].contiguous()))

    def along_both(self, planes_PHW: Tensor) -> Tensor:
        """[P, I, I] to [P, O, O]; the slower product, along the width, while there are fewer lines."""
        if self.rows > planes_PHW.shape[-1]:
            return self.along_height(self.along_width(planes_PHW))
        return self.along_width(self.along_height(planes_PHW))

    def along_width(self, planes_PHW: Tensor) -> Tensor:
        """[P, H, I] to [P, H, O]; the planes contiguous."""
        count, height, width = planes_PHW.shape
        lines_LW = planes_PHW.view(count * height, width)
        out_LO = planes_PHW.new_empty(count * height, self.rows)
        for rows, columns, tile_OI in self.tiles:
            torch.mm(lines_LW[:, columns], tile_OI.T, out=out_LO[:, rows])
        return out_LO.view(count, height, self.rows)

    def along_height(self, planes_PHW: Tensor) -> Tensor:
        """[P, I, W] to [P, O, W]; the planes contiguous."""
        count, _, width = planes_PHW.shape
        out_POW = planes_PHW.new_empty(count, self.rows, width)
        for rows, columns, tile_OI in self.tiles:
            torch.bmm(tile_OI.expand(count, -1, -1), planes_PHW[:, columns], out=out_POW[:, rows])
        return out_POW


class SeparableMap:
    """The same matrix [O, I] along both axes."""

    def __init__(self, matrix_OI: Tensor) -> None:
        self.forwards, self.backwards = TiledMatrix(matrix_OI), TiledMatrix(matrix_OI.T)

    def apply(self, planes_PHW: Tensor) -> Tensor:
        return self.forwards.along_both(planes_PHW)

    def adjoint(self, planes_PHW: Tensor) -> Tensor:
        return self.backwards.along_both(planes_PHW)


class RadialMap:
    """A filter of the plane that keeps every `step`-th sample along both axes: configuration R's down filters."""

    def __init__(self, taps_TT: Tensor, step: int) -> None:
        self.kernel_11TT, self.step = taps_TT.flip(0, 1)[None, None].contiguous(), step

    def apply(self, planes_PHW: Tensor) -> Tensor:
        return F.conv2d(planes_PHW[:, None], self.kernel_11TT, stride=self.step)[:, 0]

    def adjoint(self, planes_PHW: Tensor) -> Tensor:
        return F.conv_transpose2d(planes_PHW[:, None], self.kernel_11TT, stride=self.step)[:, 0]
