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
    shares_RHW = weighed_RHW.div_(total_1HW.clamp_min(NOWHERE))
    return torch.where(total_1HW > NOWHERE, shares_RHW, weights_R11 / weights_R11.sum())


def from_labels(labels_HW: Tensor, references: int) -> Tensor:
    """Masks_RHW of the number of each pixel's reference."""
    return torch.stack([(labels_HW == reference).float() for reference in range(references)])


def soften(masks_RHW: Tensor, feather: float) -> Tensor:
    """Masks with seams `feather` of the shorter side wide: means over a square, twice, half as wide each time.

    Any feather but 0 reaches a pixel to either side. Masks that sum to 1 still do.
    """
    if feather == 0:
        return masks_RHW
    reach = max(1, round(feather * min(masks_RHW.shape[1:]) / 4))
    # One mask at a time: what a mean is made of is several times as large as the mask.
    return torch.stack([_average(_average(mask_HW, reach).T, reach).T for mask_HW in masks_RHW])


def stretch(mask_HW: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask in [0, 1] stretched over a content of another size."""
    if tuple(mask_HW.shape) == tuple(size):
        return mask_HW
    return F.interpolate(mask_HW[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)


def _average(mask_HW: Tensor, reach: int) -> Tensor:
    """Means over `reach` pixels to the left and right and the pixel itself, twice; what lies outside is as the edge."""
    width, window = mask_HW.shape[1], 2 * reach + 1
    index = torch.arange(-reach - 1, width + reach, device=mask_HW.device).clamp(0, width - 1)
    for _ in range(2):
        # Double: differences of sums over thousands of pixels, by which seams must not be seen.
        sums = mask_HW.index_select(1, index).cumsum(1, dtype=torch.float64)
        mask_HW = (sums[:, window:] - sums[:, :-window]).div_(window).float()
    return mask_HW.clamp_(0, 1)
