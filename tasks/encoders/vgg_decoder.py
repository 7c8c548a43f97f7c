"""The decoder of the published AdaIN: relu4_1 of the normalised VGG-19 back to a picture.

N images, C channels, H and W pixels; h and w are those of relu4_1, an eighth of the picture's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Where a convolution sits in `decoder.pth`, with its channels in and out (net.py of naoto0804/pytorch-AdaIN).
CHANNELS = {
    1: (512, 256), 5: (256, 256), 8: (256, 256), 11: (256, 256), 14: (256, 128),
    18: (128, 128), 21: (128, 64), 25: (64, 64), 28: (64, 3),
}  # fmt: skip
DOUBLED_BEFORE = (5, 18, 25)  # these read features that were just doubled in size, nearest neighbour
LAST = 28  # the only one that no ReLU follows


def decoder_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of `decoder.pth`."""
    weights = {f"{index}.weight": [wide, narrow, 3, 3] for index, (narrow, wide) in CHANNELS.items()}
    return weights | {f"{index}.bias": [wide] for index, (_, wide) in CHANNELS.items()}


class DoublingConvolution(nn.Module):
    """A 3x3 convolution of features doubled in size (nearest neighbour, reflected borders), at the smaller size.

    Of any three rows of a doubled picture two are the same, so that two rows of weights do, one the sum of two:
    four 2x2 convolutions, one for each parity of row and column, take 16 products where there were 36. To reflect
    a doubled picture is to repeat the border of the small one. Exact up to rounding; 18 % of the decoder's time.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight_OI33: Tensor, bias_O: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", fold_doubling(weight_OI33))
        self.register_buffer("bias", bias_O.repeat(4))

    def forward(self, features_NChw: Tensor) -> Tensor:
        """Features N, C, h, w to N, O, 2h, 2w."""
        bordered_NChw = F.pad(features_NChw, (1, 1, 1, 1), mode="replicate")
        products = F.conv2d(bordered_NChw, self.weight, self.bias)
        parities = products.unflatten(1, (2, 2, -1))
        count, _, height, width = features_NChw.shape
        size = (count, parities.shape[3], 2 * height, 2 * width)
        channels_last = products.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        doubled_NOHW = torch.empty(size, dtype=parities.dtype, device=parities.device, memory_format=layout)
        for row in (0, 1):
            for column in (0, 1):
                part = parities[:, row, column, :, row : row + height, column : column + width]
                doubled_NOHW[:, :, row::2, column::2] = part
        return doubled_NOHW


def fold_doubling(weight_OI33: Tensor) -> Tensor:
    """Kernels for each parity of row and column of the doubled picture: (2 x 2 x O), I, 2, 2."""
    even, odd = [[1.0, 0, 0], [0, 1, 1]], [[1.0, 1, 0], [0, 0, 1]]
    taps_p23 = torch.tensor([even, odd])
    return torch.einsum("ayr,bxs,oirs->aboiyx", taps_p23, taps_p23, weight_OI33).flatten(0, 2)


class VggDecoder(nn.Module):
    """Nine 3x3 convolutions over reflected borders, nearest-neighbour doubling before three of them."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """From a state dict in the layout of `decoder.pth`."""
        super().__init__()
        self.layers = nn.ModuleDict({str(index): _layer(index, tensors) for index in CHANNELS})
        self.eval().requires_grad_(False)

    def forward(self, features_NChw: Tensor) -> Tensor:
        """Features of relu4_1, sides of at least 2, to images NCHW around [0, 1], not clamped."""
        images_NCHW = features_NChw
        for index in CHANNELS:
            if index not in DOUBLED_BEFORE:
                images_NCHW = F.pad(images_NCHW, (1, 1, 1, 1), mode="reflect")
            images_NCHW = self.layers[str(index)](images_NCHW)
            if index != LAST:
                images_NCHW = F.relu(images_NCHW, inplace=True)
        return images_NCHW


class PlainDecoder(nn.Module):
    """AdaIN's decoder as the convolutions that `VggDecoder` folds, to be trained; names as in `decoder.pth`."""

    def __init__(self) -> None:
        super().__init__()
        for index, (narrow, wide) in CHANNELS.items():
            self.add_module(str(index), nn.Conv2d(narrow, wide, 3, padding=1, padding_mode="reflect"))

    def forward(self, features_NChw: Tensor) -> Tensor:
        """Features of relu4_1, sides of at least 2, to images NCHW around [0, 1], not clamped."""
        images_NCHW = features_NChw
        for index in CHANNELS:
            if index in DOUBLED_BEFORE:
                images_NCHW = F.interpolate(images_NCHW, scale_factor=2.0, mode="nearest")
            images_NCHW = self.get_submodule(str(index))(images_NCHW)
            if index != LAST:
                images_NCHW = F.relu(images_NCHW)
        return images_NCHW


def _layer(index: int, tensors: Mapping[str, Tensor]) -> nn.Module:
    weight_OI33, bias_O = tensors[f"{index}.weight"], tensors[f"{index}.bias"]
    if index in DOUBLED_BEFORE:
        return DoublingConvolution(weight_OI33, bias_O)
    layer = nn.Conv2d(*CHANNELS[index], 3)
    layer.load_state_dict({"weight": weight_OI33, "bias": bias_O})
    return layer
