"""SqueezeNet 1.1 as a perceptual network of another kind than VGG: features of its fires, by name.

N images, C channels, H and W pixels. Iandola et al., arXiv 1602.07360; version 1.1 is the authors' with 2.4 times
fewer operations. The layout is that of rcmalli/keras-squeezenet (kernels stored as out, in, h, w), whose weights are
the authors' own: no padding but inside the fires, and no rounding up at pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.taps import check_taps
from tasks.encoders.vgg import freeze
from tasks.weights.loading import match_layout

CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, of 0 to 255: what Caffe's ImageNet networks have taken off
FIRST = 64  # channels of `conv1`
# Channels of the squeeze, and of each of the two expansions that are laid side by side (their table 1).
FIRES = {
    "fire2": (16, 64), "fire3": (16, 64), "fire4": (32, 128), "fire5": (32, 128),
    "fire6": (48, 192), "fire7": (48, 192), "fire8": (64, 256), "fire9": (64, 256),
}  # fmt: skip
POOLED = ("conv1", "fire3", "fire5")  # those that a pool follows; it is where 1.1 differs from 1.0
SMALLEST_SIDE = 31  # pixels: a smaller image does not reach the last pool


class Fire(nn.Module):
    """Few channels, then two sets of many, of 1x1 and of 3x3 kernels, side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, features_NCHW: Tensor) -> Tensor:
        squeezed_NCHW = F.relu(self.squeeze1x1(features_NCHW))
        return F.relu(torch.cat([self.expand1x1(squeezed_NCHW), self.expand3x3(squeezed_NCHW)], dim=1))


class SqueezeNet(nn.Module):
    """The convolutional part, as deep as the deepest tap; an `Extractor` (tasks/encoders/taps.py).

    Taps are `conv1` and `fire2` to `fire9`, all after their ReLU and before any pool.
    """

    mean: Tensor

    def __init__(self, taps: Sequence[str] = tuple(FIRES)) -> None:
        super().__init__()
        names = ["conv1", *FIRES]
        check_taps(taps, names, "SqueezeNet 1.1")
        self.taps = tuple(taps)
        self.names = names[: 1 + max(names.index(tap) for tap in taps)]
        self.conv1 = nn.Conv2d(3, FIRST, 3, stride=2)
        channels = FIRST
        for name in self.names[1:]:
            squeezed, expanded = FIRES[name]
            self.add_module(name, Fire(channels, squeezed, expanded))
            channels = 2 * expanded
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN).reshape(3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """The features of each tap, NCHW, of RGB in [0, 1] with sides of at least SMALLEST_SIDE."""
        last_NCHW = images_NCHW.flip(1) * 255 - self.mean
        found = {}
        for name in self.names:
            layer = self.get_submodule(name)
            last_NCHW = F.relu(layer(last_NCHW)) if name == "conv1" else layer(last_NCHW)
            if name in self.taps:
                found[name] = last_NCHW
            if name in POOLED:
                last_NCHW = F.max_pool2d(last_NCHW, 3, stride=2)
        return found

    @classmethod
    def open(cls, tensors: Mapping[str, Tensor], taps: Sequence[str] = tuple(FIRES)) -> SqueezeNet:
        """The network of a state dict, frozen; layers past the deepest tap are not read.

        RequestError where the tensors are another network's, or a tap is not this network's.
        """
        network = cls(taps)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        read = {name: tensors[name].float() for name in shapes if name in tensors}
        match_layout(read, shapes, "SqueezeNet 1.1 (rcmalli/keras-squeezenet)")
        network.load_state_dict(read)
        return freeze(network)
