"""A decoder tuned to a style, so that whatever is decoded with it has the style (CLIPstyler's fast version).

Dimension key: N photographs of a step, K tilted views of each, D embedding, C channels, S side of a crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.placement import autocast
from tasks.images.fitting import Pixels
from tasks.losses.clip import embed_crops, embed_pixels, unit_directions
from tasks.losses.crops import draw_crops
from tasks.losses.perceptual import structure_losses, variation_norms
from tasks.methods.bars import Bar
from tasks.methods.base import Reference
from tasks.methods.clipstyler.directions import Directions, Targets
from tasks.methods.clipstyler.fast_backbones import Backbone
from tasks.methods.clipstyler.settings import FastSettings

RATE_DECAY = 5e-5  # the rate is divided by 1 + this times the step (train_fast.py)
LARGEST_SCALE = 2.0  # a photograph's short side, in sides of a crop, at most


class Tuner:
    """Tunes decoders on the same photographs; what a step draws depends on the seed and the step alone."""

    def __init__(
        self, backbone: Backbone, encoder: ClipEncoder, photographs: Iterable[Pixels], settings: FastSettings
    ) -> None:
        self.backbone, self.encoder, self.settings = backbone, encoder, settings
        self.directions = Directions(
            encoder, settings.source, settings.style_size, settings.views, settings.crop_size, settings.seed
        )
        self.photographs = [fit_crop(pixels_HWC, settings.crop_size) for pixels_HWC in photographs]

    def tune(self, reference: Reference) -> dict[str, Tensor]:
        """The tensors of a decoder tuned to one reference. Progress goes to stderr."""
        targets = self.targets_of(reference)
        name = (reference.text or "a picture")[:40]
        decoder = self.backbone.first_decoder().train()
        first_rate = self.settings.learning_rate
        optimiser = torch.optim.Adam(decoder.parameters(), lr=first_rate)
        for step in Bar(range(self.settings.steps), desc=f"tuning to {name}"):
            for group in optimiser.param_groups:
                group["lr"] = first_rate / (1 + RATE_DECAY * step)
            loss = self.loss(decoder, targets, step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return {key: tensor.detach().cpu().contiguous() for key, tensor in decoder.state_dict().items()}

    def targets_of(self, reference: Reference) -> Targets:
        return Targets((1.0,), (self.directions.of(reference),))

    def loss(self, decoder: nn.Module, targets: Targets, step: int) -> Tensor:
        """Of one step's photographs: content, tilted views, whole outputs, variation and range, by weight.

        Without the last CLIP is shown pictures that no screen can: to it they have the style, and to us they are white.
        """
        settings, contents_NCSS = self.settings, self.draw(step)
        with autocast(contents_NCSS.device, settings.precision):
            with torch.no_grad():
                features = self.backbone.encode(contents_NCSS)
                sources_ND = embed_pixels(self.encoder, contents_NCSS)
            outputs_NCSS = self.backbone.decode(decoder, features).float()
            content = self.backbone.content_loss(self.backbone.encode(outputs_NCSS), features)
            whole_ND = embed_pixels(self.encoder, outputs_NCSS)
            generators = [torch.Generator().manual_seed(seed) for seed in self.view_seeds(step)]
            side = settings.crop_size
            views_NKD = embed_crops(
                self.encoder, outputs_NCSS, draw_crops(generators, settings.views, side, (side, side))
            )
        whole_ND = unit_directions(whole_ND, sources_ND)
        views_NKD = unit_directions(views_NKD, sources_ND[:, None])
        whole_N = targets.whole_losses(whole_ND)
        patch_N = targets.patch_losses(views_NKD, settings.threshold)
        # The authors' norm is of the batch as a whole, which is that of its images as channels of one.
        variation = variation_norms(outputs_NCSS.flatten(0, 1)[None])[0]
        structure = structure_losses(outputs_NCSS, contents_NCSS).mean()
        return (
            settings.content_weight * (content + settings.structure_weight * structure)
            + settings.patch_weight * patch_N.mean()
            + settings.direction_weight * whole_N.mean()
            + settings.variation_weight * variation
            + settings.range_weight * (outputs_NCSS - outputs_NCSS.clamp(0, 1)).square().mean()
        )

    def draw(self, step: int) -> Tensor:
        """Random crops of random photographs, contents_NCSS in [0, 1]."""
        rng, settings = np.random.default_rng((self.settings.seed, step)), self.settings
        crops_NCSS = draw_photographs(self.photographs, rng, settings.batch, settings.crop_size)
        return crops_NCSS.to(self.encoder.device) / 255

    def view_seeds(self, step: int) -> list[int]:
        """A seed for the views of each photograph of a step."""
        seeds = np.random.SeedSequence((self.settings.seed, step, 1)).generate_state(self.settings.batch, np.uint64)
        return [int(seed) >> 1 for seed in seeds]


def draw_photographs(photographs: Sequence[Tensor], rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Random crops of random photographs, uint8 NCSS."""
    crops = []
    for index in rng.integers(len(photographs), size=count):
        photograph_CHW = photographs[index]
        top, left = (int(rng.integers(whole - side + 1)) for whole in photograph_CHW.shape[1:])
        crops.append(photograph_CHW[:, top : top + side, left : left + side])
    return torch.stack(crops)


def fit_crop(pixels_HWC: Pixels, side: int) -> Tensor:
    """A photograph, uint8 CHW, whose short side is at least that of a crop and at most twice that."""
    photograph_CHW = torch.from_numpy(pixels_HWC).permute(2, 0, 1)
    short = min(photograph_CHW.shape[1:])
    wanted = min(max(short, side), int(LARGEST_SCALE * side))
    if wanted == short:
        return photograph_CHW
    size = [max(side, round(whole * wanted / short)) for whole in photograph_CHW.shape[1:]]
    resized_1CHW = F.interpolate(photograph_CHW[None].float(), size, mode="bilinear", antialias=True)
    return resized_1CHW[0].round().clamp(0, 255).byte()
