"""Statistics of styles, mixed by weight, and their transfer onto features.

N contents, P outputs (pairs), R references, C channels, H and W of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.encoders.statistics import Statistics


def scale_and_shift(features_NCHW: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Each channel times its gain plus its shift, NC or NCHW, in one pass over memory."""
    return torch.addcmul(spread_like(shift, features_NCHW), features_NCHW, spread_like(gain, features_NCHW))


def spread_like(moments: Tensor, like: Tensor) -> Tensor:
    """Moments NC as NC11 beside a map; as they are where they are a map too, or nothing is."""
    return moments[:, :, None, None] if moments.ndim < like.ndim else moments


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


def weigh_references(references: Statistics, weights: Sequence[float]) -> Statistics:
    """Statistics RC of references, mixed by their weights: C. Those that are mixed already are given back."""
    if references[0][0].ndim == 1:
        return references
    rows = [[(mean_RC[r], deviation_RC[r]) for mean_RC, deviation_RC in references] for r in range(len(weights))]
    return mix_statistics(rows, weights)


def mix_by_position(references: Statistics, shares: Sequence[Tensor]) -> Statistics:
    """Statistics RC of references, mixed at every position by its shares_RHW, one map a depth: CHW.

    As in `mix_statistics`, it comes to mixing what each reference alone would give there.
    """
    spread = []
    for moments, shares_RHW in zip(references, shares, strict=True):
        mean_CHW, deviation_CHW = (torch.einsum("rc,rhw->chw", m.to(shares_RHW), shares_RHW) for m in moments)
        spread.append((mean_CHW, deviation_CHW))
    return spread


def weighted_sum(vectors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of vectors of one length, each times its weight."""
    weights_K = torch.tensor(list(weights), dtype=vectors[0].dtype, device=vectors[0].device)
    return torch.einsum("k,kc->c", weights_K, torch.stack(list(vectors)))


def stack_statistics(pairs: Sequence[Statistics], device: torch.device) -> Statistics:
    """One pair's, or one reference's, statistics a row: PC, or PCHW, on the device."""
    return [
        (
            torch.stack([mean_C for mean_C, _ in depth]).to(device),
            torch.stack([deviation_C for _, deviation_C in depth]).to(device),
        )
        for depth in zip(*pairs, strict=True)
    ]
