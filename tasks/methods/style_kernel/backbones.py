"""A StyleKernel network behind the verbs of tasks/methods/local.py, and the way from settings to it.

Dimension key: N contents, P outputs, R pictures of a style, C channels, K tokens, D channels of a key, H and W of a
feature map; h and w are padded sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from operator import add

import torch
from torch import Tensor

from tasks.encoders.attention import keep_tokens
from tasks.encoders.placement import open_shared
from tasks.encoders.statistics import Statistics, name_statistics, read_statistics
from tasks.methods.regions import shrink_weights
from tasks.methods.style_kernel.architecture import ARCHITECTURES, Architecture
from tasks.methods.style_kernel.kernels import Kernels
from tasks.methods.style_kernel.network import (
    ContentFeatures,
    StyleFeatures,
    StyleKernelNetwork,
    Switches,
    restore,
)
from tasks.methods.style_kernel.settings import StyleKernelSettings
from tasks.methods.style_kernel.small import SmallStyleKernel, build_small
from tasks.methods.style_kernel.vgg import VggStyleKernel, build_vgg
from tasks.weights.loading import layout_of, match_layout


class StyleKernelBackbone:
    """One network, and the settings that say how it renders."""

    def __init__(self, network: StyleKernelNetwork, settings: StyleKernelSettings) -> None:
        self.network, self.settings = network, settings
        self.switches = Switches(settings.gated, settings.shuffled, settings.kernel)

    def encode(self, images_NChw: Tensor) -> dict[str, Tensor]:
        """Queries, the gate's levels, normalised features and the statistics that they had."""
        content = self.network.encode(images_NChw)
        named = {f"normalised{index}": maps_NCHW for index, maps_NCHW in enumerate(content.normalised)}
        return {"queries": content.queries, "gate": content.gate_levels} | named | name_statistics(content.statistics)

    def prepare(self, picture_13HW: Tensor) -> dict[str, Tensor]:
        """Keys and values of at most `max_tokens` positions, and the picture's statistics."""
        style = self.network.represent(picture_13HW)
        most, seed = self.settings.max_tokens, self.settings.token_seed
        keys_1KD, values_1KC = keep_tokens(style.keys, style.values, most, seed)
        return {"keys": keys_1KD, "values": values_1KC} | name_statistics(style.statistics)

    def render(
        self,
        content: Mapping[str, Tensor],
        styles: Sequence[Mapping[str, Tensor]],
        weights_PRhw: Tensor,
        strengths_P: Tensor | None = None,
    ) -> Tensor:
        """All contents in one style: the kernels and the statistics of its pictures mixed at every position."""
        contents, pictures = read_content(content), [read_style(style) for style in styles]
        kernels = self.mix_kernels(contents, pictures, weights_PRhw)
        statistics = self.mix_statistics(contents, pictures, weights_PRhw)
        features = self.network.stylize(contents, kernels, statistics, self.switches)
        return self.network.decode(self.weaken(contents, features, strengths_P))

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of picture n, in [0, 1]; gradients pass to the pictures.

        At full strength and with no part off: a text has one picture, whichever of these a style sets.
        """
        images_NCHW: Tensor = self.network(contents_NCHW, pictures_NCHW)
        return images_NCHW.clamp(0, 1)

    def mix_kernels(
        self, content: ContentFeatures, pictures: Sequence[StyleFeatures], weights_PRhw: Tensor
    ) -> list[list[Kernels]]:
        """Each layer of each convolved depth: at every position the weighted mean of the pictures' kernels."""
        memory = self.settings.attention_megabytes * 1_000_000
        aligned = [self.network.align(content, picture, self.switches.gated, memory) for picture in pictures]
        made = [self.network.make_kernels(aligned_NCHW) for aligned_NCHW in aligned]
        if len(made) == 1:
            return made[0]
        height, width = content.queries.shape[2:]
        weights_PRHW = shrink_weights(weights_PRhw, (height, width))
        weighed = [
            [[layer.weigh(weights_PRHW[:, r : r + 1]) for layer in layers] for layers in depths]
            for r, depths in enumerate(made)
        ]
        return [[reduce(add, same) for same in zip(*layers, strict=True)] for layers in zip(*weighed, strict=True)]

    def mix_statistics(
        self, content: ContentFeatures, pictures: Sequence[StyleFeatures], weights_PRhw: Tensor
    ) -> Statistics:
        """Weighted means of the pictures' means and deviations, at every position of each decoded depth."""
        mixed = []
        for depth, maps_NCHW in enumerate(content.normalised):
            moments = [picture.statistics[depth] for picture in pictures]
            weights_PRHW = shrink_where_spread(weights_PRhw, (maps_NCHW.shape[2], maps_NCHW.shape[3]))
            means, deviations = (mix(list(kind), weights_PRHW) for kind in zip(*moments, strict=True))
            mixed.append((means, deviations))
        return mixed

    def weaken(self, content: ContentFeatures, features: Sequence[Tensor], strengths_P: Tensor | None) -> list[Tensor]:
        """Stylized features mixed with the content's own by `strength`, or by one of each."""
        if strengths_P is None and self.settings.strength == 1:
            return list(features)
        own = [restore(maps, *moments) for maps, moments in zip(content.normalised, content.statistics, strict=True)]
        strength = self.settings.strength if strengths_P is None else strengths_P.view(-1, 1, 1, 1)
        return [mine.lerp(stylized, strength) for mine, stylized in zip(own, features, strict=True)]


