"""Correlation alignment: give a style picture the colours of a content before its statistics are taken.

H and W of a picture, P its pixels; `3` are the colours. Leading dimensions, if any, are a batch.
Follows `coral` in function.py of naoto0804/pytorch-AdaIN, after Gatys et al., Preserving Color in Neural
Artistic Style Transfer, 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-5  # of a colour in a picture of one colour, where the authors divide by zero


@dataclass(frozen=True)
class Colors:
    """Mean and deviation of each colour over the pixels; the square root of the colours' correlations."""

    mean_3: Tensor
    deviation_3: Tensor
    root_33: Tensor


def measure_colors(picture_3HW: Tensor) -> Colors:
    """The colours of a picture, or of each in a batch, float64.

    The authors add the identity to the sum of products over pixels. Dividing that by the number of pixels
    changes nothing between pictures of one size, and keeps a larger content from adding contrast.
    """
    pixels_3P = picture_3HW.double().flatten(-2)
    pixels = pixels_3P.shape[-1]
    mean_3 = pixels_3P.mean(dim=-1)
    pixels_3P = pixels_3P - mean_3[..., None]
    sums_33 = pixels_3P @ pixels_3P.mT
    variance_3 = sums_33.diagonal(dim1=-2, dim2=-1) / max(pixels - 1, 1)
    deviation_3 = variance_3.sqrt().clamp(min=SMALLEST_DEVIATION)
    products_33 = sums_33 / (deviation_3[..., :, None] * deviation_3[..., None, :])
    identity_33 = torch.eye(3, dtype=products_33.dtype, device=products_33.device)
    return Colors(mean_3, deviation_3, square_root((products_33 + identity_33) / pixels))


def recolor(picture_3HW: Tensor, wanted: Colors) -> Tensor:
    """The picture with the mean, deviations and correlations of other colours; it may leave [0, 1]."""
    own = measure_colors(picture_3HW)
    change_33 = wanted.root_33 @ torch.linalg.inv(own.root_33)
    change_33 = wanted.deviation_3[:, None] * change_33 / own.deviation_3[None, :]
    shift_3 = wanted.mean_3 - change_33 @ own.mean_3
    recolored_3P = torch.addmm(shift_3.float()[:, None], change_33.float(), picture_3HW.flatten(1))
    return recolored_3P.view_as(picture_3HW)


def square_root(matrix_33: Tensor) -> Tensor:
    """The symmetric square root of a symmetric positive matrix."""
    values_3, vectors_33 = torch.linalg.eigh(matrix_33)
    return (vectors_33 * values_3[..., None, :].clamp(min=0).sqrt()) @ vectors_33.mT
