"""Statistics of styles, mixed by weight, and their transfer onto features.

N contents, P outputs (pairs), C channels, H and W of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.encoders.statistics import Statistics


def scale_and_shift(features_NCHW: Tensor, gain_NC: Tensor, shift_NC: Tensor) -> Tensor:
    """Each channel times its gain plus its shift, in one pass over memory."""
    return torch.addcmul(shift_NC[:, :, None, None], features_NCHW, gain_NC[:, :, None, None])


def pick_rows(features_NCHW: Tensor, rows: Sequence[int]) -> Tensor:
    """The named rows, without a copy where they are all of them in order, or one alone, which broadcasts."""
    if list(rows) == list(range(len(features_NCHW))):
        return features_NCHW
    if len(set(rows)) == 1:
        return features_NCHW[rows[0] : rows[0] + 1]
    return features_NCHW[list(rows)]


def mix_statistics(pictures: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Weighted means of several pictures' means and deviations, by weights that sum to 1.

    The authors mix transferred features: those are linear in mean and deviation, so it comes to the same.
    """
    return [
        (
            weighted_sum([mean_C for mean_C, _ in depth], weights),
            weighted_sum([deviation_C for _, deviation_C in depth], weights),
        )
        for depth in zip(*pictures, strict=True)
    ]


def weighted_sum(vectors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of vectors of one length, each times its weight."""
    weights_K = torch.tensor(list(weights), dtype=vectors[0].dtype, device=vectors[0].device)
    return torch.einsum("k,kc->c", weights_K, torch.stack(list(vectors)))


def stack_statistics(pairs: Sequence[Statistics], device: torch.device) -> Statistics:
    """One pair's statistics a row: PC, on the device."""
    return [
        (
            torch.stack([mean_C for mean_C, _ in depth]).to(device),
            torch.stack([deviation_C for _, deviation_C in depth]).to(device),
        )
        for depth in zip(*pairs, strict=True)
    ]
