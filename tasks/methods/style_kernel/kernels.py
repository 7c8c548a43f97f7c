"""Dynamic style kernels: convolutions whose weights differ from position to position, made from aligned style features.

Dimension key: N contents, C channels, G groups of channels, k taps of a kernel, H and W of a feature map.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414). What its text leaves open is listed in NOTES.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.compact import SLOPE


@dataclass(frozen=True)
class Kernels:
    """The kernels of one layer at every position: columns and rows NGkHW, biases NCHW."""

    vertical: Tensor
    horizontal: Tensor
    bias: Tensor

    def resize(self, size: Sequence[int]) -> Kernels:
        """For a map of another size: kernels in between are means of their neighbours (bilinear)."""
        if tuple(size) == tuple(self.bias.shape[2:]):
            return self
        taps = [resize(kernels.flatten(1, 2), size) for kernels in (self.vertical, self.horizontal)]
        shape = self.vertical.shape[1:3]
        return Kernels(taps[0].unflatten(1, shape), taps[1].unflatten(1, shape), resize(self.bias, size))

    def keep_taps(self, count: int | None) -> Kernels:
        """The central `count` taps (odd), the outer ones left out; all of them where there are no more, or for None."""
        off = (self.vertical.shape[2] - count) // 2 if count else 0
        if off <= 0:
            return self
        return Kernels(self.vertical[:, :, off:-off], self.horizontal[:, :, off:-off], self.bias)

    def weigh(self, weights_N1HW: Tensor) -> Kernels:
        """Each position's kernels times its weight: kernels of several styles add up to one where weights sum to 1."""
        weights_N11HW = weights_N1HW[:, :, None]
        return Kernels(self.vertical * weights_N11HW, self.horizontal * weights_N11HW, self.bias * weights_N1HW)

    def __add__(self, other: Kernels) -> Kernels:
        return Kernels(self.vertical + other.vertical, self.horizontal + other.horizontal, self.bias + other.bias)


def resize(maps_NCHW: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps_NCHW, tuple(size), mode="bilinear", align_corners=False)


class KernelGenerator(nn.Module):
    """Kernels of several layers from aligned style features, by two 1x1 convolutions.

    The last of them starts at zero and the central tap has 1 added, so that at first every layer is the identity.
    """

    def __init__(self, style_channels: int, channels: int, groups: int, taps: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.shape = (groups, taps)
        self.sizes = [groups * taps, groups * taps, channels] * layers
        self.first = nn.Conv2d(style_channels, hidden, 1)
        self.last = nn.Conv2d(hidden, sum(self.sizes), 1)
        for tensor in self.last.parameters():
            nn.init.zeros_(tensor)

    def forward(self, aligned_NCHW: Tensor) -> list[Kernels]:
        """One layer's kernels after another, at the positions of the aligned features."""
        parts = self.last(F.leaky_relu(self.first(aligned_NCHW), SLOPE)).split(self.sizes, dim=1)
        centre_k11 = F.one_hot(torch.tensor(self.shape[1] // 2), self.shape[1])[:, None, None].to(aligned_NCHW)
        layers = []
        for vertical, horizontal, bias in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            columns, rows = (taps.unflatten(1, self.shape) + centre_k11 for taps in (vertical, horizontal))
            layers.append(Kernels(columns, rows, bias))
        return layers


def convolve(features_NCHW: Tensor, kernels: Kernels) -> Tensor:
    """Each group's columns, then rows, of kernels at every position, plus the biases; borders are reflected."""
    groups, taps = kernels.vertical.shape[1:3]
    height, width = features_NCHW.shape[2:]
    reach = taps // 2
    bordered = extend(features_NCHW, (0, 0, reach, reach)).unflatten(1, (groups, -1))
    columns = sum_taps([bordered[..., i : i + height, :] for i in range(taps)], kernels.vertical)
    bordered = extend(columns.flatten(1, 2), (reach, reach, 0, 0)).unflatten(1, (groups, -1))
    rows = sum_taps([bordered[..., i : i + width] for i in range(taps)], kernels.horizontal)
    return rows.flatten(1, 2) + kernels.bias


def sum_taps(shifted: Sequence[Tensor], kernels_NGkHW: Tensor) -> Tensor:
    """Sum over taps of shifted features, N, G, channels of a group, H, W, each times its tap."""
    total = shifted[0] * kernels_NGkHW[:, :, 0, None]
    for index, part in enumerate(shifted[1:], 1):
        total = total + part * kernels_NGkHW[:, :, index, None]
    return total


def extend(features_NCHW: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Reflected borders, left, right, top, bottom; repeated ones where a side is too short to reflect that far."""
    if not any(sides):
        return features_NCHW
    height, width = features_NCHW.shape[2:]
    short = width <= max(sides[:2]) or height <= max(sides[2:])
    return F.pad(features_NCHW, sides, mode="replicate" if short else "reflect")


def shuffle(features_NCHW: Tensor, groups: int) -> Tensor:
    """Channel g * m + j of G groups of m becomes j * G + g (ShuffleNet, Zhang et al., CVPR 2018): groups are mixed."""
    return features_NCHW.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def unshuffle(features_NCHW: Tensor, groups: int) -> Tensor:
    """The inverse of `shuffle` with as many groups."""
    return features_NCHW.unflatten(1, (-1, groups)).transpose(1, 2).flatten(1, 2)


def apply_kernels(features_NCHW: Tensor, layers: Sequence[Kernels], shuffled: bool = True) -> Tensor:
    """Features through the layers, channels shuffled between the first and the later ones, and back at the end.

    Kernels are shared by the channels of a group, so that after a shuffle other channels share one.
    """
    groups = layers[0].vertical.shape[1]
    features_NCHW = convolve(features_NCHW, layers[0])
    if shuffled:
        features_NCHW = shuffle(features_NCHW, groups)
    for kernels in layers[1:]:
        features_NCHW = convolve(features_NCHW, kernels)
    return unshuffle(features_NCHW, groups) if shuffled else features_NCHW
