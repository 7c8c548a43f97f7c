"""Attention of a content's positions over a style's tokens, in chunks of queries, so that its memory is bounded.

Dimension key: B batch, Q queries, K tokens (keys), D channels of a key, C channels of a value, R regions or pictures
that tokens come from; N images, H and W of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.statistics import normalise_channels

MEMORY = 256 * 1000**2  # bytes for scores at once: 4,096 queries over 4,096 tokens
SCORE_BYTES = 4 * 4  # of one score: float32, in up to four matrices: scores, mask, and two of the softmax
LEAST_LOG = -1e15  # of no weight at all, below any score: what AdaAttN's authors mask with


def attend(
    queries_BQD: Tensor,
    keys_BKD: Tensor,
    values_BKC: Tensor,
    *,
    scale: float = 1.0,
    thresholds_BQ: Tensor | None = None,
    counts: Sequence[int] | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Values averaged by softmax(scale * queries . keys), BQC float32, never half: sums of exponents need the digits.

    `memory` bounds the bytes of scores that are there at once; the result does not depend on it beyond rounding, as
    each query's softmax is its own. With thresholds, BQ, tokens that do not score above the query's own are left out; a
    query that would be left with none keeps them all. Thresholds BQR do so region by region, for regions whose tokens
    lie one after the other: `counts` of them.
    """
    channels = values_BKC.shape[2]
    # CPUs have a fused kernel, half the time and no memory for scores, where keys are as wide as values.
    width = max(channels, keys_BKD.shape[2])
    keys_BKD, values_BKC = (F.pad(tensor.float(), (0, width - tensor.shape[2])) for tensor in (keys_BKD, values_BKC))
    at_once = max(1, memory // (SCORE_BYTES * keys_BKD.shape[0] * keys_BKD.shape[1]))
    with torch.autocast(queries_BQD.device.type, enabled=False):
        chunks = []
        for start in range(0, queries_BQD.shape[1], at_once):
            chunk_BqD = queries_BQD[:, start : start + at_once].float() * scale
            chunk_BqD = F.pad(chunk_BqD, (0, width - chunk_BqD.shape[2]))
            mask = None
            if thresholds_BQ is not None:
                mask = _gate(chunk_BqD, keys_BKD, thresholds_BQ[:, start : start + at_once].float(), counts)
            attended_BqC = F.scaled_dot_product_attention(chunk_BqD, keys_BKD, values_BKC, mask, scale=1.0)
            chunks.append(attended_BqC[..., :channels])
    return torch.cat(chunks, dim=1) if len(chunks) > 1 else chunks[0]


def _gate(queries_BQD: Tensor, keys_BKD: Tensor, thresholds_BQR: Tensor, counts: Sequence[int] | None = None) -> Tensor:
    """What to add to the scores, BQK, region by region."""
    if thresholds_BQR.ndim == 2:
        return _gate_region(queries_BQD, keys_BKD, thresholds_BQR)
    assert counts is not None  # thresholds for each region go with the regions' numbers of tokens
    regions = zip(keys_BKD.split(list(counts), dim=1), thresholds_BQR.unbind(2), strict=True)
    return torch.cat([_gate_region(queries_BQD, keys_BkD, thresholds_BQ) for keys_BkD, thresholds_BQ in regions], 2)


def _gate_region(queries_BQD: Tensor, keys_BKD: Tensor, thresholds_BQ: Tensor) -> Tensor:
    """0 for tokens that score above the threshold, minus infinity for others: BQK, added to the scores.

    A threshold learns by a straight-through estimator (Bengio et al., arXiv 1308.3432): what is kept counts as if
    weighed by sigmoid(score - threshold).
    """
    scores_BQK = queries_BQD @ keys_BKD.transpose(1, 2)
    kept_BQK = scores_BQK > thresholds_BQ[..., None]
    kept_BQK |= ~kept_BQK.any(dim=2, keepdim=True)
    if not torch.is_grad_enabled():
        return scores_BQK.zero_().masked_fill_(~kept_BQK, -torch.inf)
    soft_BQK = torch.sigmoid(scores_BQK.detach() - thresholds_BQ[..., None])
    return (soft_BQK - soft_BQK.detach()).masked_fill(~kept_BQK, -torch.inf)


def attend_statistics(
    queries_BQD: Tensor, keys_BKD: Tensor, values_BKC: Tensor, *, epsilon: float = 0.0, **options: object
) -> tuple[Tensor, Tensor]:
    """Attention-weighted mean and deviation of the values, both BQC (AdaAttN, equations 6 to 8).

    Deviation is sqrt(relu(E[v^2] - E[v]^2) + epsilon): 0 in the original, 1e-8 in the fork for many pictures, whose
    gradient is finite. `options` are those of `attend`.
    """
    values_BKC = values_BKC.float()
    moments = attend(queries_BQD, keys_BKD, torch.cat([values_BKC, values_BKC.square()], 2), **options)  # type: ignore[arg-type]
    mean_BQC, square_BQC = moments.chunk(2, dim=2)
    return mean_BQC, (F.relu(square_BQC - mean_BQC.square()) + epsilon).sqrt()


def weigh_regions(
    queries_BQD: Tensor, keys_BKD: Tensor, logs_BQR: Tensor, counts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Queries and keys whose products have the logarithm of a region's weight at the query added; scale them before.

    A weight w on a region's tokens (`counts` of each, one region after the other) multiplies their share before the
    softmax's normalisation, so that weights go continuously from one picture to another, and a mask is a weight that
    differs between positions. One more channel a region carries it: no matrix of queries by keys is made.
    """
    regions_K = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(keys_BKD.device)
    marks_KR = F.one_hot(regions_K, len(counts)).float()
    logs_BQR = logs_BQR.expand(queries_BQD.shape[0], queries_BQD.shape[1], -1)
    marks_BKR = marks_KR.expand(keys_BKD.shape[0], -1, -1)
    return torch.cat([queries_BQD.float(), logs_BQR], 2), torch.cat([keys_BKD.float(), marks_BKR], 2)


def log_weights(weights: Tensor) -> Tensor:
    """Logarithms of weights in [0, 1], finite: a region of weight 0 is left out wherever another has any."""
    return weights.float().log().clamp_min(LEAST_LOG)


def shallow_keys(features: Sequence[Tensor], level: int) -> Tensor:
    """What positions of a level are compared by: it and all finer levels at its size, normalised, side by side, NCHW.

    Channels of each are normalised after the resize (nearest neighbour): `get_key` of the authors' adaattn_model.py.
    """
    size = features[level].shape[2:]
    resized = [F.interpolate(finer_NCHW, size, mode="nearest") for finer_NCHW in features[:level]]
    return torch.cat([normalise_channels(maps) for maps in [*resized, features[level]]], dim=1)


def to_tokens(maps_NCHW: Tensor) -> Tensor:
    """Positions of a map as a sequence, row by row: NQC."""
    return maps_NCHW.flatten(2).transpose(1, 2)


def to_maps(tokens_NQC: Tensor, size: Sequence[int]) -> Tensor:
    """The inverse of `to_tokens`: NCHW of that height and width."""
    return tokens_NQC.transpose(1, 2).unflatten(2, tuple(size))


def choose_tokens(count: int, most: int, seed: int) -> Tensor | None:
    """Indices of at most `most` of `count` tokens, drawn by seed; None where all may stay.

    The first of a permutation from a generator of its own: the authors' draw after torch.manual_seed(seed).
    """
    if count <= most:
        return None
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]
