"""The numbers of a stylizer's recipe, each loss with a weight of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StylizerSettings:
    """A loss whose weight is 0 is off, and not computed.

    Style terms are in units of how far two random pictures of the art are apart.
    """

    encoder: Literal["small", "vgg"] = "small"
    encoder_weights: str | None = None  # of `vgg`: a reference to vgg_normalised.pth; its encoder stays as it is
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
    transport_weight: float = 0.0  # of the relaxed earth mover's distance of relu3_1 and relu4_1, 0 to 2
    transport_positions: int = 1_024  # of each map, drawn by seed and step: the costs are a matrix of the square of it
    adversarial_weight: float = 0.0  # of a discriminator of patches at three scales, whose real pictures are the art
    adversarial_start: int = 0  # the step from which both learn from each other
    discriminator_width: int = 32
    ablated: float = 0.0  # share of steps with a switch of style_kernel turned off, each alike often
    start: str | None = None  # weights whose tensors of equal names are the first ones: embedded:adain-small
    start_names: tuple[str, ...] = ("*",)  # which of those, as shell patterns
    recolour: float = 0.3  # share of style crops with changed colours
    directions: int = 32  # of the sliced distance, a level
    positions: int = 1_024  # of the sliced distance, a level, drawn at random where there are more
    seed: int = 0

    def weights(self) -> tuple[float, ...]:
        """Of all losses, at their highest."""
        return (
            self.content_weight,
            max(self.style_weight, self.final_style_weight),
            self.identity_weight,
            self.variation_weight,
            self.local_weight,
            self.structure_weight,
            self.transport_weight,
            self.adversarial_weight,
        )
