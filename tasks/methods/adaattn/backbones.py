"""AdaAttN's networks behind the verbs of tasks/methods/local.py, and the way from settings to them.

N contents, P outputs (pairs), R pictures of a style, C channels, H and W pixels; h and w are padded sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from tasks.encoders.placement import open_shared
from tasks.methods.adaattn.attention import Attending, Tokens
from tasks.methods.adaattn.network import AdaAttnNetwork, ContentLevel
from tasks.methods.adaattn.settings import AdaattnSettings
from tasks.methods.adaattn.small import SmallAdaAttN, build_small
from tasks.methods.adaattn.vgg import build_vgg
from tasks.weights.loading import layout_of, match_layout

# Gradients need some below the root. Texts are painted with one number, whatever `epsilon` a style sets.
PAINTING = Attending(epsilon=1e-6)


class AdaAttnBackbone:
    """One network, and the settings that say how it attends. Methods that differ only there share the network."""

    def __init__(self, network: AdaAttnNetwork, settings: AdaattnSettings) -> None:
        self.network, self.settings = network, settings
        gate = None if settings.gate == "none" else (settings.gate.alpha, settings.gate.beta)
        self.how = Attending(settings.chosen().epsilon, gate, settings.attention_megabytes * 1_000_000)

    def encode(self, images_NChw: Tensor) -> dict[str, Tensor]:
        """`normalised<level>`, `mean<level>`, `deviation<level>`, `queries<level>`."""
        named: dict[str, Tensor] = {}
        for level, own in zip(self.network.levels, self.network.encode(images_NChw), strict=True):
            named |= {f"{kind}{level}": tensor for kind, tensor in vars(own).items()}
        return named

    def prepare(self, picture_13HW: Tensor) -> dict[str, Tensor]:
        """`keys<level>` and `values<level>` of at most so many positions."""
        named: dict[str, Tensor] = {}
        for level, style in zip(self.network.levels, self.network.represent(picture_13HW), strict=True):
            chosen = style.choose(self.most_tokens(level), self.settings.token_seed)
            named |= {f"keys{level}": chosen.keys, f"values{level}": chosen.values}
        return named

    def render(
        self,
        content: Mapping[str, Tensor],
        styles: Sequence[Mapping[str, Tensor]],
        weights_PRhw: Tensor,
        strengths_P: Tensor | None = None,
    ) -> Tensor:
        """All contents in one style of R prepared pictures: images_PChw, not clamped."""
        levels = [read_content(content, level) for level in self.network.levels]
        pictures = [[read_style(style, level) for level in self.network.levels] for style in styles]
        transferred = self.network.transfer(levels, pictures, self.how, weights_PRhw)
        return self.network.decode(self.weaken(levels, transferred, strengths_P))

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of picture n, in [0, 1]; gradients pass to the pictures.

        At full strength, of all tokens and without a gate: a text has one picture, whichever of these a style sets.
        """
        network = self.network
        content, style = network.encode(contents_NCHW), network.represent(pictures_NCHW)
        return network.decode(network.transfer(content, [style], PAINTING)).clamp(0, 1)

    def weaken(
        self, content: Sequence[ContentLevel], transferred: Sequence[Tensor], strengths_P: Tensor | None
    ) -> list[Tensor]:
        """Transferred features mixed with the contents' own by `strength`, or by one of each."""
        if strengths_P is None and self.settings.strength == 1:
            return list(transferred)
        own = self.network.unstyled([level.restore() for level in content])
        strength = self.settings.strength if strengths_P is None else strengths_P.view(-1, 1, 1, 1)
        return [mine.lerp(stylized, strength) for mine, stylized in zip(own, transferred, strict=True)]

    def most_tokens(self, level: int) -> int:
        """How many tokens of a picture are attended to."""
        chosen = self.settings.chosen()
        return chosen.max_tokens if level == self.network.levels[0] else chosen.max_tokens_deep


def read_content(named: Mapping[str, Tensor], level: int) -> ContentLevel:
    """What `encode` named."""
    return ContentLevel(*(named[f"{field.name}{level}"] for field in fields(ContentLevel)))


def read_style(named: Mapping[str, Tensor], level: int) -> Tokens:
    """What `prepare` named."""
    return Tokens(named[f"keys{level}"], named[f"values{level}"])


def open_backbone(settings: AdaattnSettings, device: str) -> AdaAttnBackbone:
    """The networks that the settings name, on a device. Raises RequestError where weights are not theirs."""
    kind = f"adaattn {settings.encoder}"
    return AdaAttnBackbone(open_shared(kind, settings.weight_references(), device, build_network), settings)


def build_network(tensors: Mapping[str, dict[str, Tensor]]) -> AdaAttnNetwork:
    """From `weights`, the compact network; from four files, the published one."""
    if "weights" not in tensors:
        return build_vgg(tensors)
    match_layout(tensors["weights"], small_layout(), "adaattn's small network")
    return build_small(tensors["weights"])


def small_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of the compact network."""
    with torch.device("meta"):
        return layout_of(SmallAdaAttN().state_dict())
