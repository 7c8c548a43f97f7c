"""Losses on features and pixels that methods, training and scores share.

N images, C channels, H and W pixels, P positions, D directions; a list of features is one NCHW map a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.statistics import EPSILON, channel_moments, channel_statistics, normalise_channels

Features = Sequence[Tensor]
STABILITY = 9e-4  # SSIM's second constant, (0.03 L)^2 where pixels go to L = 1


def feature_loss(output_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
    """Mean squared difference; AdaIN's content loss, of the output's relu4_1 and the transferred features."""
    return F.mse_loss(output_NCHW.float(), target_NCHW.float())


def style_loss(outputs: Features, styles: Features) -> Tensor:
    """AdaIN's style loss (equation 13): squared differences of means and deviations, summed over levels."""
    losses = [
        F.mse_loss(of_output, of_style)
        for output_NCHW, style_NCHW in zip(outputs, styles, strict=True)
        for of_output, of_style in zip(channel_statistics(output_NCHW), channel_statistics(style_NCHW), strict=True)
    ]
    return torch.stack(losses).sum()


def normalised_content_loss(output_NCHW: Tensor, content_NCHW: Tensor) -> Tensor:
    """Mean squared difference of mean-variance-normalised features (STROTSS and AdaAttN's successors use it).

    Colour and contrast are left free. 0 for the same features, 2 for unrelated ones.
    """
    return F.mse_loss(normalise_channels(output_NCHW), normalise_channels(content_NCHW))


def covariance_loss(output_NCHW: Tensor, style_NCHW: Tensor) -> Tensor:
    """Mean squared difference of channel covariances: centred Gram matrices (Gatys et al., CVPR 2016)."""
    return F.mse_loss(channel_moments(output_NCHW)[1], channel_moments(style_NCHW)[1])


def moment_distances(first_NCHW: Tensor, second_NCHW: Tensor) -> dict[str, Tensor]:
    """Mean squared differences of means, deviations and covariances."""
    (first_mean, first_covariance), (second_mean, second_covariance) = map(channel_moments, (first_NCHW, second_NCHW))
    return {
        "mean": (first_mean - second_mean).square().mean(),
        "deviation": (deviations(first_covariance) - deviations(second_covariance)).square().mean(),
        "covariance": (first_covariance - second_covariance).square().mean(),
    }


def deviations(covariances_NCC: Tensor) -> Tensor:
    return (covariances_NCC.diagonal(dim1=1, dim2=2).clamp_min(0) + EPSILON).sqrt()


def sliced_wasserstein(output_NCHW: Tensor, style_NCHW: Tensor, directions_DC: Tensor) -> Tensor:
    """Squared distance of sorted projections, mean over directions (Heitz et al., CVPR 2021, equation 5).

    It sees the whole distribution of the features, which means and covariances do not. Equal H x W only.
    """
    output_NDP = torch.einsum("dc,ncp->ndp", directions_DC, output_NCHW.float().flatten(2))
    style_NDP = torch.einsum("dc,ncp->ndp", directions_DC, style_NCHW.float().flatten(2))
    return F.mse_loss(output_NDP.sort(dim=2).values, style_NDP.sort(dim=2).values)


def draw_directions(count: int, channels: int, generator: torch.Generator) -> Tensor:
    """`count` directions of unit length, uniform on the sphere, DC, on the CPU."""
    return F.normalize(torch.randn(count, channels, generator=generator), dim=1)


def identity_loss(output_NCHW: Tensor, image_NCHW: Tensor) -> Tensor:
    """Mean absolute difference: a picture in its own style is itself (Park and Lee, SANet, CVPR 2019)."""
    return F.l1_loss(output_NCHW.float(), image_NCHW.float())


def total_variation(images_NCHW: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, down plus across (anisotropic; Rudin et al. 1992)."""
    images = images_NCHW.float()
    return (images[:, :, 1:] - images[:, :, :-1]).abs().mean() + (
        images[:, :, :, 1:] - images[:, :, :, :-1]
    ).abs().mean()


def variation_norms(images_NCHW: Tensor) -> Tensor:
    """Lengths of the differences of neighbours, across, down and along both diagonals, added up, N.

    CLIPstyler's regulariser (`get_image_prior_losses`): neither squared nor a mean, so it grows with an image's side.
    """
    images = images_NCHW.float()
    differences = [
        images[:, :, :, :-1] - images[:, :, :, 1:],
        images[:, :, :-1] - images[:, :, 1:],
        images[:, :, 1:, :-1] - images[:, :, :-1, 1:],
        images[:, :, :-1, :-1] - images[:, :, 1:, 1:],
    ]
    return torch.stack([difference.flatten(1).norm(dim=1) for difference in differences]).sum(0)


def structure_losses(outputs_NCHW: Tensor, contents_NCHW: Tensor) -> Tensor:
    """1 where an output's luminance is flat or unlike its content's, 0 where it has its shades: N, 0 to 2.

    One minus the contrast and structure term of SSIM (Wang et al. 2004, equations 9 and 10) over the whole picture.
    Without it a text about colours ends as one flat colour.
    """
    first, second = (luminance(images).flatten(1) for images in (outputs_NCHW, contents_NCHW))
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    covariance = (first * second).mean(1)
    return 1 - 2 * covariance / (first.square().mean(1) + second.square().mean(1) + 1e-3)


def window_structure_losses(outputs_NCHW: Tensor, contents_NCHW: Tensor, window: int = 7) -> Tensor:
    """`structure_losses` in windows of that many pixels, averaged over the picture: N.

    Where SSIM is measured, that is with its default window (scikit-image), brightness left out.
    """
    pool = partial(F.avg_pool2d, kernel_size=window, stride=2)
    with torch.autocast(outputs_NCHW.device.type, enabled=False):  # differences of squares need float32
        first, second = (luminance(images.float())[:, None] for images in (outputs_NCHW, contents_NCHW))
        first_mean, second_mean = pool(first), pool(second)
        covariance = pool(first * second) - first_mean * second_mean
        variances = pool(first.square()) - first_mean.square() + pool(second.square()) - second_mean.square()
        similar = (2 * covariance + STABILITY) / (variances + STABILITY)
    return 1 - similar.flatten(1).mean(1)


def luminance(images_NCHW: Tensor) -> Tensor:
    """Rec. 601 luma, NHW."""
    return torch.einsum("nchw,c->nhw", images_NCHW, torch.tensor([0.299, 0.587, 0.114], device=images_NCHW.device))
