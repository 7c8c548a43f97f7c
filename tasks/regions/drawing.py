"""Regions drawn on a content of any size: which reference each pixel belongs to.

Dimension key: H and W of a content, R references.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.regions.settings import RegionSettings

LONGEST_CELL = 512  # pixels: a cell is a soft shape, stretched over contents of any size


def draw_labels(layout: RegionSettings, size: tuple[int, int], references: int) -> Tensor:
    """Number of each pixel's reference, int64 HW, for a layout that depends on a content's size alone."""
    rows_H1, columns_1W = (_places(side, dim) for dim, side in enumerate(size))
    if layout.grid:
        columns = layout.grid[1]
        row_H1, column_1W = _band(rows_H1, layout.grid[0]), _band(columns_1W, columns)
        # In reading order; but where each row would begin with the same reference, it begins one later.
        step = columns + 1 if columns % references == 0 else columns
        return (row_H1 * step + column_1W) % references
    if layout.stripes:
        return _band(_along(layout, rows_H1, columns_1W), layout.stripes) % references
    height, width = size
    down_H1, right_1W = (rows_H1 - 0.5) * height, (columns_1W - 0.5) * width
    if layout.rings:
        # As far as half the diagonal: of an oblong content the outer rings are cut.
        farthest = math.hypot(height, width) / 2
        return _band((down_H1.square() + right_1W.square()).sqrt() / farthest, layout.rings) % references
    assert layout.sectors is not None  # the other layouts depend on what a content shows
    clockwise_HW = torch.atan2(right_1W.expand(size), -down_H1.expand(size)) / (2 * math.pi)
    return _band(clockwise_HW % 1, layout.sectors) % references


def draw_cell(grid: tuple[int, int], cell: tuple[int, int], feather: float) -> Tensor:
    """The mask of a cell of a grid of rows and columns, HW in [0, 1]; `feather` is a seam's width, 1 the whole side.

    Soft masks of neighbours add up to 1 along a straight seam.
    """
    row_H, column_W = (_draw_band(count, index, feather) for count, index in zip(grid, cell, strict=True))
    return row_H[:, None] * column_W


def _places(side: int, dim: int) -> Tensor:
    """Centres of pixels, as shares of the side: H1 or 1W."""
    return ((torch.arange(side, dtype=torch.float64) + 0.5) / side).unsqueeze(1 - dim)


def _along(layout: RegionSettings, rows_H1: Tensor, columns_1W: Tensor) -> Tensor:
    """How far along the stripes' own axis, 0 to 1, HW."""
    spread = {"vertical": (0.0, 1.0), "horizontal": (1.0, 0.0), "diagonal": (0.5, 0.5)}
    down, right = spread[layout.direction]
    return rows_H1 * down + columns_1W * right


def _band(places: Tensor, count: int) -> Tensor:
    """Which of `count` equal bands, int64."""
    return (places * count).floor().clamp(0, count - 1).long()


def _draw_band(count: int, index: int, feather: float) -> Tensor:
    """1 within one of `count` equal bands, falling to 0 across its seams; the outer ends of all bands have none."""
    places = (torch.arange(LONGEST_CELL) + 0.5) / LONGEST_CELL
    width = max(feather, 1e-6)
    since_start = (places - index / count) / width + 0.5 if index else torch.ones(LONGEST_CELL)
    until_end = ((index + 1) / count - places) / width + 0.5 if index + 1 < count else torch.ones(LONGEST_CELL)
    return torch.minimum(since_start, until_end).clamp(0, 1)
