"""CLIPstyler, `mode: optimize`: for each pair a U-Net of its own, optimised until its output fits the style.

N contents, P outputs (pairs), C channels, H and W pixels; h and w are padded sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.encoders.placement import autocast
from tasks.images.padding import crop_back, pad_to_stride
from tasks.losses.clip import embed_pixels
from tasks.methods.base import Content, Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.directions import Directions, Targets, keep_targets, read_targets
from tasks.methods.clipstyler.extractors import CONTENT_LOSSES, open_extractor
from tasks.methods.clipstyler.finish import raise_contrast
from tasks.methods.clipstyler.optimisation import Judge, Objective, Optimisation, optimise
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.clipstyler.start import fit_network, tune_network
from tasks.methods.clipstyler.tuned import KeptNetworks, Network, mix_networks, name_tensors, read_networks
from tasks.methods.clipstyler.unet import draw_networks
from tasks.methods.regions import find_counting

PAIRS_ON_GPU = 16
START = "start"


@dataclass(frozen=True)
class Wanted:
    """An output to optimise: a content row, the targets, a seed, and the network that it starts from, if any.

    Its place among the pairs, and its share of that pair's picture: 1, or at every pixel (HW).
    """

    row: int
    targets: Targets
    seed: int
    start: Network
    place: int
    share: Tensor


class OptimizeMethod:
    """Slow at rendering: an optimisation a pair. A pair's seed draws its network and its crops."""

    def __init__(self, settings: OptimizeSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        encoder = open_clip_model(settings.clip, str(device))
        self.judge = Judge(encoder, open_extractor(settings, device), CONTENT_LOSSES[settings.encoder])
        self.directions = Directions(
            encoder, settings.source, settings.style_size, settings.crops, settings.crop_size, settings.seed
        )
        self.kept = KeptNetworks()

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """Directions of the references (`keep_targets`); of reference k under `start<k>.*` a network, if any."""
        return [self._represent(style) for style in styles]

    @torch.no_grad()  # not inference mode: what is made here takes part in losses
    def encode(self, images_NCHW: Tensor) -> Content:
        """`image` (padded), its CLIP `embedding` (ND), and its features by tap."""
        height, width = images_NCHW.shape[-2:]
        images_NChw = pad_to_stride(images_NCHW.to(self.device), self.settings.stride)
        encoded = [self._encode(part_NChw) for part_NChw in images_NChw.split(self._at_once)]
        joined = {name: torch.cat([part[name] for part in encoded]).contiguous() for name in encoded[0]}
        return Content(joined, height, width)

    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW in [0, 1].

        A composite is optimised once for each reference that counts anywhere, and blended by region: one network could
        not tell a place from another that looks alike.
        """
        outputs = list(self._wanted(reps, pairs))
        images_PCHW = torch.zeros(len(pairs), 3, content.height, content.width, device=self.device)
        for start in range(0, len(outputs), self._at_once):
            some = outputs[start : start + self._at_once]
            for output, image_CHW in zip(some, self._render(content, some), strict=True):
                images_PCHW[output.place] += image_CHW * output.share.to(self.device)
        return images_PCHW

    @cached_property
    def fitted(self) -> dict[str, Tensor]:
        """The network that gives photographs back."""
        return fit_network(self.settings.seed, self.device)

    @property
    def _at_once(self) -> int:
        """Contents and pairs in one program.

        One keeps the cores of a CPU busy, and no last bit depends on its neighbours, which two hundred steps would
        make a level or more of.
        """
        if self.settings.pairs_at_once != "auto":
            return self.settings.pairs_at_once
        return 1 if self.device.type == "cpu" else PAIRS_ON_GPU

    def _represent(self, style: Style) -> Representation:
        rep = keep_targets(style, self.directions)
        if self.settings.start == "random":
            return rep
        tensors, targets = dict(rep.tensors), read_targets(rep, self.device)
        for index, reference in enumerate(style.references):
            tuned = self.kept.get(reference, partial(self._tune, targets.only(index), reference))
            tensors |= name_tensors(START, index, tuned)
        return Representation(tensors)

    def _tune(self, targets: Targets, reference: Reference) -> dict[str, Tensor]:
        tuned = tune_network(
            self.fitted, reference.text or "a picture", targets, self.encode, self.judge, self.settings
        )
        return {name: tensor.cpu() for name, tensor in tuned.items()}

    def _encode(self, images_NChw: Tensor) -> dict[str, Tensor]:
        # In the arithmetic of the outputs: a content should be where an output is that equals it.
        with autocast(self.device, self.settings.precision):
            features = self.judge.extract(images_NChw)
            embedding_ND = embed_pixels(self.judge.encoder, images_NChw)
        kept = {tap: features[tap] for tap in self.judge.content_loss.weights}
        return {"image": images_NChw, "embedding": embedding_ND, **kept}

    def _wanted(self, reps: Sequence[Representation], pairs: Pairs) -> Iterator[Wanted]:
        """What is to be optimised: each plain pair, and each reference of each composite."""
        used = sorted(set(pairs.representations))
        targets = {index: read_targets(reps[index], self.device) for index in used}
        # Of each style once, so that its pairs share a call of the losses.
        alone = {index: [one.only(r) for r in range(len(one.references))] for index, one in targets.items()}
        starts = {index: read_networks(reps[index], START) for index in used}
        mixed = {index: mix_networks(starts[index], targets[index].weights) for index in used}
        everywhere = torch.ones(())
        columns = zip(pairs.contents, pairs.representations, pairs.seeds, strict=True)
        for place, (row, index, seed) in enumerate(columns):
            shares_RHW = pairs.regions[place] if pairs.regions else None
            if shares_RHW is None:
                yield Wanted(row, targets[index], seed, mixed[index], place, everywhere)
                continue
            for r in find_counting(shares_RHW):
                yield Wanted(row, alone[index][r], seed, starts[index][r], place, shares_RHW[r])

    def _render(self, content: Content, wanted: Sequence[Wanted]) -> Tensor:
        """Some outputs as one program."""
        generators = [torch.Generator().manual_seed(output.seed) for output in wanted]
        rows = content.rows(torch.tensor([output.row for output in wanted]))
        if wanted[0].start:  # of one setting, so all have one or none
            names = list(wanted[0].start)
            networks = {name: torch.stack([o.start[name] for o in wanted]).to(self.device) for name in names}
        else:
            networks = draw_networks(generators, self.device)
        objective = Objective(rows, [output.targets for output in wanted], self.judge, self.settings)
        images_PChw = optimise(Optimisation(networks, objective), generators)
        return raise_contrast(crop_back(images_PChw, content.height, content.width), self.settings.contrast)
