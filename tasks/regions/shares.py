"""From masks to shares: how much each reference counts at every pixel, with soft seams.

Dimension key: R references, H and W of a content.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

NOWHERE = 1e-4  # all masks together below this: the weights alone decide there


def share_out(masks_RHW: Tensor, weights: Sequence[float]) -> Tensor:
    """Masks times weights, shares_RHW that sum to 1 at every pixel. Where no mask counts, weights decide."""
    weights_R11 = torch.tensor(list(weights), dtype=masks_RHW.dtype, device=masks_RHW.device)[:, None, None]
    weighed_RHW = masks_RHW * weights_R11
    total_1HW = weighed_RHW.sum(0, keepdim=True)
    shares_RHW = weighed_RHW / total_1HW.clamp_min(NOWHERE)
    return torch.where(total_1HW > NOWHERE, shares_RHW, weights_R11 / weights_R11.sum())


def from_labels(labels_HW: Tensor, references: int) -> Tensor:
    """Masks_RHW of the number of each pixel's reference."""
    return F.one_hot(labels_HW.long(), references).permute(2, 0, 1).float()


def soften(masks_RHW: Tensor, feather: float) -> Tensor:
    """Masks with seams `feather` of the shorter side wide: means over a square, twice, half as wide each time.

    Masks that sum to 1 still do.
    """
    height, width = masks_RHW.shape[1:]
    reach = round(feather * min(height, width) / 4)
    for dim in (1, 2, 1, 2) if reach else ():
        masks_RHW = _average(masks_RHW, dim, reach)
    return masks_RHW


def stretch(mask_HW: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask in [0, 1] stretched over a content of another size."""
    if tuple(mask_HW.shape) == tuple(size):
        return mask_HW
    return F.interpolate(mask_HW[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)


def _average(masks: Tensor, dim: int, reach: int) -> Tensor:
    """Means over `reach` pixels to either side and the pixel itself; what lies outside is as the edge."""
    side = masks.shape[dim]
    index = torch.arange(-reach - 1, side + reach, device=masks.device).clamp(0, side - 1)
    # Double: differences of sums over thousands of pixels, by which seams must not be seen.
    sums = masks.index_select(dim, index).double().cumsum(dim)
    window = 2 * reach + 1
    means = (sums.narrow(dim, window, side) - sums.narrow(dim, 0, side)) / window
    return means.to(masks.dtype).clamp_(0, 1)
