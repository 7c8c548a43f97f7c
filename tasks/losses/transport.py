"""Relaxed optimal transport of features: the losses of STROTSS (Kolkin, Salavon and Shakhnarovich, CVPR 2019).

N images, P and Q samples (positions), C channels, H and W pixels. A set of samples is NPC; each loss gives one value
for each image. Sets of one image serve a whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_POSITIONS = 1_024  # of a map, as in STROTSS: the costs are a matrix of the square of it
# `rgb_to_yuv_pc` of its code, recorded in golden/strotss: brightness and two differences of colours, orthonormal.
RGB_TO_YUV = ((0.577350, 0.577350, 0.577350), (-0.577350, 0.788675, -0.211325), (-0.577350, -0.211325, 0.788675))
# Bounds of a squared distance before its root is taken (its `pairwise_distances_sq_l2`): the root's slope is finite.
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-5, 1e5


def draw_positions(positions: int, count: int, generator: torch.Generator) -> Tensor:
    """Which of a map's positions to take: `count` of them at random, or all, in order, where there are no more.

    An int64 index_P on the CPU. The same for output and content where positions must agree.
    """
    if positions <= count:
        return torch.arange(positions)
    return torch.randperm(positions, generator=generator)[:count]


def take_positions(features_NCHW: Tensor, index_P: Tensor) -> Tensor:
    """The features at those positions, counted along the rows: samples_NPC, float32."""
    flat_NCP = features_NCHW.flatten(2)
    return flat_NCP.index_select(2, index_P.to(flat_NCP.device)).transpose(1, 2).float()


def sample_features(features_NCHW: Tensor, generator: torch.Generator, count: int = MAX_POSITIONS) -> Tensor:
    """At most `count` positions of each map, the same in all of a batch: samples_NPC, float32."""
    return take_positions(features_NCHW, draw_positions(features_NCHW[0, 0].numel(), count, generator))


def cosine_costs(first_NPC: Tensor, second_NQC: Tensor) -> Tensor:
    """1 minus the cosine of each pair of samples, NPQ: 0 for the same direction, 2 for opposite ones."""
    first_NPC, second_NQC = (F.normalize(samples.float(), dim=2) for samples in (first_NPC, second_NQC))
    return 1 - first_NPC @ second_NQC.transpose(1, 2)


def relaxed_distances(costs_NPQ: Tensor) -> Tensor:
    """N: the relaxed earth mover's distance of costs.

    Each sample goes to its nearest in the other set; of the two directions' means the greater counts.
    """
    return torch.maximum(costs_NPQ.amin(2).mean(1), costs_NPQ.amin(1).mean(1))


def transport_losses(outputs_NPC: Tensor, styles_NQC: Tensor) -> Tensor:
    """N: the relaxed earth mover's distance of two sets of features, its style loss, 0 to 2."""
    return relaxed_distances(cosine_costs(outputs_NPC, styles_NQC))


def sample_moment_losses(outputs_NPC: Tensor, styles_NQC: Tensor) -> Tensor:
    """N: mean absolute differences of means and of covariances, added up (its moment loss).

    Transport by cosines sees no lengths of features; this does.
    """
    (mean_NC, covariance_NCC), (style_NC, style_NCC) = (_moments(samples) for samples in (outputs_NPC, styles_NQC))
    return (mean_NC - style_NC).abs().mean(1) + (covariance_NCC - style_NCC).abs().mean((1, 2))


def palette_losses(outputs_NP3: Tensor, styles_NQ3: Tensor) -> Tensor:
    """N: the relaxed earth mover's distance of two sets of colours, RGB in [0, 1].

    Costs are the cosine's and the root of the mean squared difference, of decorrelated colours.
    """
    matrix_33 = torch.tensor(RGB_TO_YUV, device=outputs_NP3.device)
    first_NP3, second_NQ3 = (colors.float() @ matrix_33.T for colors in (outputs_NP3, styles_NQ3))
    squares_NPQ = (first_NP3[:, :, None] - second_NQ3[:, None]).square().sum(3)
    lengths_NPQ = (squares_NPQ.clamp(SMALLEST_SQUARE, LARGEST_SQUARE) / 3).sqrt()
    return relaxed_distances(cosine_costs(first_NP3, second_NQ3) + lengths_NPQ)


def self_similarity_losses(outputs_NPC: Tensor, contents_NPC: Tensor) -> Tensor:
    """N: how the samples of an output differ among themselves, against those of its content (its content loss).

    Sample p of both must be of the same place. Costs are relative to the sum of their column, so that what counts
    is which places are alike, not how much features vary.
    """
    output_NPP, content_NPP = (_relative_costs(samples) for samples in (outputs_NPC, contents_NPC))
    return (output_NPP - content_NPP).abs().mean((1, 2)) * outputs_NPC.shape[1]


def _moments(samples_NPC: Tensor) -> tuple[Tensor, Tensor]:
    """Mean NC and covariance NCC, divided by P."""
    samples_NPC = samples_NPC.float()
    mean_N1C = samples_NPC.mean(1, keepdim=True)
    centred_NPC = samples_NPC - mean_N1C
    return mean_N1C[:, 0], centred_NPC.transpose(1, 2) @ centred_NPC / samples_NPC.shape[1]


def _relative_costs(samples_NPC: Tensor) -> Tensor:
    costs_NPP = cosine_costs(samples_NPC, samples_NPC)
    return costs_NPP / costs_NPP.sum(1, keepdim=True).clamp_min(SMALLEST_SQUARE)
