"""Where in a content each reference of a style counts, and how much: masks and weights, at every position.

R references, H and W of a content, h and w of the padded one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.images.padding import pad_to_stride
from tasks.methods.base import Style
from tasks.methods.pictures import from_bytes, to_bytes

LONGEST_MASK = 512  # pixels: masks are soft shapes, stretched over contents of any size
NOWHERE = 1e-4  # all masks together below this: the weights alone decide there


def keep_masks(style: Style) -> dict[str, Tensor]:
    """`weights` (float32, R) and, where reference k has a mask, `mask<k>` (uint8, 1HW): what a representation keeps."""
    kept = {"weights": torch.tensor(style.weights())}
    for index, reference in enumerate(style.references):
        if reference.mask_HW is not None:
            mask_1HW = reference.mask_HW[None]
            scale = min(1.0, LONGEST_MASK / max(mask_1HW.shape))
            size = [max(1, round(side * scale)) for side in mask_1HW.shape[1:]]
            kept[f"mask{index}"] = to_bytes(resize(mask_1HW, size))
    return kept


def draw_cell(grid: tuple[int, int], cell: tuple[int, int], feather: float) -> Tensor:
    """The mask of a cell of a grid of rows and columns, HW in [0, 1]; `feather` is a seam's width, 1 the whole side.

    Soft masks of neighbours add up to 1 along a straight seam.
    """
    row_H, column_W = (_draw_band(count, index, feather) for count, index in zip(grid, cell, strict=True))
    return row_H[:, None] * column_W


def _draw_band(count: int, index: int, feather: float) -> Tensor:
    """1 within one of `count` equal bands, falling to 0 across its seams; the outer ends of all bands have none."""
    places = (torch.arange(LONGEST_MASK) + 0.5) / LONGEST_MASK
    width = max(feather, 1e-6)
    since_start = (places - index / count) / width + 0.5 if index else torch.ones(LONGEST_MASK)
    until_end = ((index + 1) / count - places) / width + 0.5 if index + 1 < count else torch.ones(LONGEST_MASK)
    return torch.minimum(since_start, until_end).clamp(0, 1)


def weigh_positions(tensors: Mapping[str, Tensor], size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Weights of the references at every position, 1Rhw, which sum to 1 over R; 1R11 where there are no masks.

    A reference without a mask counts everywhere. Where no reference counts, weights decide as if there were no masks.
    """
    weights_R11 = tensors["weights"].to(device)[:, None, None]
    masks = {name: mask for name, mask in tensors.items() if name.startswith("mask")}
    if not masks:
        return weights_R11[None]
    everywhere_1HW = torch.ones(1, *size, device=device)
    layers = [
        resize(from_bytes(masks[f"mask{index}"].to(device)), size) if f"mask{index}" in masks else everywhere_1HW
        for index in range(len(weights_R11))
    ]
    weighed_RHW = torch.cat(layers) * weights_R11
    total_1HW = weighed_RHW.sum(0, keepdim=True)
    shares_RHW = torch.where(total_1HW > NOWHERE, weighed_RHW / total_1HW.clamp_min(NOWHERE), weights_R11)
    return pad_to_stride(shares_RHW[None], stride)


def shrink_weights(weights_1Rhw: Tensor, size: tuple[int, int]) -> Tensor:
    """The weights at the positions of a feature map, means over what each covers; 1R11 spreads."""
    return F.adaptive_avg_pool2d(weights_1Rhw, size)


def resize(mask_1HW: Tensor, size: list[int] | tuple[int, int]) -> Tensor:
    return F.interpolate(mask_1HW[None], tuple(size), mode="bilinear", antialias=True)[0].clamp(0, 1)
