"""The encoder and decoder that AdaIN runs on: the compact ones of this project, or the published VGG ones.

N images, C channels, H and W pixels, multiples of 8; features are NCHW, one map a depth, the finest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from tasks.encoders.placement import open_shared
from tasks.encoders.vgg import NormalisedVgg, open_published
from tasks.encoders.vgg_decoder import VggDecoder, decoder_layout
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.adain.small import SmallStylizer, build_small
from tasks.weights.loading import layout_of, match_layout

VGG_LEVELS = 4  # AdaIN transfers statistics at relu4_1


class Backbone(Protocol):
    """What AdaIN needs of its networks. `decode` takes transferred features and does not clamp."""

    def content_features(self, images_NCHW: Tensor) -> list[Tensor]: ...
    def style_features(self, images_NCHW: Tensor) -> list[Tensor]: ...
    def decode(self, features: Sequence[Tensor]) -> Tensor: ...


class SmallBackbone(nn.Module):
    """Two compact encoders and a decoder; statistics at 1/2, 1/4 and 1/8 of the picture."""

    def __init__(self, network: SmallStylizer) -> None:
        super().__init__()
        self.network = network

    def content_features(self, images_NCHW: Tensor) -> list[Tensor]:
        return list(self.network.content_encoder(images_NCHW))

    def style_features(self, images_NCHW: Tensor) -> list[Tensor]:
        return list(self.network.style_encoder(images_NCHW))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        images_NCHW: Tensor = self.network.decoder(features)
        return images_NCHW


class VggBackbone(nn.Module):
    """The normalised VGG-19 up to relu4_1, for contents and styles alike, and the authors' decoder."""

    def __init__(self, encoder: NormalisedVgg, decoder: VggDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def content_features(self, images_NCHW: Tensor) -> list[Tensor]:
        # Not `encoder(images)`, which would keep the large features of every level until the end.
        return [self.encoder.modules_by_index(images_NCHW)]

    def style_features(self, images_NCHW: Tensor) -> list[Tensor]:
        return self.content_features(images_NCHW)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        images_NCHW: Tensor = self.decoder(features[0])
        return images_NCHW


def open_backbone(settings: AdainSettings, device: str) -> Backbone:
    """The networks that the settings name, on a device. Raises RequestError where weights are not theirs."""
    return open_shared(f"adain {settings.encoder}", settings.weight_references(), device, build_backbone)


def build_backbone(tensors: Mapping[str, dict[str, Tensor]]) -> SmallBackbone | VggBackbone:
    """From `weights`, the compact networks; from `encoder` and `decoder`, the published ones."""
    if "weights" in tensors:
        match_layout(tensors["weights"], small_layout(), "adain's small network")
        return SmallBackbone(build_small(tensors["weights"]))
    vgg = open_published(tensors["encoder"], VGG_LEVELS)
    match_layout(tensors["decoder"], decoder_layout(), "AdaIN's decoder (decoder.pth)")
    return VggBackbone(vgg, VggDecoder(tensors["decoder"]))


def small_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of the compact network."""
    with torch.device("meta"):
        return layout_of(SmallStylizer().state_dict())
