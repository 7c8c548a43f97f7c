"""Style losses of Gram matrices, in the normalisations of their two sources: one value for each image.

N images, C channels, H and W pixels, P positions (H x W). Sizes of output and style may differ: a matrix is divided
by the positions of its own map. A style of one image serves a whole batch.
"""

from __future__ import annotations

from torch import Tensor


def gram_matrices(features_NCHW: Tensor) -> Tensor:
    """Mean over positions of the products of channels, NCC, float32: F F^T / P."""
    features_NCP = features_NCHW.float().flatten(2)
    return features_NCP @ features_NCP.transpose(1, 2) / features_NCP.shape[2]


def gatys_losses(outputs_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
    """N, of Gatys, Ecker and Bethge, CVPR 2016, equation 4: sum (G - A)^2 / (4 C^2 P^2), G and A = F F^T.

    Their own code takes the mean of ((G - A) / P)^2, which is four times this.
    """
    differences_NCC = gram_matrices(outputs_NCHW) - gram_matrices(styles_NCHW)
    return differences_NCC.square().mean((1, 2)) / 4


def johnson_losses(outputs_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
    """N, of Johnson, Alahi and Fei-Fei, ECCV 2016, equations 3 and 4: sum (G - A)^2, G and A = F F^T / (C P).

    The example of PyTorch takes the mean over the C^2 entries in place of their sum.
    """
    channels = outputs_NCHW.shape[1]
    differences_NCC = gram_matrices(outputs_NCHW) - gram_matrices(styles_NCHW)
    return differences_NCC.square().sum((1, 2)) / channels**2
