"""Channel statistics of features, the numbers that AdaIN transfers and that style losses compare.

N images, C channels, P positions (H x W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Statistics = Sequence[tuple[Tensor, Tensor]]  # at each depth: mean and deviation of every channel
EPSILON = 1e-5  # added to the variance, as in the AdaIN authors' `calc_mean_std`


def channel_statistics(features_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over its positions, float32, both NC; unbiased variance plus 1e-5.

    A single position has no variance: its deviation is sqrt(1e-5), never NaN.
    """
    features_NCP = features_NCHW.float().flatten(2)
    mean_NC = features_NCP.mean(dim=2)
    squares_NC = (features_NCP - mean_NC[:, :, None]).square().sum(dim=2)
    return mean_NC, (squares_NC / max(features_NCP.shape[2] - 1, 1) + EPSILON).sqrt()


def channel_moments(features_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean NC and covariance NCC of the channels over positions, float32, in one product of matrices.

    As E[xy] - E[x]E[y], without a centred copy: for losses, where speed matters more than the last digits.
    """
    features_NCP = features_NCHW.float().flatten(2)
    mean_NC = features_NCP.mean(dim=2)
    products_NCC = features_NCP @ features_NCP.transpose(1, 2) / features_NCP.shape[2]
    return mean_NC, products_NCC - mean_NC[:, :, None] * mean_NC[:, None, :]


def normalise_channels(features_NCHW: Tensor) -> Tensor:
    """Each channel with mean 0 and deviation 1 over its positions, float32."""
    mean_NC, deviation_NC = channel_statistics(features_NCHW)
    return (features_NCHW.float() - mean_NC[:, :, None, None]) / deviation_NC[:, :, None, None]


def name_statistics(statistics: Statistics) -> dict[str, Tensor]:
    """As named tensors: `mean0`, `deviation0`, `mean1`, ..."""
    named: dict[str, Tensor] = {}
    for depth, (mean, deviation) in enumerate(statistics):
        named |= {f"mean{depth}": mean, f"deviation{depth}": deviation}
    return named


def read_statistics(tensors: Mapping[str, Tensor]) -> Statistics:
    """The inverse of `name_statistics`; other tensors are passed over."""
    depths = sum(name.startswith("mean") for name in tensors)
    return [(tensors[f"mean{depth}"], tensors[f"deviation{depth}"]) for depth in range(depths)]
