"""The recipe that trains a stylizer: what it sees at each step, and what it is told about its pictures.

N images, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.losses.perceptual import identity_loss
from tasks.methods.style_kernel.network import Switches
from tasks.training.data import Pictures, centre_square, draw_crops, load_pictures, step_generator
from tasks.training.discriminator import discriminator_loss, generator_loss
from tasks.training.loop import LoopSettings
from tasks.training.networks import Adversaries, build_network, stylizer_of
from tasks.training.perception import Perceptual, open_networks
from tasks.training.stylizer_losses import Parts, StylizerLosses
from tasks.training.stylizer_settings import StylizerSettings

SHEET_SIZE = 256
SCALE_CROPS, SCALE_SIDE = 64, 128  # of the art, to measure how far pictures of it are apart
ABLATIONS = ({"gated": False}, {"shuffled": False}, {"taps": 3}, {"taps": 1})


@dataclass(frozen=True)
class StylizerTraining:
    """What to train a stylizer on, and how: it can travel to other processes where its places are absolute.

    `photos` and `art` are folders of pictures or Parquet, paths or URIs; `image` names the column of Parquet.
    `perceptual` names one VGG that reaches relu4_1, or two: an exact one for the levels it has and a cheap,
    deep one for the rest.
    """

    photos: Sequence[str | Path]
    art: Sequence[str | Path]
    perceptual: Sequence[str | Path]
    recipe: StylizerSettings = field(default_factory=StylizerSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    image: str | None = None


class StylizerRecipe:
    """Content by normalised features, style by statistics, and pictures that must survive their own style."""

    def __init__(
        self,
        name: str,
        photos: Pictures,
        art: Pictures,
        perceptual: Perceptual,
        settings: StylizerSettings,
        device: torch.device,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.name, self.settings = name, settings
        self.network: nn.Module = build_network(name, settings)
        self.device = device
        self.photos, self.shown_photos = photos.split(every=25)
        self.art, self.shown_art = art.split(every=12)
        self.losses = StylizerLosses(perceptual.to(device), settings)
        generator = step_generator(settings.seed, 0, 2)
        self.losses.scale_to(draw_crops(self.art, SCALE_CROPS, SCALE_SIDE, generator, settings.recolour).to(device))

    def describe(self) -> dict[str, Any]:
        """Counts of pictures and the settings."""
        counts = {"photos": len(self.photos), "art": len(self.art)}
        return {"network": self.name, **asdict(self.settings), **counts}

    def draw(self, step: int) -> dict[str, Tensor]:
        """Content and style crops of a step, N3HW in [0, 1]."""
        settings = self.settings
        contents = step_generator(settings.seed, step, 0)
        styles = step_generator(settings.seed, step, 1)
        return {
            "contents": draw_crops(self.photos, settings.batch, settings.crop, contents),
            "styles": draw_crops(self.art, settings.batch, settings.crop, styles, settings.recolour),
        }

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and its parts, on N contents in N styles and N pictures that should not change."""
        outputs_NCHW = stylizer_of(network)(batch["contents"], batch["styles"], **self.switches(step))
        parts = self.losses.judge(outputs_NCHW, batch["contents"], batch["styles"], step)
        if self.settings.identity_weight:
            parts["identity"] = (self.settings.identity_weight, self.identity_loss(network, batch, step))
        if isinstance(network, Adversaries):
            parts |= self.deceive(network, batch["styles"], outputs_NCHW, step)
        # A weight may begin at 0: then there is nothing to learn yet, and a step changes nothing.
        total = torch.stack([outputs_NCHW.float().sum() * 0, *(weight * loss for weight, loss in parts.values())]).sum()
        return total, {name: loss for name, (_, loss) in parts.items()}

    def switches(self, step: int) -> dict[str, Any]:
        """Now and then a part of the network is off, so that an ablation renders with a network that knows of it."""
        generator = step_generator(self.settings.seed, step, 3)
        if generator.random() >= self.settings.ablated:
            return {}
        return {"switches": Switches(**ABLATIONS[generator.integers(len(ABLATIONS))])}

    def identity_loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> Tensor:
        """Pictures in their own style, and with none, against themselves; art on odd steps."""
        originals_NCHW = batch["styles" if step % 2 else "contents"]
        half = max(1, len(originals_NCHW) // 4)
        own_NCHW, plain_NCHW = originals_NCHW[:half], originals_NCHW[-half:]
        stylizer = stylizer_of(network)
        same = identity_loss(stylizer(own_NCHW, own_NCHW), own_NCHW)
        return (same + identity_loss(stylizer.reconstruct(plain_NCHW), plain_NCHW)) / 2

    def deceive(self, network: Adversaries, real_NCHW: Tensor, outputs_NCHW: Tensor, step: int) -> Parts:
        """From its step on: how far pictures are from passing for art, and how badly the discriminator tells them."""
        if step < self.settings.adversarial_start:
            return {}
        discriminator = network.discriminator
        return {
            "adversarial": (self.settings.adversarial_weight, generator_loss(discriminator, outputs_NCHW)),
            # Adam does not mind its weight.
            "discriminator": (1.0, discriminator_loss(discriminator, real_NCHW, outputs_NCHW)),
        }

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> Tensor:
        """Validation photographs (rows, the original in front) in validation styles (columns, on top)."""
        styles = [centre_square(image, SHEET_SIZE) for image in (self.shown_art or self.art).images[:8]]
        shown = spread((self.shown_photos or self.photos).images, 5)
        contents = [centre_square(image, SHEET_SIZE) for image in shown]
        rows = [torch.cat([torch.ones(3, SHEET_SIZE, SHEET_SIZE), *styles], dim=2)]
        for content in contents:
            repeated_NCHW = content.expand(len(styles), -1, -1, -1).to(self.device)
            outputs_NCHW = stylizer_of(network)(repeated_NCHW, torch.stack(styles).to(self.device)).cpu()
            rows.append(torch.cat([content, *outputs_NCHW], dim=2))
        return torch.cat(rows, dim=1)


def make_recipe(name: str, training: StylizerTraining, device: torch.device) -> StylizerRecipe:
    """The recipe with its pictures and perceptual networks loaded. Raises RequestError where one is missing."""
    return StylizerRecipe(
        name,
        load_pictures(training.photos, image=training.image),
        load_pictures(training.art, image=training.image),
        open_networks(training.perceptual),
        training.recipe,
        device,
    )


def spread(items: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """`count` of the items, evenly spaced."""
    return [items[index * len(items) // count] for index in range(min(count, len(items)))]
