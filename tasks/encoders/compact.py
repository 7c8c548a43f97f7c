"""The compact encoder and decoder of ours that methods share; their transfer between the two is a method's own.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
Each pair runs `SmallDecoder`, so its full-resolution work is kept to 16 channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.first_weights import keep_scale
from tasks.weights.loading import layout_of, match_layout

STRIDE = 8
SLOPE = 0.1  # of leaky ReLUs for negative values: none of them dies
WIDTHS = (16, 32, 64, 96)  # channels at 1, 1/2, 1/4 and 1/8 of the image: 0.2 M parameters an encoder


def convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size; reflection, so that borders look like the inside."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


class Residual(nn.Module):
    """Two convolutions around which the features pass unchanged."""

    def __init__(self, channels: int, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, features_NCHW: Tensor) -> Tensor:
        return features_NCHW + self.second(F.leaky_relu(self.first(features_NCHW), self.slope))


class SmallEncoder(nn.Module):
    """Features at 1/2, 1/4 and 1/8; each halving averages 2x2 pixels, which does not alias into a grid."""

    def __init__(self, widths: Sequence[int] = WIDTHS, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        full, half, quarter, eighth = widths
        self.ones = convolution(3, full)
        self.halves = convolution(full, half)
        self.quarters = nn.ModuleList([convolution(half, quarter), convolution(quarter, quarter)])
        self.eighths = nn.ModuleList([convolution(quarter, eighth), convolution(eighth, eighth)])

    def activate(self, features_NCHW: Tensor) -> Tensor:
        return F.leaky_relu(features_NCHW, self.slope)

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        """Images in [0, 1], sides multiples of 8 and at least 16; three feature maps, the finest first."""
        full_NCHW = self.activate(self.ones(images_NCHW * 2 - 1))
        half_NCHW = self.halves(F.avg_pool2d(full_NCHW, 2))
        quarter_NCHW = self.quarters[1](self.activate(self.quarters[0](F.avg_pool2d(self.activate(half_NCHW), 2))))
        eighth_NCHW = self.eighths[1](self.activate(self.eighths[0](F.avg_pool2d(self.activate(quarter_NCHW), 2))))
        return [half_NCHW, quarter_NCHW, eighth_NCHW]


class SmallDecoder(nn.Module):
    """Transferred features to a picture; channels are reduced before each bilinear doubling: cheap."""

    def __init__(self, widths: Sequence[int] = WIDTHS, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        full, half, quarter, eighth = widths
        self.eighths = Residual(eighth, slope)
        self.to_quarter = convolution(eighth, quarter)
        self.quarters = Residual(quarter, slope)
        self.to_half = convolution(quarter, half)
        self.halves = Residual(half, slope)
        self.to_full = convolution(half, full)
        self.ones = convolution(full, full)
        self.to_image = convolution(full, 3)

    def activate(self, features_NCHW: Tensor) -> Tensor:
        return F.leaky_relu(features_NCHW, self.slope)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Three transferred feature maps, the finest first, to images NCHW around [0, 1], not clamped."""
        half_NCHW, quarter_NCHW, eighth_NCHW = features
        deep_NCHW = self.activate(self.eighths(eighth_NCHW))
        deep_NCHW = self.activate(self.quarters(double(self.to_quarter(deep_NCHW)) + quarter_NCHW))
        deep_NCHW = self.activate(self.halves(double(self.to_half(deep_NCHW)) + half_NCHW))
        deep_NCHW = self.activate(double(self.to_full(deep_NCHW)))
        return self.to_image(self.activate(self.ones(deep_NCHW))) * 0.5 + 0.5


def build_trunk(widths: Sequence[int] = WIDTHS) -> tuple[SmallEncoder, SmallEncoder, SmallDecoder]:
    """An encoder of contents, one of styles, and a decoder, none of whose units can die, with their first weights.

    They keep the scale of features (He et al., ICCV 2015), and the decoder starts with those at 1/2 alone: deeper ones
    join as they help. With torch's own first weights and plain ReLUs, as in `adain-small` of 2026-11-21, the deeper
    features began as noise, and shrank until their units died.
    """
    encoders = SmallEncoder(widths, SLOPE), SmallEncoder(widths, SLOPE)
    decoder = SmallDecoder(widths, SLOPE)
    keep_scale(nn.ModuleList([*encoders, decoder]), SLOPE)
    nn.init.zeros_(decoder.to_half.weight)
    return *encoders, decoder


def read_trunk(tensors: Mapping[str, Tensor]) -> tuple[SmallEncoder, SmallDecoder]:
    """The encoder of contents and the decoder in the state dict of a network of ours, frozen.

    A network that has nothing beside the trunk is adain's, whose ReLUs are plain. Raises RequestError where the
    tensors are another network's.
    """
    parts = ("content_encoder.", "style_encoder.", "decoder.")
    widths = read_widths(tensors) if f"{parts[0]}eighths.0.weight" in tensors else WIDTHS
    slope = 0.0 if all(name.startswith(parts) for name in tensors) else SLOPE
    trunk = nn.ModuleDict({"content_encoder": SmallEncoder(widths, slope), "decoder": SmallDecoder(widths, slope)})
    expected = layout_of(trunk.state_dict())
    match_layout(tensors, expected, "a compact network of ours", ignored=tensors.keys())
    trunk.load_state_dict({name: tensors[name].float() for name in expected})
    trunk.eval().requires_grad_(False)
    return trunk["content_encoder"], trunk["decoder"]  # type: ignore[return-value]


def double(features_NCHW: Tensor) -> Tensor:
    """Twice the size, bilinear: no checkerboard (Odena et al., Distill 2016)."""
    return F.interpolate(features_NCHW, scale_factor=2, mode="bilinear", align_corners=False)


def read_widths(tensors: Mapping[str, Tensor], encoder: str = "content_encoder.") -> list[int]:
    """The widths of the encoder in a state dict."""
    names = ("ones.weight", "halves.weight", "quarters.0.weight", "eighths.0.weight")
    return [tensors[encoder + name].shape[0] for name in names]
