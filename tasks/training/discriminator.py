"""A discriminator of patches at three scales: does each patch look like one of a real picture, here of art.

N images, C channels, H and W pixels.

Patches after Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, section 3.2.2;
scales and padding after Wang et al., High-Resolution Image Synthesis with Conditional GANs (pix2pixHD), CVPR 2018,
section 3.2; the losses are of Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SCALES = 3  # the full size, a half and a quarter
SMALLEST_SIDE = 64  # of the images: a quarter of it is two positions wide where the strides end
KERNEL = 4
PADDING = 2  # pix2pixHD's: maps grow at the layers without a stride, so that small ones do not vanish
SLOPE = 0.2  # of the leaky ReLUs


class PatchDiscriminator(nn.Module):
    """Images NCHW in [0, 1], at least 64 on a side, to a map of scores N1hw for each scale: 1 real, 0 made.

    A score looks at a patch of 70 pixels of its scale. Layers are held to a Lipschitz constant of 1 (Miyato et al.,
    Spectral Normalization for GANs, ICLR 2018) rather than normalised over the instance: instance normalisation takes
    out each picture's mean and contrast, which are much of what a style is, and fails on maps of one position; and
    generator and discriminator share one learning rate here, where an unbounded discriminator would run away.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.scales = nn.ModuleList(build_scale(width) for _ in range(SCALES))

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        # Half precision would spoil the estimate of the norms; all of this costs a twentieth of a perceptual loss.
        with torch.autocast(images_NCHW.device.type, enabled=False):
            scaled_NCHW = 2 * images_NCHW.float() - 1
            scores = []
            for scale in self.scales:
                scores.append(scale(scaled_NCHW))
                scaled_NCHW = F.avg_pool2d(scaled_NCHW, 3, stride=2, padding=1, count_include_pad=False)
            return scores


def build_scale(width: int) -> nn.Sequential:
    """Three layers of stride 2 and two of stride 1: a receptive field of 70 pixels (`width` is 64 in the paper)."""
    widths, strides = [3, width, 2 * width, 4 * width, 8 * width, 1], [2, 2, 2, 1, 1]
    layers: list[nn.Module] = []
    for (before, after), stride in zip(pairwise(widths), strides, strict=True):
        layers += [spectral_norm(nn.Conv2d(before, after, KERNEL, stride, PADDING)), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])


def generator_loss(discriminator: nn.Module, outputs_NCHW: Tensor) -> Tensor:
    """How far made images are from passing for real (Mao et al., equation 9: half the square to 1), 0 or more.

    The discriminator's parameters are taken as constants. So one backward pass of this plus `discriminator_loss`
    trains both networks, each on its own loss alone, with one optimiser.
    """
    constants = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return mean_square(functional_call(discriminator, constants, (outputs_NCHW,)), 1.0)


def discriminator_loss(discriminator: nn.Module, real_NCHW: Tensor, outputs_NCHW: Tensor) -> Tensor:
    """How badly real images are told from made ones (equation 9); 0.25 where all are scored one half.

    No gradient reaches the made images, detached or not.
    """
    return mean_square(discriminator(real_NCHW), 1.0) + mean_square(discriminator(outputs_NCHW.detach()), 0.0)


def mean_square(scores: list[Tensor], target: float) -> Tensor:
    """Half the mean square to the target, over each scale's patches and then over scales."""
    return 0.5 * torch.stack([(score.float() - target).square().mean() for score in scores]).mean()
