"""The recipe that trains the compact AdaIN network: what it sees at each step and the losses that judge it.

N images, C channels, H and W pixels; a level is a relu{k}_1 of a VGG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.encoders.statistics import channel_statistics
from tasks.losses.perceptual import (
    draw_directions,
    identity_loss,
    moment_distances,
    normalised_content_loss,
    sliced_wasserstein,
    total_variation,
)
from tasks.methods.adain.small import SmallStylizer, transfer_statistics
from tasks.training.data import Pictures, centre_square, draw_crops, step_generator
from tasks.training.loop import move

SHEET_SIZE = 256


@dataclass(frozen=True)
class AdainSettings:
    """The recipe's numbers. Style terms are in units of how far two random pictures of the art are apart."""

    batch: int = 4
    crop: int = 128
    content_weight: float = 1.0
    detail_weight: float = 0.2  # of relu3_1 next to relu4_1 in the content loss: less of it, freer strokes
    style_weight: float = 2.0
    final_style_weight: float = 6.0  # reached linearly between `ramp_start` and `ramp_end`
    ramp_start: int = 2_000
    ramp_end: int = 10_000
    level_weights: tuple[float, ...] = (0.4, 0.6, 1.5, 1.5)  # relu1_1 and 2_1 are soon matched; strokes are deeper
    covariance_weight: float = 1.0  # of covariances among the style terms
    wasserstein_weight: float = 0.0  # of sliced Wasserstein distances among the style terms
    identity_weight: float = 10.0
    variation_weight: float = 0.1
    recolour: float = 0.3  # share of style crops with changed colours
    directions: int = 32  # of the sliced distance, a level
    positions: int = 1_024  # of the sliced distance, a level, drawn at random where there are more
    seed: int = 0


