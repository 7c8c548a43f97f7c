"""AdaAttN's losses: global statistics of the style, and local ones where the content attends to it.

N images, C channels, H and W of a feature map; a list of features is one NCHW map a level, relu1_1 first.
Liu et al., AdaAttN, ICCV 2021, equations 10 to 12; `compute_losses` of the authors' adaattn_model.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.encoders.attention import (
    MEMORY,
    attend_statistics,
    keep_tokens,
    shallow_keys,
    to_maps,
    to_tokens,
)
from tasks.encoders.statistics import normalise_channels
from tasks.losses.perceptual import feature_loss, normalised_content_loss, style_loss

Features = Sequence[Tensor]
LEVELS = range(1, 5)  # relu2_1 to relu5_1
MOST_TOKENS = 64 * 64  # of a style's, a level: the authors' max_sample


def global_loss(outputs: Features, styles: Features, levels: Sequence[int] = LEVELS) -> Tensor:
    """Squared differences of means and deviations, summed over levels; the authors weigh it 10."""
    return style_loss([outputs[level] for level in levels], [styles[level] for level in levels])


def content_loss(outputs: Features, contents: Features, levels: Sequence[int] = LEVELS) -> Tensor:
    """Squared differences of normalised features, summed over levels; the authors weigh it 0."""
    return torch.stack([normalised_content_loss(outputs[level], contents[level]) for level in levels]).sum()


def local_loss(
    outputs: Features,
    contents: Features,
    styles: Features,
    levels: Sequence[int] = LEVELS,
    *,
    most_tokens: int = MOST_TOKENS,
    seed: int = 0,
) -> Tensor:
    """Squared distance to `attended_style`, summed over levels; the authors weigh it 3."""
    losses = []
    for level in levels:
        wanted = attended_style(contents, styles, level, most_tokens=most_tokens, seed=seed)
        losses.append(feature_loss(outputs[level], wanted))
    return torch.stack(losses).sum()


@torch.no_grad()
def attended_style(
    contents: Features,
    styles: Features,
    level: int,
    *,
    most_tokens: int = MOST_TOKENS,
    seed: int = 0,
    memory: int = MEMORY,
) -> Tensor:
    """What AdaAttN without parameters makes of a level: a target for the output's features, NCHW, no gradient.

    The content's normalised features with the means and deviations of the style's positions that look like them.
    """
    keys_NKD, values_NKC = to_tokens(shallow_keys(styles, level)), to_tokens(styles[level])
    keys_NKD, values_NKC = keep_tokens(keys_NKD, values_NKC, most_tokens, seed)
    queries_NQD = to_tokens(shallow_keys(contents, level))
    mean_NQC, deviation_NQC = attend_statistics(queries_NQD, keys_NKD, values_NKC, memory=memory)
    size = contents[level].shape[2:]
    return to_maps(deviation_NQC, size) * normalise_channels(contents[level]) + to_maps(mean_NQC, size)