def shrink_where_spread(weights_PRhw: Tensor, size: tuple[int, int]) -> Tensor:
    """The weights at the positions of a feature map; PR11, the same everywhere, as they are."""
    return weights_PRhw if weights_PRhw.shape[2:] == (1, 1) else shrink_weights(weights_PRhw, size)


def mix(moments: Sequence[Tensor], weights_PRHW: Tensor) -> Tensor:
    """Sum over R of moments_1C11 times weights_PRHW: PCHW, or 1C11 where weights are 1R11."""
    stacked_RC = torch.cat(list(moments)).flatten(1)
    return torch.einsum("rc,prhw->pchw", stacked_RC, weights_PRHW.to(stacked_RC.dtype))


def read_content(tensors: Mapping[str, Tensor]) -> ContentFeatures:
    """What `encode` named."""
    statistics = read_statistics(tensors)
    normalised = [tensors[f"normalised{depth}"] for depth in range(len(statistics))]
    return ContentFeatures(tensors["queries"], tensors["gate"], normalised, statistics)


def read_style(tensors: Mapping[str, Tensor]) -> StyleFeatures:
    """What `prepare` named."""
    return StyleFeatures(tensors["keys"], tensors["values"], read_statistics(tensors))


def open_backbone(settings: StyleKernelSettings, device: str) -> StyleKernelBackbone:
    """The network that the settings name, on a device. Raises RequestError where weights are not its own."""
    architecture = settings.sizes()
    build = partial(build_network, architecture=architecture)
    kind = f"style_kernel {settings.encoder} {architecture}"
    network = open_shared(kind, settings.weight_references(), device, build)
    return StyleKernelBackbone(network, settings)


def build_network(tensors: Mapping[str, Mapping[str, Tensor]], architecture: Architecture) -> StyleKernelNetwork:
    """From `weights`, the compact network; from `encoder` and `network`, that over VGG."""
    if "weights" in tensors:
        match_layout(tensors["weights"], small_layout(architecture), "style_kernel's small network")
        return build_small(tensors["weights"], architecture)
    match_layout(tensors["network"], vgg_layout(architecture), "style_kernel's network over VGG")
    return build_vgg(tensors["encoder"], tensors["network"], architecture)


def small_layout(architecture: Architecture = ARCHITECTURES["small"]) -> dict[str, list[int]]:
    """Names and shapes of the tensors of the compact network."""
    with torch.device("meta"):
        return layout_of(SmallStyleKernel(architecture=architecture).state_dict())


def vgg_layout(architecture: Architecture = ARCHITECTURES["vgg"]) -> dict[str, list[int]]:
    """Names and shapes of the tensors that are trained on VGG."""
    with torch.device("meta"):
        return layout_of(VggStyleKernel(architecture).trained_tensors())
