"""What the compact and the published AdaAttN have in common: levels of features, and their transfer.

N contents (and as many style pictures in training, or one for all), R pictures of a style, C channels, H and W of a
feature map. A network's levels are those that its decoder reads, the finest first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.encoders.attention import shallow_keys
from tasks.encoders.statistics import channel_statistics
from tasks.methods.adaattn.attention import Attending, TokenAttention, Tokens
from tasks.methods.regions import shrink_weights

Features = Sequence[Tensor]


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of each channel of a style picture, both NC: a level that is not attended to."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class ContentLevel:
    """Normalised features of contents, the moments that they had, and queries where the level attends."""

    normalised: Tensor  # NCHW
    moments: Moments
    queries: Tensor | None  # NDHW

    def restore(self) -> Tensor:
        """The features as they were."""
        return denormalise(self.normalised, self.moments.mean[..., None, None], self.moments.deviation[..., None, None])


StyleLevel = Tokens | Moments


class AdaAttnNetwork(ABC, nn.Module):
    """Encoders, an attention at some of the levels, and a decoder."""

    levels: Sequence[int]
    how: Attending  # as it was trained

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        return self.decode(self.transfer(self.encode(contents_NCHW), [self.represent(styles_NCHW)], self.how))

    def encode(self, images_NCHW: Tensor) -> list[ContentLevel]:
        """What depends on the contents alone, a level."""
        features = self.content_features(images_NCHW)
        return [self._content_level(features, level) for level in self.levels]

    def represent(self, styles_NCHW: Tensor) -> list[StyleLevel]:
        """What depends on style pictures alone, a level: all their tokens, or their moments."""
        features, compared = self.style_features(styles_NCHW)
        return [self._style_level(features, compared, level) for level in self.levels]

    def transfer(
        self,
        content: Sequence[ContentLevel],
        pictures: Sequence[Sequence[StyleLevel]],
        how: Attending,
        weights_1Rhw: Tensor | None = None,
    ) -> list[Tensor]:
        """Contents in one style of R pictures, NCHW a level; weights are those of tasks/methods/local.py."""
        transferred = []
        for index, (level, own) in enumerate(zip(self.levels, content, strict=True)):
            styles = [picture[index] for picture in pictures]
            attention = self.attention_at(level)
            if attention is None:
                moments = [style for style in styles if isinstance(style, Moments)]
                transferred.append(denormalise(own.normalised, *mix_moments(moments, own.normalised, weights_1Rhw)))
            else:
                assert own.queries is not None  # `encode` gave it some
                height, width = own.normalised.shape[2:]
                weights = None if weights_1Rhw is None else shrink_weights(weights_1Rhw, (height, width))
                tokens = [style for style in styles if isinstance(style, Tokens)]
                transferred.append(attention(own.normalised, own.queries, tokens, how, weights))
        return transferred

    @abstractmethod
    def attention_at(self, level: int) -> TokenAttention | None:
        """The attention of a level; None where moments are enough."""

    @abstractmethod
    def content_features(self, images_NCHW: Tensor) -> Features:
        """Features of every level, the finest first, those not decoded too."""

    @abstractmethod
    def style_features(self, images_NCHW: Tensor) -> tuple[Features, Features]:
        """Features of every level that give values, and those that are compared with a content's."""

    @abstractmethod
    def unstyled(self, features: Features) -> Features:
        """Contents' own features, of the levels decoded, as what the decoder reads where there is no style."""

    @abstractmethod
    def decode(self, transferred: Features) -> Tensor:
        """Images NCHW around [0, 1], not clamped, of transferred features, the finest first."""

    def _content_level(self, features: Features, level: int) -> ContentLevel:
        mean_NC, deviation_NC = channel_statistics(features[level])
        normalised_NCHW = (features[level].float() - mean_NC[..., None, None]) / deviation_NC[..., None, None]
        attention = self.attention_at(level)
        queries_NDHW = attention.query(shallow_keys(features, level)) if attention else None
        return ContentLevel(normalised_NCHW, Moments(mean_NC, deviation_NC), queries_NDHW)

    def _style_level(self, features: Features, compared: Features, level: int) -> StyleLevel:
        attention = self.attention_at(level)
        if attention is None:
            return Moments(*channel_statistics(features[level]))
        return attention.tokens(shallow_keys(compared, level), features[level])


def denormalise(normalised_NCHW: Tensor, mean_NCHW: Tensor, deviation_NCHW: Tensor) -> Tensor:
    """Features with other means and deviations, N or 1, C, H and W or 1 and 1."""
    return torch.addcmul(mean_NCHW, normalised_NCHW, deviation_NCHW)


def mix_moments(pictures: Sequence[Moments], maps_NCHW: Tensor, weights_1Rhw: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weighted means of pictures' means and deviations at the positions of maps: NC11, or 1CHW where weights differ."""
    if weights_1Rhw is None or len(pictures) == 1:
        return pictures[0].mean[..., None, None], pictures[0].deviation[..., None, None]
    height, width = maps_NCHW.shape[2:]
    spread = weights_1Rhw.shape[2:] != (1, 1)
    weights_1RHW = shrink_weights(weights_1Rhw, (height, width)) if spread else weights_1Rhw
    means_RC = torch.cat([moments.mean for moments in pictures])
    deviations_RC = torch.cat([moments.deviation for moments in pictures])
    mix = "rc,xrhw->xchw"
    return torch.einsum(mix, means_RC, weights_1RHW), torch.einsum(mix, deviations_RC, weights_1RHW)
