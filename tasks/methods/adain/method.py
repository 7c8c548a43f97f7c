"""AdaIN behind the three verbs, over either pair of encoder and decoder.

N contents, P outputs (pairs), C channels, H and W pixels; h and w are padded sides.
Huang and Belongie, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tasks.encoders.placement import memory_format, split_rows
from tasks.encoders.statistics import Statistics, channel_statistics, name_statistics, read_statistics
from tasks.images.padding import crop_back, pad_to_stride
from tasks.methods.adain.backbones import Backbone, open_backbone
from tasks.methods.adain.coral import Colors, measure_colors, recolor
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.adain.small import transfer_statistics
from tasks.methods.adain.transfer import (
    mix_by_position,
    mix_statistics,
    pick_rows,
    scale_and_shift,
    spread_like,
    stack_statistics,
    weigh_references,
)
from tasks.methods.base import Content, Pairs, Representation, Style
from tasks.methods.pictures import Pictures, from_bytes, to_bytes
from tasks.methods.regions import render_apart, shrink_weights, weigh_positions


def open_method(settings: AdainSettings, device: str = "cpu") -> AdaIn:
    """The method of these settings, its weights loaded. Raises RequestError."""
    return AdaIn(settings, open_backbone(settings, device), torch.device(device))


class AdaIn:
    """Gives a content's features the channel means and deviations of a style's, and decodes them.

    A method renders what another has encoded where their backbones are the same.
    """

    def __init__(self, settings: AdainSettings, backbone: Backbone, device: torch.device) -> None:
        self.settings, self.backbone, self.device = settings, backbone, device
        self.pictures = Pictures(settings.style_size, settings.texts, self.stylize, device)

    @torch.inference_mode()
    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """`mean0`, `deviation0`, ...: float32, C each, mixed over the references by weight.

        Of a composite style RC each, a row for each reference, and their `weights`. With `preserve_color` statistics
        depend on the content, so that the pictures themselves are kept: `picture0`, ... (uint8, 3HW), and their
        `weights`. The picture painted for reference k, a text, is kept as `painted<k>` (uint8, 3HW), with the text in
        the metadata.
        """
        self.pictures.paint(styles)
        return [self._represent(style) for style in styles]

    @torch.inference_mode()
    def encode(self, images_NCHW: Tensor) -> Content:
        """Normalised features and the statistics they had, at each depth; the contents' colours."""
        height, width = images_NCHW.shape[-2:]
        images_NChw = self._prepare(images_NCHW)
        colors = measure_colors(images_NChw)
        tensors = {
            "color_mean": colors.mean_3,
            "color_deviation": colors.deviation_3,
            "color_root": colors.root_33,
        }
        parts = split_rows(len(images_NChw), height * width, self.device)
        encoded = [self.backbone.content_features(images_NChw[part]) for part in parts]
        statistics = []
        for depth, features in enumerate(torch.cat(level) for level in zip(*encoded, strict=True)):
            mean_NC, deviation_NC = channel_statistics(features)
            statistics.append((mean_NC, deviation_NC))
            tensors[f"normalised{depth}"] = scale_and_shift(features, 1 / deviation_NC, -mean_NC / deviation_NC)
        return Content(tensors | name_statistics(statistics), height, width)

    @torch.inference_mode()
    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW in [0, 1]. AdaIN draws no noise: the seeds change nothing."""
        render = partial(self._render, content, reps)
        return render_apart(pairs, plain=render, composite=render)

    def _render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Pairs that all have regions, or none of them."""
        features = self.transfer(content, reps, pairs)
        parts = split_rows(len(pairs), content.height * content.width, self.device)
        images_PChw = torch.cat([self.backbone.decode([level[part] for level in features]) for part in parts])
        return crop_back(images_PChw, content.height, content.width).clamp_(0, 1)

    def transfer(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> list[Tensor]:
        """Equation 8 at each depth, mixed with the content's own features by `strength` (equation 14)."""
        strengths_P = torch.tensor(pairs.strengths or [self.settings.strength] * len(pairs), device=self.device)
        own = read_statistics(content.tensors)
        features = []
        for depth, (mean, deviation) in enumerate(self._statistics(content, reps, pairs)):
            own_mean, own_deviation = (spread_like(moments[list(pairs.contents)], mean) for moments in own[depth])
            normalised = pick_rows(content.tensors[f"normalised{depth}"], pairs.contents)
            strength = strengths_P.view(-1, *[1] * (mean.ndim - 1))
            gain = own_deviation.lerp(deviation, strength)
            features.append(scale_and_shift(normalised, gain, own_mean.lerp(mean, strength)))
        return features

    def _prepare(self, images_NCHW: Tensor) -> Tensor:
        """Images on the device, padded, laid out as convolutions there like it: images_NChw."""
        images_NChw = pad_to_stride(images_NCHW.to(self.device), self.settings.stride)
        return images_NChw.contiguous(memory_format=memory_format(self.device))

    def _represent(self, style: Style) -> Representation:
        kept, texts = self.pictures.kept(style)
        pictures = [self.pictures.load(reference) for reference in style.references]
        weights = {"weights": torch.tensor(style.weights())}
        if self.settings.preserve_color:
            kept |= {f"picture{i}": to_bytes(picture_3HW) for i, picture_3HW in enumerate(pictures)}
            return Representation(kept | weights, texts)
        measured = [self._measure(picture_3HW) for picture_3HW in pictures]
        if style.composite:
            named = name_statistics(stack_statistics(measured, torch.device("cpu"))) | weights
        else:
            named = name_statistics(mix_statistics(measured, style.weights()))
        return Representation({name: tensor.cpu() for name, tensor in named.items()} | kept, texts)

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of picture n, at full strength; gradients pass to the pictures."""
        contents = self.backbone.content_features(contents_NCHW)
        pictures = self.backbone.style_features(pictures_NCHW)
        levels = [transfer_statistics(c, *channel_statistics(p)) for c, p in zip(contents, pictures, strict=True)]
        return self.backbone.decode(levels).clamp(0, 1)

    def _measure(self, picture_3HW: Tensor) -> Statistics:
        """The statistics of one style picture at every depth."""
        features = self.backbone.style_features(self._prepare(picture_3HW[None]))
        depths = [channel_statistics(level) for level in features]
        return [(mean_1C[0], deviation_1C[0]) for mean_1C, deviation_1C in depths]

    def _statistics(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Statistics:
        """The statistics to give each pair at every depth: PC, PCHW where they have regions; equal pairs once."""
        wanted = list(zip(pairs.contents, pairs.representations, strict=True))
        known = {(row, index): self._statistics_of(content, row, reps[index]) for row, index in set(wanted)}
        if not pairs.composites():
            return stack_statistics([weigh_references(*known[pair]) for pair in wanted], self.device)
        mixed = [
            self._spread(content, reps[pair[1]], known[pair][0], shares_RHW)
            for pair, shares_RHW in zip(wanted, pairs.regions, strict=True)
        ]
        return stack_statistics(mixed, self.device)

    def _spread(
        self, content: Content, rep: Representation, references: Statistics, shares_RHW: Tensor | None
    ) -> Statistics:
        """Statistics of a pair's references, RC, mixed at every position of each depth: CHW."""
        size, stride = (content.height, content.width), self.settings.stride
        shares_1Rhw = weigh_positions(rep.tensors["weights"], [shares_RHW], size, stride, self.device)
        maps = [content.tensors[f"normalised{depth}"] for depth in range(len(references))]
        shares = [shrink_weights(shares_1Rhw, (m.shape[2], m.shape[3]))[0] for m in maps]
        return mix_by_position(references, shares)

    def _statistics_of(self, content: Content, row: int, rep: Representation) -> tuple[Statistics, Sequence[float]]:
        """Statistics to transfer, C, or RC of R references with their weights.

        The representation's, or its pictures' in the colours of the content.
        """
        weights = rep.tensors["weights"].tolist() if "weights" in rep.tensors else []
        if "picture0" not in rep.tensors:
            return read_statistics(rep.tensors), weights
        colors = Colors(*(content.tensors[f"color_{name}"][row] for name in ("mean", "deviation", "root")))
        pictures = [from_bytes(rep.tensors[f"picture{i}"].to(self.device)) for i in range(len(weights))]
        measured = [self._measure(recolor(picture, colors)) for picture in pictures]
        return stack_statistics(measured, self.device), weights
