"""The three verbs of methods that look at style pictures position by position: adaattn, style_kernel.

N contents, P outputs (pairs), R references of a style, H and W pixels; h and w are padded sides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tasks.encoders.placement import split_rows
from tasks.images.padding import crop_back, pad_to_stride
from tasks.methods.base import Content, Pairs, Representation, Style
from tasks.methods.contents import encode_contents
from tasks.methods.local_settings import LocalSettings
from tasks.methods.pictures import Pictures, from_bytes, to_bytes
from tasks.methods.regions import rows_of, weigh_positions

Prepared = Mapping[str, Tensor]  # of one style picture: keys, values, statistics, ...
Prepare = Callable[[Representation], list[Prepared]]


class Backbone(Protocol):
    """The networks of a method, between pixels and pixels; sides of contents are multiples of the method's stride."""

    def encode(self, images_NChw: Tensor) -> dict[str, Tensor]:
        """What depends on the contents alone, each tensor's first dimension N."""

    def prepare(self, picture_13HW: Tensor) -> dict[str, Tensor]:
        """What depends on a style picture alone; sides of at least two strides."""

    def render(
        self,
        content: Mapping[str, Tensor],
        styles: Sequence[Prepared],
        weights_PRhw: Tensor,
        strengths_P: Tensor | None = None,
    ) -> Tensor:
        """All contents in one style of R prepared pictures: images_PChw, not clamped.

        Weights sum to 1 over R at every position; 1R11 where they are the same everywhere, 1Rhw where they are the
        same for all contents. Without strengths the settings' own is all contents'.
        """

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        """Row n of the contents in the style of picture n, in [0, 1]; gradients pass to the pictures."""


class LocalMethod:
    """Keeps a style's pictures; what its networks make of them is made again in each actor, and kept while it fits."""

    def __init__(self, settings: LocalSettings, backbone: Backbone, device: torch.device) -> None:
        self.settings, self.backbone, self.device = settings, backbone, device
        self.pictures = Pictures(settings.style_size, settings.texts, backbone.stylize, device)
        self.prepared = PreparedStyles(settings.cache_megabytes * 1_000_000)

    @torch.inference_mode()
    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """`picture<k>` (uint8, 3HW) of reference k, `painted<k>` where it is a text; `weights`.

        Keys and values of attention are not stored: 44 MB a picture of 512x512 for the published AdaAttN.
        """
        self.pictures.paint(styles)
        return [self._represent(style) for style in styles]

    @torch.inference_mode()
    def encode(self, images_NCHW: Tensor) -> Content:
        """What the networks make of the contents, for all styles."""
        return encode_contents(images_NCHW, self.settings.stride, self.device, self.backbone.encode)

    @torch.inference_mode()
    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW in [0, 1]. No noise is drawn: the seeds change nothing."""
        size = (content.height, content.width)
        images: list[Tensor] = [torch.empty(0)] * len(pairs)
        for index in dict.fromkeys(pairs.representations):
            places = [place for place, of in enumerate(pairs.representations) if of == index]
            styles = self.prepared.get(reps[index], self._prepare)
            regions = pairs.pick(places).regions
            weights_PRhw = weigh_positions(
                reps[index].tensors["weights"], regions, size, self.settings.stride, self.device
            )
            for part in split_rows(len(places), size[0] * size[1], self.device):
                rows = torch.tensor([pairs.contents[place] for place in places[part]])
                strengths_P = self._strengths(pairs, places[part])
                contents, weights = content.rows(rows).tensors, rows_of(weights_PRhw, part)
                rendered_PChw = self.backbone.render(contents, styles, weights, strengths_P)
                for place, image_CHW in zip(places[part], crop_back(rendered_PChw, *size), strict=True):
                    images[place] = image_CHW
        return torch.stack(images).clamp_(0, 1)

    def _strengths(self, pairs: Pairs, places: Sequence[int]) -> Tensor | None:
        if not pairs.strengths:
            return None
        return torch.tensor([pairs.strengths[place] for place in places], device=self.device)

    def _represent(self, style: Style) -> Representation:
        painted, texts = self.pictures.kept(style)
        pictures = {
            f"picture{index}": to_bytes(self.pictures.load(reference))
            for index, reference in enumerate(style.references)
            if reference.text is None
        }
        return Representation(pictures | painted | {"weights": torch.tensor(style.weights())}, texts)

    def _prepare(self, rep: Representation) -> list[Prepared]:
        """Each reference's picture through the networks, short sides mirrored to two strides."""
        prepared: list[Prepared] = []
        for index in range(len(rep.tensors["weights"])):
            kept = rep.tensors.get(f"picture{index}", rep.tensors.get(f"painted{index}"))
            assert kept is not None  # a reference is a picture or a text
            picture_13HW = from_bytes(kept.to(self.device))[None]
            prepared.append(self.backbone.prepare(pad_to_stride(picture_13HW, 1, 2 * self.settings.stride)))
        return prepared


class PreparedStyles:
    """Prepared representations up to a number of bytes; those not used for longest go first, the last one stays."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.kept: OrderedDict[int, tuple[Representation, list[Prepared]]] = OrderedDict()

    def get(self, rep: Representation, prepare: Prepare) -> list[Prepared]:
        """What was prepared of this very representation, or is now."""
        # By identity: a representation is never changed, and while one is kept no other can have its id.
        kept = self.kept.pop(id(rep), None) or (rep, prepare(rep))
        self.kept[id(rep)] = kept
        while len(self.kept) > 1 and self.bytes() > self.most_bytes:
            self.kept.popitem(last=False)
        return kept[1]

    def bytes(self) -> int:
        return sum(tensor.nbytes for _, styles in self.kept.values() for style in styles for tensor in style.values())
