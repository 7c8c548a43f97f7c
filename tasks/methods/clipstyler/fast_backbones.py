"""The encoder of the fast version and the decoders that are tuned: our compact ones, or those of the published AdaIN.

N images, C channels, H and W pixels; h and w are multiples of 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Protocol

import torch
from torch import Tensor, nn

from tasks.encoders.compact import SmallDecoder, SmallEncoder, read_trunk
from tasks.encoders.placement import open_shared, place
from tasks.encoders.vgg import NormalisedVgg, open_published
from tasks.encoders.vgg_decoder import PlainDecoder, VggDecoder, decoder_layout
from tasks.losses.perceptual import feature_loss
from tasks.losses.taps import normalised_losses
from tasks.methods.clipstyler.settings import FastSettings
from tasks.weights.loading import layout_of, load_tensors, match_layout
from tasks.weights.references import resolve

VGG_LEVELS = 4  # relu4_1, as AdaIN


class Backbone(Protocol):
    """An encoder that stays as it is, and decoders, each a state dict of the same names and shapes."""

    def encode(self, images_NChw: Tensor) -> list[Tensor]: ...

    def first_decoder(self) -> nn.Module:
        """A new decoder, to be trained, with the weights that all tuning starts from."""

    def open_decoder(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """A frozen decoder to render with."""

    def decode(self, decoder: nn.Module, features: Sequence[Tensor]) -> Tensor:
        """Images NChw around [0, 1], not clamped."""

    def content_loss(self, outputs: Sequence[Tensor], contents: Sequence[Tensor]) -> Tensor:
        """How far the features of outputs are from those of their contents, one number."""


class SmallBackbone(nn.Module):
    """The compact encoder of contents and its decoder."""

    def __init__(self, encoder: SmallEncoder, decoder: SmallDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, images_NChw: Tensor) -> list[Tensor]:
        return list(self.encoder(images_NChw))

    def first_decoder(self) -> nn.Module:
        return deepcopy(self.decoder).requires_grad_(True)

    def open_decoder(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        decoder = deepcopy(self.decoder)
        decoder.load_state_dict(tensors)
        return decoder

    def decode(self, decoder: nn.Module, features: Sequence[Tensor]) -> Tensor:
        images_NChw: Tensor = decoder(features)
        return images_NChw

    def content_loss(self, outputs: Sequence[Tensor], contents: Sequence[Tensor]) -> Tensor:
        """At 1/4 and 1/8, normalised: colours are free."""
        pairs = list(zip(outputs, contents, strict=True))[1:]
        return torch.stack([normalised_losses(*pair).mean() for pair in pairs]).mean()


class VggBackbone(nn.Module):
    """The normalised VGG-19 up to relu4_1, and AdaIN's decoder."""

    def __init__(self, encoder: NormalisedVgg, decoder: PlainDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, images_NChw: Tensor) -> list[Tensor]:
        return [self.encoder.modules_by_index(images_NChw)]

    def first_decoder(self) -> nn.Module:
        return deepcopy(self.decoder).requires_grad_(True)

    def open_decoder(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        device = next(self.decoder.parameters()).device
        return place(VggDecoder(tensors), device)

    def decode(self, decoder: nn.Module, features: Sequence[Tensor]) -> Tensor:
        images_NChw: Tensor = decoder(features[0])
        return images_NChw

    def content_loss(self, outputs: Sequence[Tensor], contents: Sequence[Tensor]) -> Tensor:
        """At relu4_1, as it is (fast_stylenet.py)."""
        return feature_loss(outputs[0], contents[0])


def open_backbone(settings: FastSettings, device: torch.device) -> SmallBackbone | VggBackbone:
    """The networks that the settings name, on a device. Raises RequestError where weights are not theirs."""
    references = {name: settings.weight_references()[name] for name in backbone_files(settings)}
    return open_shared(f"clipstyler fast {settings.encoder}", references, str(device), build_backbone)


def load_decoders(settings: FastSettings) -> dict[str, dict[str, Tensor]]:
    """Tensors of the decoders that were tuned before, by text. Raises RequestError where one is another network's."""
    if settings.encoder == "vgg":
        layout = decoder_layout()
    else:
        trunk = load_tensors(resolve(settings.weight_references()["weights"]))
        layout = layout_of(read_trunk(trunk)[1].state_dict())
    decoders = {}
    for text, place_of in settings.text_weights().items():
        decoders[text] = load_tensors(resolve(place_of))
        what = f"a decoder that encoder: {settings.encoder} tunes, as {place_of} for {text!r} has to be"
        match_layout(decoders[text], layout, what)
    return decoders


def backbone_files(settings: FastSettings) -> tuple[str, ...]:
    """Names, among its weights, of the files that the backbone itself is made of."""
    return ("weights",) if settings.encoder == "small" else ("encoder", "decoder")


def build_backbone(tensors: Mapping[str, dict[str, Tensor]]) -> SmallBackbone | VggBackbone:
    """From `weights`, a compact network's trunk; from `encoder` and `decoder`, the published files."""
    if "weights" in tensors:
        return SmallBackbone(*read_trunk(tensors["weights"]))
    match_layout(tensors["decoder"], decoder_layout(), "AdaIN's decoder (decoder.pth)")
    decoder = PlainDecoder()
    decoder.load_state_dict(tensors["decoder"])
    return VggBackbone(open_published(tensors["encoder"], VGG_LEVELS), decoder)
