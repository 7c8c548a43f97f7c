"""The StyleKernel network over any encoder and decoder: alignment, kernels, convolution, statistics.

N images, C channels, H and W of a feature map, Q = H x W queries, K tokens, D channels of a key; features are NCHW,
one map for each depth of the encoder, the finest first.
Xu, Long and Nie, CVPR 2023 (arXiv 2304.00414); what its text leaves open is in architecture.py and NOTES.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tasks.encoders.attention import MEMORY, shallow_keys
from tasks.encoders.statistics import Statistics, channel_statistics, normalise_channels
from tasks.methods.style_kernel.alignment import StyleAlignment
from tasks.methods.style_kernel.architecture import Architecture
from tasks.methods.style_kernel.kernels import KernelGenerator, Kernels, apply_kernels


@dataclass(frozen=True)
class Switches:
    """Parts that an ablation turns off; `taps` keeps the central ones of every kernel, None all."""

    gated: bool = True
    shuffled: bool = True
    taps: int | None = None


@dataclass(frozen=True)
class ContentFeatures:
    """What a content is to the network; the lists go by decoded depth."""

    queries: Tensor  # NDHW, at the deepest level
    gate_levels: Tensor  # N2HW, alpha and beta of the gate's thresholds
    normalised: list[Tensor]
    statistics: Statistics  # that the features had before, NC11


@dataclass(frozen=True)
class StyleFeatures:
    """What a style is to the network: tokens of its deepest features, and its statistics at the decoded depths."""

    keys: Tensor  # NKD
    values: Tensor  # NKC
    statistics: Statistics  # NC11


class StyleKernelNetwork(nn.Module):
    """State dict: `content_encoder.`, `style_encoder.` where styles have their own, `decoder.`, `alignment.`, `heads.`

    With kernels that are the identity, as at first, it is AdaIN: convolved are a content's normalised features, which
    then get the deviations and means of the style.
    """

    decoded: ClassVar[tuple[int, ...]]  # depths of the encoder whose transferred features the decoder takes
    convolved: ClassVar[tuple[int, ...]]  # those among them that go through kernels; others get statistics alone

    def __init__(
        self,
        encoders: tuple[nn.Module, nn.Module | None],
        decoder: nn.Module,
        channels: Sequence[int],
        architecture: Architecture,
    ) -> None:
        """`encoders` of contents and of styles, None where one serves both; `channels` at each depth of them."""
        super().__init__()
        self.content_encoder, self.style_encoder = encoders
        self.decoder = decoder
        self.alignment = StyleAlignment(sum(channels), channels[-1], architecture.key_depth)
        self.heads = nn.ModuleList(
            KernelGenerator(
                channels[-1],
                channels[depth],
                groups=channels[depth] // architecture.group,
                taps=architecture.taps,
                layers=architecture.layers,
                hidden=architecture.hidden,
            )
            for depth in self.convolved
        )
        self.restore_statistics = architecture.restore_statistics

    def forward(self, contents_NCHW: Tensor, styles_NCHW: Tensor, switches: Switches = Switches()) -> Tensor:
        """Row n of the contents in the style of row n of the styles (their sizes may differ); not clamped."""
        content, style = self.encode(contents_NCHW), self.represent(styles_NCHW)
        kernels = self.make_kernels(self.align(content, style, switches.gated))
        return self.decode(self.stylize(content, kernels, style.statistics, switches))

    def reconstruct(self, images_NCHW: Tensor) -> Tensor:
        """Images encoded and decoded with no style; not clamped."""
        features = self.content_encoder(images_NCHW)
        return self.decode([features[depth] for depth in self.decoded])

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Features at the decoded depths to images, not clamped."""
        images_NCHW: Tensor = self.decoder(features)
        return images_NCHW

    def encode(self, contents_NCHW: Tensor) -> ContentFeatures:
        """What depends on the contents alone."""
        features = self.content_encoder(contents_NCHW)
        decoded = [features[depth] for depth in self.decoded]
        queries_NDHW, gate_levels_N2HW = self.alignment.look(shallow_keys(features, len(features) - 1))
        normalised = [normalise_channels(maps_NCHW) for maps_NCHW in decoded]
        return ContentFeatures(queries_NDHW, gate_levels_N2HW, normalised, measure(decoded))

    def represent(self, styles_NCHW: Tensor) -> StyleFeatures:
        """Both encoders see the style: what is compared comes from the content's own."""
        compared = self.content_encoder(styles_NCHW)
        features = self.style_encoder(styles_NCHW) if self.style_encoder else compared
        tokens = self.alignment.tokens(shallow_keys(compared, len(compared) - 1), features[-1])
        return StyleFeatures(*tokens, measure([features[depth] for depth in self.decoded]))

    def align(self, content: ContentFeatures, style: StyleFeatures, gated: bool, memory: int = MEMORY) -> Tensor:
        """The style's deepest features at the positions of the content where they belong, NCHW."""
        gate_levels = content.gate_levels if gated else None
        return self.alignment(content.queries, gate_levels, style.keys, style.values, memory)

    def make_kernels(self, aligned_NCHW: Tensor) -> list[list[Kernels]]:
        """The layers of each convolved depth, at the positions of the deepest level."""
        return [head(aligned_NCHW) for head in self.heads]

    def stylize(
        self,
        content: ContentFeatures,
        kernels: Sequence[Sequence[Kernels]],
        statistics: Statistics,
        switches: Switches,
    ) -> list[Tensor]:
        """Normalised features, convolved, with the style's deviations and means: what the decoder takes."""
        layers = dict(zip(self.convolved, kernels, strict=True))
        features = []
        for depth, maps_NCHW, moments in zip(self.decoded, content.normalised, statistics, strict=True):
            convolved_NCHW = convolve(maps_NCHW, layers[depth], switches) if depth in layers else maps_NCHW
            features.append(restore(convolved_NCHW, *moments) if self.restore_statistics else convolved_NCHW)
        return features


def convolve(features_NCHW: Tensor, layers: Sequence[Kernels], switches: Switches) -> Tensor:
    """Features through the layers, whose kernels may be those of a coarser map."""
    fitting = [layer.resize(features_NCHW.shape[2:]).keep_taps(switches.taps) for layer in layers]
    return apply_kernels(features_NCHW, fitting, switches.shuffled)


def measure(features: Sequence[Tensor]) -> Statistics:
    """Mean and deviation of each channel of each map, NC11."""
    moments = [channel_statistics(maps_NCHW) for maps_NCHW in features]
    return [(mean_NC[:, :, None, None], deviation_NC[:, :, None, None]) for mean_NC, deviation_NC in moments]


def restore(normalised_NCHW: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Features of these means and deviations, NC11 or NCHW."""
    return normalised_NCHW * deviation + mean
