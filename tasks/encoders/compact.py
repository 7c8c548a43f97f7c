"""The compact encoder and decoder of ours that methods share; their transfer between the two is a method's own.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
Each pair runs `SmallDecoder`, so its full-resolution work is kept to 16 channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8
WIDTHS = (16, 32, 64, 96)  # channels at 1, 1/2, 1/4 and 1/8 of the image: 0.2 M parameters an encoder


def convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size; reflection, so that borders look like the inside."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


class Residual(nn.Module):
    """Two convolutions around which the features pass unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, features_NCHW: Tensor) -> Tensor:
        return features_NCHW + self.second(F.relu(self.first(features_NCHW)))


class SmallEncoder(nn.Module):
    """Features at 1/2, 1/4 and 1/8; each halving averages 2x2 pixels, which does not alias into a grid."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        full, half, quarter, eighth = widths
        self.ones = convolution(3, full)
        self.halves = convolution(full, half)
        self.quarters = nn.ModuleList([convolution(half, quarter), convolution(quarter, quarter)])
        self.eighths = nn.ModuleList([convolution(quarter, eighth), convolution(eighth, eighth)])

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        """Images in [0, 1], sides multiples of 8 and at least 16; three feature maps, the finest first."""
        full_NCHW = F.relu(self.ones(images_NCHW * 2 - 1))
        half_NCHW = self.halves(F.avg_pool2d(full_NCHW, 2))
        quarter_NCHW = self.quarters[1](F.relu(self.quarters[0](F.avg_pool2d(F.relu(half_NCHW), 2))))
        eighth_NCHW = self.eighths[1](F.relu(self.eighths[0](F.avg_pool2d(F.relu(quarter_NCHW), 2))))
        return [half_NCHW, quarter_NCHW, eighth_NCHW]


class SmallDecoder(nn.Module):
    """Transferred features to a picture; channels are reduced before each bilinear doubling: cheap."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        full, half, quarter, eighth = widths
        self.eighths = Residual(eighth)
        self.to_quarter = convolution(eighth, quarter)
        self.quarters = Residual(quarter)
        self.to_half = convolution(quarter, half)
        self.halves = Residual(half)
        self.to_full = convolution(half, full)
        self.ones = convolution(full, full)
        self.to_image = convolution(full, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Three transferred feature maps, the finest first, to images NCHW around [0, 1], not clamped."""
        half_NCHW, quarter_NCHW, eighth_NCHW = features
        deep_NCHW = F.relu(self.eighths(eighth_NCHW))
        deep_NCHW = F.relu(self.quarters(double(self.to_quarter(deep_NCHW)) + quarter_NCHW))
        deep_NCHW = F.relu(self.halves(double(self.to_half(deep_NCHW)) + half_NCHW))
        deep_NCHW = F.relu(double(self.to_full(deep_NCHW)))
        return self.to_image(F.relu(self.ones(deep_NCHW))) * 0.5 + 0.5


def double(features_NCHW: Tensor) -> Tensor:
    """Twice the size, bilinear: no checkerboard (Odena et al., Distill 2016)."""
    return F.interpolate(features_NCHW, scale_factor=2, mode="bilinear", align_corners=False)


def read_widths(tensors: Mapping[str, Tensor], encoder: str = "content_encoder.") -> list[int]:
    """The widths of the encoder in a state dict."""
    names = ("ones.weight", "halves.weight", "quarters.0.weight", "eighths.0.weight")
    return [tensors[encoder + name].shape[0] for name in names]
