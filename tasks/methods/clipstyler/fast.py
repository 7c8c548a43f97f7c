"""CLIPstyler, `mode: fast`: a decoder tuned to each style, and then one forward pass a pair.

N contents, P outputs (pairs), C channels, H and W pixels; h and w are padded sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.encoders.placement import split_rows
from tasks.images.padding import crop_back
from tasks.methods.base import Content, Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.fast_backbones import load_decoders, open_backbone
from tasks.methods.clipstyler.finish import raise_contrast
from tasks.methods.clipstyler.photographs import load_photographs
from tasks.methods.clipstyler.settings import FastSettings
from tasks.methods.clipstyler.tuned import KeptNetworks, Network, mix_networks, name_tensors, read_networks
from tasks.methods.clipstyler.tuning import Tuner
from tasks.methods.contents import encode_contents
from tasks.methods.regions import blend_pictures, render_apart

DECODER = "decoder"


class FastMethod:
    """Slow at representing: a decoder a reference. A mix of references is the mix of their decoders' weights."""

    def __init__(self, settings: FastSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.backbone = open_backbone(settings, device)
        self.first = {name: tensor.cpu() for name, tensor in self.backbone.first_decoder().state_dict().items()}
        self.given = load_decoders(settings) if settings.decoders else {}
        self.kept = KeptNetworks()

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """`weights` (R) and, of reference k, `decoder<k>.*`: tensors in the layout of the decoder."""
        return [self._represent(style) for style in styles]

    @torch.inference_mode()
    def encode(self, images_NCHW: Tensor) -> Content:
        """The encoder's features of the contents."""
        return encode_contents(images_NCHW, self.settings.stride, self.device, self._levels)

    @torch.inference_mode()
    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW in [0, 1]. No noise is drawn: the seeds change nothing."""
        images: list[Tensor] = [torch.empty(0)] * len(pairs)
        for index in dict.fromkeys(pairs.representations):
            places = [place for place, of in enumerate(pairs.representations) if of == index]
            for place, image_CHW in zip(places, self._render(content, reps[index], pairs.pick(places)), strict=True):
                images[place] = image_CHW
        return torch.stack(images)

    def _levels(self, images_NChw: Tensor) -> dict[str, Tensor]:
        return {f"level{index}": level for index, level in enumerate(self.backbone.encode(images_NChw))}

    def _render(self, content: Content, rep: Representation, pairs: Pairs) -> Tensor:
        """All pairs of one style: plain ones through its mixed decoder, composites through each reference's."""
        weights = rep.tensors["weights"].tolist()
        tuned = read_networks(rep, DECODER)

        def blend(composites: Pairs) -> Tensor:
            shares_PRHW = torch.stack([shares.to(self.device) for shares in composites.regions if shares is not None])
            return blend_pictures(lambda r: self._decode(content, composites, tuned[r : r + 1], [1.0]), shares_PRHW)

        return render_apart(pairs, lambda plain: self._decode(content, plain, tuned, weights), blend)

    def _decode(
        self, content: Content, pairs: Pairs, tuned: Sequence[Mapping[str, Tensor]], weights: Sequence[float]
    ) -> Tensor:
        """The pairs' contents through the mix of some decoders, at the strength: images_PCHW."""
        size, strength = (content.height, content.width), self.settings.strength
        mixed = mix_networks([self.first, *tuned], [1 - strength, *(strength * weight for weight in weights)])
        decoder = self.backbone.open_decoder(mixed)
        finished = []
        for part in split_rows(len(pairs), size[0] * size[1], self.device):
            rows = content.rows(torch.tensor(pairs.contents[part]))
            images_PChw = self.backbone.decode(decoder, list(rows.tensors.values()))
            finished.append(raise_contrast(crop_back(images_PChw, *size), self.settings.contrast))
        return torch.cat(finished)

    def _represent(self, style: Style) -> Representation:
        kept = {"weights": torch.tensor(style.weights())}
        for index, reference in enumerate(style.references):
            kept |= name_tensors(DECODER, index, self._tuned(reference))
        return Representation(kept)

    def _tuned(self, reference: Reference) -> Network:
        """The decoder of a reference: given, tuned before, or tuned now."""
        if reference.text in self.given:
            return self.given[reference.text]
        return self.kept.get(reference, lambda: self.tuner.tune(reference))

    @cached_property
    def tuner(self) -> Tuner:
        """Opened where there is something to tune: CLIP and the photographs."""
        encoder = open_clip_model(self.settings.clip, str(self.device))
        return Tuner(self.backbone, encoder, load_photographs(self.settings.photographs), self.settings)
