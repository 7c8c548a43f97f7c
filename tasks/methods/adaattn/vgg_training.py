"""The published AdaAttN as it is trained: nothing folded, the encoder frozen, tensors named as in the authors' files.

N images, C channels, H and W pixels, multiples of 16.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.first_weights import keep_scale
from tasks.encoders.vgg import NormalisedVgg, freeze, open_published
from tasks.methods.adaattn.attention import Attending, TokenAttention
from tasks.methods.adaattn.vgg import (
    CHANNELS,
    DECODER_CHANNELS,
    DOUBLED_BEFORE,
    JOINING,
    LAST,
    PROJECTIONS,
    VggAdaAttN,
    attention_layout,
    decoder_layout,
    transformer_layout,
)

EPSILON = 1e-6  # below the root of the attended variance: without it a flat patch of style has no gradient but NaN
SPREAD = 0.02  # deviation of the first weights of attention: init_gain of the authors' networks.py


class TrainableVggAdaAttN(VggAdaAttN):
    """One frozen VGG for contents and styles; the attentions, the merging convolution and the decoder are trained."""

    how = Attending(EPSILON)

    def __init__(self) -> None:
        """With random weights; `load_encoder` gives the encoder those that it is meant to have."""
        layouts = {"attention": attention_layout(2), "transformer": transformer_layout(), "decoder": decoder_layout()}
        super().__init__(NormalisedVgg(), {name: draw_weights(layout) for name, layout in layouts.items()})
        self.decoder = PlainSkipDecoder()
        freeze(self.encoder)

    def load_encoder(self, tensors: Mapping[str, Tensor]) -> None:
        """The weights of `vgg_normalised.pth`. Raises RequestError where they are others."""
        self.encoder = open_published(tensors, len(CHANNELS))

    def trained_files(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of `attention`, `transformer` and `decoder` in the layouts of the authors' files."""
        merge = {f"merge_conv.{kind}": tensor for kind, tensor in self.merge.state_dict().items()}
        fourth, fifth = (
            name_published(self.attention_at(level), prefix)
            for level, prefix in ((3, "attn_adain_4_1."), (4, "attn_adain_5_1."))
        )
        return {
            "attention": name_published(self.attention_at(2), ""),
            "transformer": fourth | fifth | merge,
            "decoder": dict(self.decoder.state_dict()),
        }


class PlainSkipDecoder(nn.Module):
    """The convolutions that `SkipDecoder` folds, to be trained; names as in `latest_net_decoder.pth`."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder_layer_1, self.decoder_layer_2 = nn.ModuleDict(), nn.ModuleDict()
        for name, (narrow, wide) in DECODER_CHANNELS.items():
            layer = nn.Conv2d(narrow, wide, 3, padding=1, padding_mode="reflect")
            keep_scale(layer)
            block, index = name.split(".")
            self.get_submodule(block).add_module(index, layer)

    def forward(self, merged_NChw: Tensor, third_NCHW: Tensor) -> Tensor:
        """Features at 1/8 and 1/4 of the image to images NCHW around [0, 1], not clamped."""
        images_NCHW = merged_NChw
        for name in DECODER_CHANNELS:
            if name == JOINING or name in DOUBLED_BEFORE:
                images_NCHW = F.interpolate(images_NCHW, scale_factor=2.0, mode="nearest")
            if name == JOINING:
                images_NCHW = torch.cat([images_NCHW, third_NCHW.to(images_NCHW.dtype)], dim=1)
            images_NCHW = self.get_submodule(name)(images_NCHW)
            if name != LAST:
                images_NCHW = F.relu(images_NCHW)
        return images_NCHW


def name_published(attention: TokenAttention, prefix: str) -> dict[str, Tensor]:
    """Its tensors under the authors' names."""
    theirs = {ours: name for name, ours in PROJECTIONS.items()}
    split = {tuple(name.split(".")): tensor for name, tensor in attention.state_dict().items()}
    return {f"{prefix}{theirs[ours]}.{kind}": tensor for (ours, kind), tensor in split.items()}


def draw_weights(layout: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """Small random weights and no bias."""
    return {
        name: torch.zeros(shape) if name.endswith("bias") else torch.randn(shape) * SPREAD
        for name, shape in layout.items()
    }
