"""The adversary of a small StyleGAN3: a residual discriminator, its losses and its gradient penalty.

Dimension key: N images, C channels, H and W pixels, G images of a group.

After Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020 (residual levels, section 4.1;
lazy R1, appendix B) and Progressive Growing of GANs, ICLR 2018 (equalised weights, section 4.1; standard deviation of
a minibatch, section 3). Written from the papers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky ReLUs, which sqrt(2) brings back to unit variance
GROUP = 4  # images whose spread is told to the last layer
SMALLEST = 4  # side of the last map


class EqualConv(nn.Module):
    """A convolution whose weights are drawn with variance 1 and scaled to He's as they are used."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.gain = 1 / math.sqrt(before * kernel * kernel)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return F.conv2d(images_NCHW, self.weight * self.gain, self.bias, padding=self.weight.shape[-1] // 2)


class EqualLinear(nn.Module):
    """The same for vectors."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))
        self.bias = nn.Parameter(torch.zeros(after))
        self.gain = 1 / math.sqrt(before)

    def forward(self, features_NC: Tensor) -> Tensor:
        return F.linear(features_NC, self.weight * self.gain, self.bias)


class ResidualLevel(nn.Module):
    """Half the size, and other channels: two convolutions beside one of a single pixel."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = EqualConv(before, before, 3), EqualConv(before, after, 3)
        self.skip = EqualConv(before, after, 1)

    def forward(self, features_NCHW: Tensor) -> Tensor:
        halved = halve(activate(self.second(activate(self.first(features_NCHW)))))
        return (halved + self.skip(halve(features_NCHW))) / math.sqrt(2)


class Discriminator(nn.Module):
    """Images NCHW in [-1, 1], square, a power of 2 from 8 on a side, to a score for each, N: higher is more real.

    A level of side s has min(base / s, most) channels.
    """

    def __init__(self, resolution: int, base: int, most: int) -> None:
        super().__init__()
        sides = [2**power for power in range(int(math.log2(resolution)), int(math.log2(SMALLEST)) - 1, -1)]
        widths = [max(1, min(base // side, most)) for side in sides]
        self.colours = EqualConv(3, widths[0], 1)
        self.levels = nn.ModuleList(ResidualLevel(*pair) for pair in pairwise(widths))
        self.last = EqualConv(widths[-1] + 1, widths[-1], 3)
        self.hidden = EqualLinear(widths[-1] * SMALLEST**2, widths[-1])
        self.score = EqualLinear(widths[-1], 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        features_NCHW = activate(self.colours(images_NCHW))
        for level in self.levels:
            features_NCHW = level(features_NCHW)
        # Scores in half precision would be rounded to steps that a loss near its balance consists of.
        with torch.autocast(images_NCHW.device.type, enabled=False):
            features_NCHW = activate(self.last(add_spread(features_NCHW.float())))
            return self.score(activate(self.hidden(features_NCHW.flatten(1))))[:, 0]


def halve(features_NCHW: Tensor) -> Tensor:
    """Means of two by two. CUDA's gradient of `avg_pool2d` takes several times as long as that of a mean."""
    return features_NCHW.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))


def activate(features: Tensor) -> Tensor:
    return F.leaky_relu(features, SLOPE) * math.sqrt(2)


def add_spread(features_NCHW: Tensor) -> Tensor:
    """The features and one map more: the mean standard deviation among a group of images, or of all where none fit."""
    count, channels, height, width = features_NCHW.shape
    group = GROUP if count % GROUP == 0 else count
    grouped_GBCHW = features_NCHW.reshape(group, -1, channels, height, width)
    deviation_B = (grouped_GBCHW.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    map_N1HW = deviation_B.repeat(group).reshape(count, 1, 1, 1).expand(-1, -1, height, width)
    return torch.cat([features_NCHW, map_N1HW], 1)


def generator_loss(discriminator: nn.Module, images_NCHW: Tensor) -> Tensor:
    """The non-saturating logistic loss (Goodfellow et al., Generative Adversarial Nets, 2014), 0 or more.

    The discriminator's weights are taken as constants, so one backward pass serves both networks.
    """
    constants = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    return F.softplus(-functional_call(discriminator, constants, (images_NCHW,))).mean()


def discriminator_loss(real_N: Tensor, made_N: Tensor) -> Tensor:
    """The logistic loss of scores: 2 ln 2 where it knows nothing."""
    return F.softplus(-real_N).mean() + F.softplus(made_N).mean()


def gradient_penalty(score: Callable[[Tensor], Tensor], images_NCHW: Tensor) -> Tensor:
    """R1 of Mescheder et al., ICML 2018: the mean squared norm of the scores' gradient at real images, 0 or more."""
    leaf_NCHW = images_NCHW.detach().requires_grad_()
    (gradient_NCHW,) = torch.autograd.grad(score(leaf_NCHW).sum(), leaf_NCHW, create_graph=True)
    return gradient_NCHW.square().sum((1, 2, 3)).mean()
