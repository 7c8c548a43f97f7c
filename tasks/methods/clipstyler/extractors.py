"""The network of the content loss: torchvision's VGG-19, as the authors', or the compact encoder that is there.

N images, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tasks.encoders.compact import SmallEncoder, read_trunk
from tasks.encoders.placement import open_shared
from tasks.encoders.taps import TorchvisionVgg
from tasks.losses.taps import CLIPSTYLER_CONTENT, TapLoss
from tasks.methods.clipstyler.settings import OptimizeSettings

# Normalised, so that colours are free: the compact features hold them, as VGG's deep ones hardly do. 0 is the content,
# 2 a picture that has nothing to do with it; VGG's loss of the authors' pictures is about 0.5 (golden/).
COMPACT_CONTENT = TapLoss("normalised", {"quarter": 0.5, "eighth": 0.5})
CONTENT_LOSSES = {"small": COMPACT_CONTENT, "vgg": CLIPSTYLER_CONTENT}


class CompactTaps(nn.Module):
    """The compact encoder as an `Extractor`: `half`, `quarter` and `eighth`."""

    def __init__(self, encoder: SmallEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        return dict(zip(("half", "quarter", "eighth"), self.encoder(images_NCHW), strict=True))


def open_extractor(settings: OptimizeSettings, device: torch.device) -> nn.Module:
    """The network of `content_loss` on a device. Raises RequestError where weights are not its."""
    return open_shared(f"clipstyler {settings.encoder}", settings.weight_references(), str(device), build_extractor)


def build_extractor(tensors: Mapping[str, dict[str, Tensor]]) -> nn.Module:
    """From `vgg19`, torchvision's; from `weights`, the encoder of contents of a compact network."""
    if "vgg19" in tensors:
        return TorchvisionVgg.open(tensors["vgg19"], list(CLIPSTYLER_CONTENT.weights))
    return CompactTaps(read_trunk(tensors["weights"])[0])
