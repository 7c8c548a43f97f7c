"""What judges a stylized picture in training by its content and its style, each loss with its own switch.

N images, C channels, H and W pixels; a level is a relu{k}_1 of a VGG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.losses.adaattn import attended_style
from tasks.losses.perceptual import (
    Features,
    draw_directions,
    feature_loss,
    moment_distances,
    normalised_content_loss,
    sliced_wasserstein,
    total_variation,
    window_structure_losses,
)
from tasks.losses.transport import sample_features, transport_losses
from tasks.training.perception import Perceptual
from tasks.training.stylizer_settings import StylizerSettings

Parts = dict[str, tuple[float, Tensor]]  # by name, a loss's weight and its value
DEEP = (2, 3)  # relu3_1 and relu4_1, where what a picture shows is compared


@dataclass(frozen=True)
class Seen:
    """A step's pictures NCHW and their features: `styles` and `contents` are the perceptual network's deep levels."""

    outputs_NCHW: Tensor
    contents_NCHW: Tensor
    outputs: Features
    output_style: Features
    wanted_style: Features
    contents: Features
    styles: Features


class StylizerLosses:
    """`scales` are how far two random pictures of the art are apart in each style term of each level."""

    def __init__(
        self, perceptual: Perceptual, settings: StylizerSettings, scales: Sequence[dict[str, Tensor]] = ()
    ) -> None:
        self.perceptual, self.settings, self.scales = perceptual, settings, scales

    def judge(self, outputs_NCHW: Tensor, contents_NCHW: Tensor, styles_NCHW: Tensor, step: int) -> Parts:
        """The losses that are on, with their weights at this step."""
        seen = self.see(outputs_NCHW, contents_NCHW, styles_NCHW)
        settings = self.settings
        parts = {
            "content": (settings.content_weight, lambda: self.content_loss(seen)),
            "style": (self.style_weight(step), lambda: self.style_loss(seen.output_style, seen.wanted_style, step)),
            "variation": (settings.variation_weight, lambda: total_variation(outputs_NCHW)),
            "local": (settings.local_weight, lambda: local_loss(seen)),
            "structure": (
                settings.structure_weight,
                lambda: window_structure_losses(outputs_NCHW, contents_NCHW).mean(),
            ),
            "transport": (settings.transport_weight, lambda: self.transport_loss(seen, step)),
        }
        # In half precision differences of squares, and of products of features, would be noise.
        with torch.autocast(outputs_NCHW.device.type, enabled=False):
            return {name: (weight, loss()) for name, (weight, loss) in parts.items() if weight}

    def see(self, outputs_NCHW: Tensor, contents_NCHW: Tensor, styles_NCHW: Tensor) -> Seen:
        """Features of all three, with gradients through the outputs alone."""
        with torch.no_grad():
            wanted_style, styles = self.perceptual.look(styles_NCHW)
            contents = [level.float() for level in self.perceptual.deep(contents_NCHW)]
        output_style, outputs = self.perceptual.look(outputs_NCHW)
        return Seen(outputs_NCHW, contents_NCHW, outputs, output_style, wanted_style, contents, styles)

    def content_loss(self, seen: Seen) -> Tensor:
        """relu4_1 and, weighted less, relu3_1, both normalised: colour and contrast are free."""
        detail, shape = (normalised_content_loss(seen.outputs[level], seen.contents[level]) for level in DEEP)
        return shape + self.settings.detail_weight * detail

    def style_loss(self, outputs: Sequence[Tensor], styles: Sequence[Tensor], step: int) -> Tensor:
        """Mean over levels of the terms of a level, each about 1 for the style of any other picture."""
        settings = self.settings
        generator = self.generator(step)
        weights = {"covariance": settings.covariance_weight, "sliced": settings.wasserstein_weight}
        losses = []
        for level, scales in enumerate(self.scales):
            terms = moment_distances(outputs[level], styles[level])
            if settings.wasserstein_weight:
                terms["sliced"] = self.sliced_loss(outputs[level], styles[level], generator)
            ratios = [weights.get(name, 1.0) * term / scales[name] for name, term in terms.items()]
            losses.append(settings.level_weights[level] * torch.stack(ratios).sum())
        return torch.stack(losses).mean()

    def transport_loss(self, seen: Seen, step: int) -> Tensor:
        """Relaxed earth mover's distance of relu3_1 and relu4_1 (STROTSS), mean over both."""
        generator, count = self.generator(step), self.settings.transport_positions
        losses = []
        for level in DEEP:
            samples = [sample_features(maps[level], generator, count) for maps in (seen.outputs, seen.styles)]
            losses.append(transport_losses(*samples).mean())
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
    def scale_to(self, art_NCHW: Tensor) -> None:
        """Measure how far random pictures of the art are apart: the first half of these and the second."""
        half = len(art_NCHW) // 2
        scales = []
        for level_NCHW in self.perceptual.style(art_NCHW):
            first, second = level_NCHW[:half], level_NCHW[half : 2 * half]
            sliced = self.sliced_loss(first, second, torch.Generator().manual_seed(self.settings.seed))
            scales.append({**moment_distances(first, second), "sliced": sliced})
        self.scales = scales

    def generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)


def local_loss(seen: Seen) -> Tensor:
    """AdaAttN's at relu3_1 and relu4_1, each in units of the squared distance of its target to the content."""
    losses = []
    for level in DEEP:
        wanted_NCHW = attended_style(seen.contents, seen.styles, level)
        apart = feature_loss(seen.contents[level], wanted_NCHW)
        losses.append(feature_loss(seen.outputs[level], wanted_NCHW) / apart)
    return torch.stack(losses).mean()
