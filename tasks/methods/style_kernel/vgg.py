"""The StyleKernel network over VGG: kernels for relu4_1 of the normalised VGG-19, and a decoder of AdaIN's layout.

N images, C channels, H and W pixels; h and w are those of relu4_1, an eighth of the picture's.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414). Nobody has published weights: `atelier train style_kernel` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.vgg import NormalisedVgg, freeze, open_published
from tasks.encoders.vgg_decoder import PlainDecoder, VggDecoder
from tasks.methods.style_kernel.architecture import ARCHITECTURES, Architecture
from tasks.methods.style_kernel.network import StyleKernelNetwork

VGG = ARCHITECTURES["vgg"]
VGG_CHANNELS = (64, 128, 256, 512)  # relu1_1 to relu4_1
ENCODER = "content_encoder.vgg.modules_by_index."  # its tensors' names within the network's


class VggStyleKernel(StyleKernelNetwork):
    """One frozen VGG for contents and styles; the alignment, the heads and the decoder are trained."""

    decoded: ClassVar[tuple[int, ...]] = (3,)
    convolved: ClassVar[tuple[int, ...]] = (3,)

    def __init__(self, architecture: Architecture = VGG) -> None:
        """With random weights; `load_encoder` gives the encoder those that it is meant to have."""
        super().__init__((VggPyramid(), None), PlainDecoder(), VGG_CHANNELS, architecture)
        freeze(self.content_encoder)

    def load_encoder(self, tensors: Mapping[str, Tensor]) -> None:
        """The weights of `vgg_normalised.pth`, by the names in that file. Raises RequestError where they are others."""
        self.content_encoder.vgg = open_published(tensors, len(VGG_CHANNELS))

    def trained_tensors(self) -> dict[str, Tensor]:
        """The state dict without the encoder, which is a file of its own."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(ENCODER)}

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        images_NCHW: Tensor = self.decoder(features[0])
        return images_NCHW


class VggPyramid(nn.Module):
    """relu1_1 to relu4_1, the finer ones already at the size of relu4_1, at which alone they are compared.

    Nearest neighbours, as `shallow_keys` takes them: what it makes of these is the same, and the large maps go as
    soon as the next level is there (1.6 GB of relu1_1 and relu2_1 at 2048x2048).
    """

    def __init__(self) -> None:
        super().__init__()
        self.vgg = NormalisedVgg(len(VGG_CHANNELS))

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        size = [-(-side // 8) for side in images_NCHW.shape[2:]]  # its pools round up
        return [F.interpolate(level_NCHW, size, mode="nearest") for level_NCHW in self.vgg.stream(images_NCHW)]


def build_vgg(
    encoder: Mapping[str, Tensor], trained: Mapping[str, Tensor], architecture: Architecture = VGG
) -> VggStyleKernel:
    """For inference: frozen, its decoder folded (`VggDecoder`). `trained` is as `trained_tensors` gives it."""
    network = VggStyleKernel(architecture)
    network.load_encoder(encoder)
    network.load_state_dict({**network.state_dict(), **trained})
    network.decoder = VggDecoder(network.decoder.state_dict())
    return freeze(network)
