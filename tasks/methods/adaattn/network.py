"""What the compact and the published AdaAttN have in common: levels of features, and attention at each.

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
TOKEN_SEED = 6666  # the authors'


@dataclass(frozen=True)
class ContentLevel:
    """Normalised features of contents, the means and deviations that they had, and what they look for."""

    normalised: Tensor  # NCHW
    mean: Tensor  # NC
    deviation: Tensor  # NC
    queries: Tensor  # NDHW

    def restore(self) -> Tensor:
        """The features as they were."""
        return torch.addcmul(self.mean[..., None, None], self.normalised, self.deviation[..., None, None])


class AdaAttnNetwork(ABC, nn.Module):
    """Encoders, an attention at each level, and a decoder."""

    levels: Sequence[int]
    how: Attending  # as it was trained
    most_tokens: int = 64 * 64  # of a style's at each level while training, the authors' max_sample

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        style = [level.choose(self.most_tokens, TOKEN_SEED) for level in self.represent(styles_NCHW)]
        return self.decode(self.transfer(self.encode(contents_NCHW), [style], self.how))

    def reconstruct(self, images_NCHW: Tensor) -> Tensor:
        """Images encoded and decoded with no style; not clamped."""
        features = self.content_features(images_NCHW)
        return self.decode(self.unstyled([features[level] for level in self.levels]))

    def encode(self, images_NCHW: Tensor) -> list[ContentLevel]:
        """What depends on the contents alone, a level."""
        features = self.content_features(images_NCHW)
        return [self._content_level(features, level) for level in self.levels]

    def represent(self, styles_NCHW: Tensor) -> list[Tokens]:
        """What depends on style pictures alone, a level: all their tokens."""
        features, compared = self.style_features(styles_NCHW)
        return [
            self.attention_at(level).tokens(shallow_keys(compared, level), features[level]) for level in self.levels
        ]

    def transfer(
        self,
        content: Sequence[ContentLevel],
        pictures: Sequence[Sequence[Tokens]],
        how: Attending,
        weights_PRhw: Tensor | None = None,
    ) -> list[Tensor]:
        """Contents in one style of R pictures, NCHW a level; weights are those of tasks/methods/local.py."""
        transferred = []
        for index, (level, own) in enumerate(zip(self.levels, content, strict=True)):
            height, width = own.normalised.shape[2:]
            weights_PRHW = None if weights_PRhw is None else shrink_weights(weights_PRhw, (height, width))
            tokens = [picture[index] for picture in pictures]
            transferred.append(self.attention_at(level)(own.normalised, own.queries, tokens, how, weights_PRHW))
        return transferred

    @abstractmethod
    def attention_at(self, level: int) -> TokenAttention:
        """The attention of a level."""

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
        queries_NDHW = self.attention_at(level).query(shallow_keys(features, level))
        return ContentLevel(normalised_NCHW, mean_NC, deviation_NC, queries_NDHW)
