"""The recipe that trains a compact stylizer: what it sees at each step and the losses that judge it.

N images, C channels, H and W pixels; a level is a relu{k}_1 of a VGG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.losses.adaattn import attended_style
from tasks.losses.perceptual import (
    Features,
    draw_directions,
    feature_loss,
    identity_loss,
    moment_distances,
    normalised_content_loss,
    sliced_wasserstein,
    total_variation,
    window_structure_losses,
)
from tasks.methods.adaattn.small import SmallAdaAttN
from tasks.methods.adain.small import SmallStylizer
from tasks.methods.style_kernel.small import SmallStyleKernel, Switches
from tasks.records import RequestError
from tasks.training.data import Pictures, centre_square, draw_crops, step_generator
from tasks.training.loop import move
from tasks.weights.loading import load_tensors
from tasks.weights.references import resolve

SHEET_SIZE = 256


@dataclass(frozen=True)
class StylizerSettings:
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
    local_weight: float = 0.0  # of relu3_1 and relu4_1 against what attention makes of the style (AdaAttN's local loss)
    structure_weight: float = 0.0  # of contrast and structure of the luminance, the terms of SSIM
    adversarial_weight: float = 0.0  # of a discriminator of patches at three scales
    transport_weight: float = 0.0  # of the relaxed earth mover's distance of relu3_1 and relu4_1
    ablated: float = 0.0  # share of steps with a switch of style_kernel turned off, each alike often
    start: str | None = None  # weights whose tensors of equal names are the first ones: embedded:adain-small
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


# Each takes contents and styles NCHW, row by row, and gives images; its `reconstruct` takes images alone.
NETWORKS: dict[str, Callable[[], SmallStylizer | SmallAdaAttN | SmallStyleKernel]] = {
    "adain": SmallStylizer,
    "adaattn": SmallAdaAttN,
    "style_kernel": SmallStyleKernel,
}
ABLATIONS = ({"gated": False}, {"shuffled": False}, {"taps": 3}, {"taps": 1})


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
        self.network = NETWORKS[name]()
        if settings.start:
            start_from(self.network, load_tensors(resolve(settings.start)))
        self.perceptual, self.device = perceptual.to(device), device
        self.photos, self.shown_photos = photos.split(every=25)
        self.art, self.shown_art = art.split(every=12)
        self.scales = self.measure_scales()

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
        contents_NCHW, styles_NCHW = batch["contents"], batch["styles"]
        outputs_NCHW = network(contents_NCHW, styles_NCHW, **self.switches(step))
        with torch.no_grad():
            wanted_style, _ = self.perceptual.style_and_content(styles_NCHW)
            contents, styles = self.perceptual.deep(contents_NCHW), self.perceptual.deep(styles_NCHW)
        style, content = self.perceptual.style_and_content(outputs_NCHW)
        settings = self.settings
        parts = {
            "content": (settings.content_weight, lambda: self.content_loss(content, contents[2:4])),
            "style": (self.style_weight(step), lambda: self.style_loss(style, wanted_style, step)),
            "identity": (settings.identity_weight, lambda: self.identity_loss(network, batch, step)),
            "variation": (settings.variation_weight, lambda: total_variation(outputs_NCHW)),
            "local": (settings.local_weight, lambda: self.local_loss(content, contents, styles)),
            "structure": (
                settings.structure_weight,
                lambda: window_structure_losses(outputs_NCHW, contents_NCHW).mean(),
            ),
        }
        losses = {name: (weight, loss()) for name, (weight, loss) in parts.items() if weight}
        total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        return total, {name: loss for name, (_, loss) in losses.items()}

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
        own_NCHW, plain_NCHW = originals_NCHW[:half], originals_NCHW[half : 2 * half]
        assert isinstance(network, SmallStylizer | SmallAdaAttN | SmallStyleKernel)
        same = identity_loss(network(own_NCHW, own_NCHW), own_NCHW)
        return (same + identity_loss(network.reconstruct(plain_NCHW), plain_NCHW)) / 2

    def local_loss(self, outputs: Features, contents: Features, styles: Features) -> Tensor:
        """AdaAttN's at relu3_1 and relu4_1, each in units of the squared distance of its target to the content."""
        losses = []
        for level, output_NCHW in zip((2, 3), outputs, strict=True):
            wanted_NCHW = attended_style(contents, styles, level)
            losses.append(feature_loss(output_NCHW, wanted_NCHW) / feature_loss(contents[level], wanted_NCHW))
        return torch.stack(losses).mean()

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


def start_from(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network the tensors of its own names and shapes; others keep their first values.

    Raises RequestError where there are none.
    """
    own = network.state_dict()
    shared = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    if not shared:
        raise RequestError("recipe.start names weights with no tensor of this network: name those of a compact one.")
    network.load_state_dict({**own, **shared})


def spread(items: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """`count` of the items, evenly spaced."""
    return [items[index * len(items) // count] for index in range(min(count, len(items)))]
