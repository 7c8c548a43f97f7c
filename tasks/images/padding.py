"""Tensors at a method's stride: mirrored padding and its undoing, and pixels to tensors and back.

Dimension key: N contents, P outputs, C channels, H height, W width; h, w are the padded sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.images.fitting import Pixels, mirror_index


def padded_side(side: int, stride: int, minimum: int = 2) -> int:
    """The side after padding: the next multiple of the stride, and at least `minimum` strides."""
    return max(-(-side // stride), minimum) * stride


def pad_to_stride(images_NCHW: Tensor, stride: int, minimum: int = 2) -> Tensor:
    """Pad at the bottom and right, by reflection, to multiples of the stride: images_NChw.

    Reflection folds back and forth where a side is short; a side of 1 is replicated. `minimum` strides
    give that many tokens on a side at the deepest level. Nothing is copied where the sides fit already.
    """
    height, width = images_NCHW.shape[-2:]
    rows = _mirrored(images_NCHW, -2, padded_side(height, stride, minimum))
    return _mirrored(rows, -1, padded_side(width, stride, minimum))


def crop_back(images_NChw: Tensor, height: int, width: int) -> Tensor:
    """Undo `pad_to_stride`: the top left corner of the given size."""
    return images_NChw[..., :height, :width]


def to_tensor(pictures_HWC: Sequence[Pixels]) -> Tensor:
    """Stack equal-sized uint8 RGB pictures: images_NCHW, float32 in [0, 1]."""
    pixels_NHWC = torch.from_numpy(np.stack(pictures_HWC))
    floats_NCHW = pixels_NHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return floats_NCHW.div_(255)


def to_pixels(images_PCHW: Tensor) -> Pixels:
    """Round to the nearest of 256 levels, clamped: pixels_PHWC, uint8 on the CPU; undoes `to_tensor`."""
    levels_PHWC = images_PCHW.detach().float().permute(0, 2, 3, 1).mul(255).add_(0.5).clamp_(0, 255)
    return levels_PHWC.to(torch.uint8).contiguous().cpu().numpy()


def _mirrored(images: Tensor, dim: int, total: int) -> Tensor:
    side = images.shape[dim]
    if side == total:
        return images
    index = torch.from_numpy(mirror_index(side, 0, total)).to(images.device)
    return images.index_select(dim, index)
