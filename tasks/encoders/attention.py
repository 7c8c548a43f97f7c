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
CACHED_SCORES = 2**20  # 4 MB: on a CPU, gated attention over 4,096 tokens takes 0.12 s so, 0.23 s with `MEMORY` at once
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
    scores_a_query = keys_BKD.shape[0] * keys_BKD.shape[1]
    at_once = max(1, memory // (SCORE_BYTES * scores_a_query))
    with torch.autocast(queries_BQD.device.type, enabled=False):
        keys_BKD, values_BKC = keys_BKD.float(), values_BKC.float()
        if thresholds_BQ is None:
            chunks = _attend_fused(queries_BQD.split(at_once, dim=1), keys_BKD, values_BKC, scale)
        else:
            if keys_BKD.device.type == "cpu":
                at_once = max(1, min(at_once, CACHED_SCORES // scores_a_query))
            pairs = zip(queries_BQD.split(at_once, dim=1), thresholds_BQ.float().split(at_once, dim=1), strict=True)
            chunks = [
                _attend_gated(chunk_BqD.float() * scale, keys_BKD, values_BKC, chunk_BqR, counts)
                for chunk_BqD, chunk_BqR in pairs
            ]
    return torch.cat(chunks, dim=1) if len(chunks) > 1 else chunks[0]


def _attend_fused(chunks: Sequence[Tensor], keys_BKD: Tensor, values_BKC: Tensor, scale: float) -> list[Tensor]:
    """Each chunk of queries through the fused kernel, which CPUs have only where keys are as wide as values.

    Half the time there, and no memory for scores.
    """
    channels, width = values_BKC.shape[2], max(values_BKC.shape[2], keys_BKD.shape[2])
    keys_BKD, values_BKC = (F.pad(tensor, (0, width - tensor.shape[2])) for tensor in (keys_BKD, values_BKC))
    attended = []
    for chunk_BQD in chunks:
        wide_BQD = F.pad(chunk_BQD.float(), (0, width - chunk_BQD.shape[2]))
        attended.append(F.scaled_dot_product_attention(wide_BQD, keys_BKD, values_BKC, scale=scale)[..., :channels])
    return attended


def _attend_gated(
    queries_BQD: Tensor, keys_BKD: Tensor, values_BKC: Tensor, thresholds_BQR: Tensor, counts: Sequence[int] | None
) -> Tensor:
    """Only tokens above the threshold of their region. By hand: a mask for the fused kernel takes twice as long."""
    scores_BQK = queries_BQD @ keys_BKD.transpose(1, 2)
    if thresholds_BQR.ndim == 2:
        thresholds_BQR, counts = thresholds_BQR[..., None], scores_BQK.shape[2:]
    assert counts is not None  # thresholds for each region go with the regions' numbers of tokens
    limits = thresholds_BQR.split(1, dim=2)
    regions = list(zip(scores_BQK.split(list(counts), dim=2), limits, strict=True))
    kept_BQK = torch.cat([_keep(scores_BQk, limit_BQ1) for scores_BQk, limit_BQ1 in regions], dim=2)
    if torch.is_grad_enabled():
        counted_BQK = torch.cat([_count(scores_BQk, limit_BQ1) for scores_BQk, limit_BQ1 in regions], dim=2)
        return (scores_BQK + counted_BQK).masked_fill(~kept_BQK, -torch.inf).softmax(2) @ values_BKC
    # The best token of all is the best of its region, so that it is kept: the sum is at least 1.
    weights_BQK = scores_BQK.sub_(scores_BQK.amax(2, keepdim=True)).exp_().mul_(kept_BQK)
    return (weights_BQK @ values_BKC).div_(weights_BQK.sum(2, keepdim=True))


def _keep(scores_BQk: Tensor, limit_BQ1: Tensor) -> Tensor:
    """Which tokens of a region are above its limit; all where none is."""
    kept_BQk = scores_BQk > limit_BQ1
    return kept_BQk | ~kept_BQk.any(dim=2, keepdim=True)


def _count(scores_BQk: Tensor, limit_BQ1: Tensor) -> Tensor:
    """Zero, by which a threshold learns: what is kept counts as if weighed by sigmoid(score - threshold).

    A straight-through estimator (Bengio et al., arXiv 1308.3432).
    """
    soft_BQk = torch.sigmoid(scores_BQk.detach() - limit_BQ1)
    return soft_BQk - soft_BQk.detach()


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


def keep_tokens(keys_NKD: Tensor, values_NKC: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """Keys and values of at most `most` tokens, those of `choose_tokens`."""
    chosen_K = choose_tokens(keys_NKD.shape[1], most, seed)
    if chosen_K is None:
        return keys_NKD, values_NKC
    chosen_K = chosen_K.to(keys_NKD.device)
    return keys_NKD[:, chosen_K], values_NKC[:, chosen_K]


def choose_tokens(count: int, most: int, seed: int) -> Tensor | None:
    """Indices of at most `most` of `count` tokens, drawn by seed; None where all may stay.

    The first of a permutation from a generator of its own: the authors' draw after torch.manual_seed(seed).
    """
    if count <= most:
        return None
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]
