"""MicroAST, a published network of about our size, to compare with: its mathematics in our own words, its own weights.

Wang, Zhao, Zuo and others, MicroAST: Towards Super-Fast Ultra-Resolution Arbitrary Style Transfer, AAAI 2023; facts
from EndyWon/MicroAST (MIT). N contents, C channels, H and W pixels; one style at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.statistics import channel_statistics, normalise_channels
from tasks.weights.loading import load_tensors

PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")
# Its encoder's convolutions before the first residual layer, by their number in `enc1`, and their strides.
ENCODER = {"enc1.0": 1, "enc1.2": 2, "enc1.4": 1, "enc1.6": 2, "enc1.8": 1}


@dataclass(frozen=True)
class MicroStyle:
    """What is known of a style before any content is: for each of two depths, C or 1C11."""

    statistics: list[tuple[Tensor, Tensor]]  # mean_1C and deviation_1C of the style's features
    gains: list[Tensor]
    offsets: list[Tensor]


class MicroAst:
    """Content and style encoder, modulator and decoder, behind the same verbs as our methods."""

    def __init__(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.weights = weights

    @classmethod
    def open(cls, folder: Path) -> MicroAst:
        """The network of the four files of a folder. RequestError where one is missing or not what it should be."""
        return cls({part: load_tensors(folder / f"{part}.safetensors") for part in PARTS})

    @torch.inference_mode()
    def represent(self, style_1CHW: Tensor) -> MicroStyle:
        """Statistics of the style's features, and the modulator's gains and offsets: means of a filtered map."""
        features = self.encode_with("style_encoder", style_1CHW)
        signals = {
            kind: [
                convolve(self.weights["modulator"], f"{kind}{depth}.0", maps).mean((2, 3), keepdim=True)
                for depth, maps in enumerate(features, start=1)
            ]
            for kind in ("weight", "bias")
        }
        return MicroStyle([channel_statistics(maps) for maps in features], signals["weight"], signals["bias"])

    @torch.inference_mode()
    def encode(self, images_NCHW: Tensor) -> list[Tensor]:
        """The content's features at its two depths, both at a quarter of the image, rounded up."""
        return self.encode_with("content_encoder", images_NCHW)

    @torch.inference_mode()
    def render(self, content: list[Tensor], style: MicroStyle, strength: float = 1.0) -> Tensor:
        """images_NCHW, unbounded, with sides rounded up to multiples of 4. The deeper content is what is decoded."""
        weights, last_NCHW = self.weights["decoder"], content[1]
        for name, depth in (("dec1", 1), ("dec2", 0)):
            mean_1C11, deviation_1C11 = (values_1C[:, :, None, None] for values_1C in style.statistics[depth])
            moved_NCHW = normalise_channels(last_NCHW) * deviation_1C11 + mean_1C11
            mixed_NCHW = last_NCHW.lerp(moved_NCHW, strength)
            last_NCHW = modulate(weights, name, mixed_NCHW, style.gains[depth], style.offsets[depth])
        for first, second in (("dec3.1", "dec3.3"), ("dec3.6", "dec3.8")):
            larger_NCHW = F.interpolate(last_NCHW, scale_factor=2, mode="bilinear", align_corners=False)
            last_NCHW = convolve(weights, second, convolve(weights, first, larger_NCHW).relu_()).relu_()
        return convolve(weights, "dec3.10", last_NCHW)

    def encode_with(self, part: str, images_NCHW: Tensor) -> list[Tensor]:
        weights, last_NCHW = self.weights[part], images_NCHW
        for name, stride in ENCODER.items():
            last_NCHW = convolve(weights, name, last_NCHW, stride).relu_()
        first_NCHW = refine(weights, "enc1.10", last_NCHW)
        return [first_NCHW, refine(weights, "enc2.0", first_NCHW)]


def convolve(weights: Mapping[str, Tensor], name: str, features_NCHW: Tensor, stride: int = 1) -> Tensor:
    """Reflected by half a kernel; as many groups as the kernel's shape leaves."""
    kernel, bias = (weights[f"{name}.conv_layer.{part}"] for part in ("weight", "bias"))
    border = kernel.shape[-1] // 2
    padded_NCHW = F.pad(features_NCHW, (border,) * 4, mode="reflect") if border else features_NCHW
    return F.conv2d(padded_NCHW, kernel, bias, stride, groups=features_NCHW.shape[1] // kernel.shape[1])


def refine(weights: Mapping[str, Tensor], name: str, features_NCHW: Tensor) -> Tensor:
    """A residual layer of two convolutions."""
    inner_NCHW = convolve(weights, f"{name}.conv1", features_NCHW).relu_()
    return features_NCHW + convolve(weights, f"{name}.conv2", inner_NCHW)


def modulate(
    weights: Mapping[str, Tensor], name: str, features_NCHW: Tensor, gain_1C11: Tensor, offset_1C11: Tensor
) -> Tensor:
    """A residual layer, each convolution scaled by the style's gain, its input added by the style's offset."""
    inner_NCHW = gain_1C11 * convolve(weights, f"{name}.conv1", features_NCHW) + offset_1C11 * features_NCHW
    inner_NCHW = inner_NCHW.relu_()
    return features_NCHW + gain_1C11 * convolve(weights, f"{name}.conv2", inner_NCHW) + offset_1C11 * inner_NCHW