class Perceptual:
    """Style features from an exact VGG as deep as it reaches; deeper ones and content from a cheap one.

    `fine` may be None: then all come from `deep`, which must reach relu4_1.
    """

    def __init__(self, fine: nn.Module | None, deep: nn.Module, fine_levels: int = 3) -> None:
        self.fine, self.deep = fine, deep
        self.levels = fine_levels if fine else 0

    def content(self, images_NCHW: Tensor) -> list[Tensor]:
        """relu3_1 and relu4_1, for the content loss."""
        return list(self.deep(images_NCHW)[2:4])

    def style_and_content(self, images_NCHW: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """relu1_1 to relu4_1 for the style loss, and what `content` gives."""
        deep = self.deep(images_NCHW)
        fine = self.fine(images_NCHW)[: self.levels] if self.fine else []
        return [*fine, *deep[self.levels : 4]], list(deep[2:4])

    def to(self, device: torch.device) -> Perceptual:
        for network in (self.fine, self.deep):
            if network:
                move(network, device)
        return self


class AdainRecipe:
    """Content by normalised features, style by statistics, and pictures that must survive their own style."""

    def __init__(
        self,
        photos: Pictures,
        art: Pictures,
        perceptual: Perceptual,
        settings: AdainSettings,
        device: torch.device,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.network = SmallStylizer()
        self.settings = settings
        self.perceptual, self.device = perceptual.to(device), device
        self.photos, self.shown_photos = photos.split(every=25)
        self.art, self.shown_art = art.split(every=12)
        self.scales = self.measure_scales()

    def describe(self) -> dict[str, Any]:
        """Counts of pictures and the settings."""
        counts = {"photos": len(self.photos), "art": len(self.art)}
        return {**asdict(self.settings), **counts}

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
        assert isinstance(network, SmallStylizer)
        contents_NCHW, styles_NCHW = batch["contents"], batch["styles"]
        outputs_NCHW, unchanged_NCHW, originals_NCHW = self.render(network, contents_NCHW, styles_NCHW, step)
        with torch.no_grad():
            wanted_content = self.perceptual.content(contents_NCHW)
            wanted_style, _ = self.perceptual.style_and_content(styles_NCHW)
        style, content = self.perceptual.style_and_content(outputs_NCHW)
        parts = {
            "content": self.content_loss(content, wanted_content),
            "style": self.style_loss(style, wanted_style, step),
            "identity": identity_loss(unchanged_NCHW, originals_NCHW),
            "variation": total_variation(outputs_NCHW),
        }
        weights = {
            "content": self.settings.content_weight,
            "style": self.style_weight(step),
            "identity": self.settings.identity_weight,
            "variation": self.settings.variation_weight,
        }
        return torch.stack([weights[name] * part for name, part in parts.items()]).sum(), parts

    def render(
        self, network: SmallStylizer, contents_NCHW: Tensor, styles_NCHW: Tensor, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Stylized contents; half as many pictures that should come back unchanged; those pictures.

        Half of the latter are in their own style, half decoded with no transfer (alpha 0); art on odd steps.
        """
        count = max(2, len(contents_NCHW) // 2)
        half = count // 2
        originals_NCHW = (styles_NCHW if step % 2 else contents_NCHW)[:count]
        contents = network.content_encoder(contents_NCHW)
        sources = network.content_encoder(originals_NCHW) if step % 2 else contents
        references_NCHW = torch.cat([styles_NCHW, originals_NCHW[:half]])
        styles = [channel_statistics(level) for level in network.style_encoder(references_NCHW)]
        levels = []
        for content, source, (mean_NC, deviation_NC) in zip(contents, sources, styles, strict=True):
            batch = len(content)
            stylized = transfer_statistics(content, mean_NC[:batch], deviation_NC[:batch])
            own = transfer_statistics(source[:half], mean_NC[batch:], deviation_NC[batch:])
            levels.append(torch.cat([stylized, own, source[half:count].float()]))
        sizes = [len(contents_NCHW), len(originals_NCHW)]
        outputs_NCHW, unchanged_NCHW = network.decoder(levels).split(sizes)
        return outputs_NCHW, unchanged_NCHW, originals_NCHW

    def content_loss(self, outputs: Sequence[Tensor], contents: Sequence[Tensor]) -> Tensor:
        """relu4_1 and, weighted less, relu3_1, both normalised: colour and contrast are free."""
        detail, shape = (normalised_content_loss(*pair) for pair in zip(outputs, contents, strict=True))
        return shape + self.settings.detail_weight * detail

    def style_loss(self, outputs: Sequence[Tensor], styles: Sequence[Tensor], step: int) -> Tensor:
        """Mean over levels of the terms of a level, each about 1 for the style of any other picture."""
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        weights = {"covariance": settings.covariance_weight, "sliced": settings.wasserstein_weight}
        losses = []
        for level, scales in enumerate(self.scales):
            terms = moment_distances(outputs[level], styles[level])
            if settings.wasserstein_weight:
                terms["sliced"] = self.sliced_loss(outputs[level], styles[level], generator)
            ratios = [weights.get(name, 1.0) * term / scales[name] for name, term in terms.items()]
            losses.append(settings.level_weights[level] * torch.stack(ratios).sum())
        return torch.stack(losses).mean()

    def sliced_loss(self, output_NCHW: Tensor, style_NCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Sliced Wasserstein distance at random positions along random directions."""
        directions_DC = draw_directions(self.settings.directions, output_NCHW.shape[1], generator)
        positions = output_NCHW.shape[2] * output_NCHW.shape[3]
        chosen = torch.randperm(positions, generator=generator)[: self.settings.positions]
        device = output_NCHW.device
        picked = [maps.flatten(2)[:, :, chosen.to(device)] for maps in (output_NCHW, style_NCHW)]
        return sliced_wasserstein(picked[0][..., None], picked[1][..., None], directions_DC.to(device))

    def style_weight(self, step: int) -> float:
        """Linear from the first weight to the final one over the ramp."""
        settings = self.settings
        length = max(1, settings.ramp_end - settings.ramp_start)
        progress = min(1.0, max(0.0, (step - settings.ramp_start) / length))
        return settings.style_weight + progress * (settings.final_style_weight - settings.style_weight)

    @torch.no_grad()
    def measure_scales(self, count: int = 64) -> list[dict[str, Tensor]]:
        """How far two random pictures of the art are apart in each term of each level."""
        generator = step_generator(self.settings.seed, 0, 2)
        crops_NCHW = draw_crops(self.art, count, 128, generator, self.settings.recolour).to(self.device)
        scales = []
        for level_NCHW in self.perceptual.style_and_content(crops_NCHW)[0]:
            first, second = level_NCHW[: count // 2], level_NCHW[count // 2 :]
            directions = torch.Generator().manual_seed(self.settings.seed)
            sliced = self.sliced_loss(first, second, directions)
            scales.append({**moment_distances(first, second), "sliced": sliced})
        return scales

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> Tensor:
        """Validation photographs (rows, the original in front) in validation styles (columns, on top)."""
        styles = [centre_square(image, SHEET_SIZE) for image in (self.shown_art or self.art).images[:8]]
        shown = spread((self.shown_photos or self.photos).images, 5)
        contents = [centre_square(image, SHEET_SIZE) for image in shown]
        rows = [torch.cat([torch.ones(3, SHEET_SIZE, SHEET_SIZE), *styles], dim=2)]
        for content in contents:
            repeated_NCHW = content.expand(len(styles), -1, -1, -1).to(self.device)
            outputs_NCHW = network(repeated_NCHW, torch.stack(styles).to(self.device)).cpu()
            rows.append(torch.cat([content, *outputs_NCHW], dim=2))
        return torch.cat(rows, dim=1)


def spread(items: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """`count` of the items, evenly spaced."""
    return [items[index * len(items) // count] for index in range(min(count, len(items)))]
