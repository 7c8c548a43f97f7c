"""Adaptive attention normalisation: a content's features get the means and deviations of what they attend to.

Dimension key: N contents, C channels, H and W of a feature map, K tokens of a style picture, D channels of a key, R
pictures of a style; keys of a content or a style are maps of `shallow_keys` until 1x1 convolutions make tokens of them.
Liu et al., AdaAttN: Revisit Attention Mechanism in Arbitrary Neural Style Transfer, ICCV 2021, equations 5 to 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.encoders.attention import (
    MEMORY,
    attend_statistics,
    keep_tokens,
    log_weights,
    to_maps,
    to_tokens,
    weigh_regions,
)
from tasks.encoders.gating import gate_thresholds


@dataclass(frozen=True)
class Tokens:
    """Positions of style pictures (or of one, for all N contents): what they are compared by, what they give."""

    keys: Tensor  # NKD
    values: Tensor  # NKC

    def choose(self, most: int, seed: int) -> Tokens:
        """At most `most` of them, drawn by seed."""
        return Tokens(*keep_tokens(self.keys, self.values, most, seed))


@dataclass(frozen=True)
class Attending:
    """How tokens are attended to: what is below the root of their variance, the gate's alpha and beta, memory."""

    epsilon: float
    gate: tuple[float, float] | None = None
    memory: int = MEMORY


class TokenAttention(nn.Module):
    """Query and key as 1x1 convolutions of normalised features, values as one of the style's own."""

    def __init__(self, key_channels: int, channels: int, depth: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.query = nn.Conv2d(key_channels, depth, 1)
        self.key = nn.Conv2d(key_channels, depth, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def tokens(self, style_keys_NCHW: Tensor, style_NCHW: Tensor) -> Tokens:
        """All positions of style pictures, row by row."""
        return Tokens(to_tokens(self.key(style_keys_NCHW)), to_tokens(self.value(style_NCHW)))

    def forward(
        self,
        normalised_NCHW: Tensor,
        queries_NDHW: Tensor,
        pictures: Sequence[Tokens],
        how: Attending,
        weights_PRHW: Tensor | None = None,
    ) -> Tensor:
        """A content's normalised features and its `query`, in the style of R pictures' tokens, NCHW, float32.

        Attention goes over the tokens of all pictures together; a picture's weight at a position multiplies its
        tokens' share there.
        """
        rows = len(queries_NDHW)
        queries_NQD = to_tokens(queries_NDHW).float() * self.scale
        # Tokens of one style for all contents: the contents' positions are one long row of queries.
        shared = pictures[0].keys.shape[0] == 1
        queries_BQD = queries_NQD.flatten(0, 1)[None] if shared else queries_NQD
        thresholds_BQR = threshold_pictures(queries_BQD, pictures, how.gate) if how.gate else None
        union, counts = join(pictures), [tokens.keys.shape[1] for tokens in pictures]
        keys_BKD = union.keys
        if weights_PRHW is not None and len(pictures) > 1:
            logs_PQR = log_weights(to_tokens(weights_PRHW)).expand(rows, -1, -1)
            logs_BQR = logs_PQR.reshape(len(queries_BQD), -1, len(pictures))
            queries_BQD, keys_BKD = weigh_regions(queries_BQD, keys_BKD, logs_BQR, counts)
            thresholds_BQR = None if thresholds_BQR is None else thresholds_BQR + logs_BQR
        options = {"thresholds_BQ": thresholds_BQR, "counts": counts, "memory": how.memory}
        moments = attend_statistics(queries_BQD, keys_BKD, union.values, epsilon=how.epsilon, **options)
        mean_NCHW, deviation_NCHW = (
            to_maps(m.reshape(rows, -1, m.shape[2]), normalised_NCHW.shape[2:]) for m in moments
        )
        return torch.addcmul(mean_NCHW, deviation_NCHW, normalised_NCHW)


def join(pictures: Sequence[Tokens]) -> Tokens:
    """The tokens of all pictures, one picture after the other."""
    if len(pictures) == 1:
        return pictures[0]
    return Tokens(
        torch.cat([tokens.keys for tokens in pictures], 1), torch.cat([tokens.values for tokens in pictures], 1)
    )


def threshold_pictures(queries_BQD: Tensor, pictures: Sequence[Tokens], gate: tuple[float, float]) -> Tensor:
    """StyleKernel's gate in its closed form, for each picture on its own: BQR.

    A picture that goes out by its weight then leaves the others' gates as they are.
    """
    thresholds = [gate_thresholds(queries_BQD, tokens.keys, 1.0, *gate) for tokens in pictures]
    return torch.stack(thresholds, dim=2)
