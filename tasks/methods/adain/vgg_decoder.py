"""The decoder of the published AdaIN: relu4_1 of the normalised VGG-19 back to a picture.

N images, C channels, H and W pixels; h and w are those of relu4_1, an eighth of the picture's.
"""

from __future__ import annotations

from collections.abc import Mapping

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


class VggDecoder(nn.Module):
    """Nine 3x3 convolutions over reflected borders, nearest-neighbour doubling before three of them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({str(index): nn.Conv2d(*pair, 3) for index, pair in CHANNELS.items()})

    def forward(self, features_NChw: Tensor) -> Tensor:
        """Features of relu4_1, sides of at least 2, to images NCHW around [0, 1], not clamped."""
        images_NCHW = features_NChw
        for index in CHANNELS:
            if index in DOUBLED_BEFORE:
                images_NCHW = F.interpolate(images_NCHW, scale_factor=2, mode="nearest")
            images_NCHW = self.layers[str(index)](F.pad(images_NCHW, (1, 1, 1, 1), mode="reflect"))
            if index != LAST:
                images_NCHW = F.relu(images_NCHW, inplace=True)
        return images_NCHW

    @classmethod
    def open(cls, tensors: Mapping[str, Tensor]) -> VggDecoder:
        """The network of a state dict in the layout of `decoder.pth`, frozen."""
        network = cls()
        network.layers.load_state_dict(tensors)
        return network.eval().requires_grad_(False)
