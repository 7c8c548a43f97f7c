"""Random pictures to start an optimisation from: blots and strokes, or photographs, in ramps of colour.

Dimension key: M pictures, S side, G side of a grid of noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def random_pictures(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Blots and strokes in random ramps of colour, M3SS in [0, 1]."""
    return torch.stack([random_picture(side, generator) for _ in range(count)])


def random_picture(side: int, generator: torch.Generator) -> Tensor:
    """Smooth noise through a random ramp of colour, 3SS."""
    ramp = torch.rand(7, generator=generator).tolist()
    cells = [int(side) for side in 2 ** torch.randint(1, 6, (2,), generator=generator)]
    noise_11GG = torch.randn(1, 1, *cells, generator=generator) * (0.5 + 3 * ramp[-1])
    level_SS = torch.sigmoid(F.interpolate(noise_11GG, (side, side), mode="bicubic", align_corners=False))[0, 0]
    return color_by_ramp(level_SS, ramp)


def color_by_ramp(level_SS: Tensor, ramp: Sequence[float]) -> Tensor:
    """Levels in [0, 1] through a ramp from a dark colour to a light one, 3SS: so are most pictures of one style.

    The ramp is six numbers in [0, 1]. Hue drifts by up to a third of the circle; one in four is grey, or nearly.
    """
    dark, light, hue, drift, first, last = ramp[:6]
    value_SS = 0.5 * dark + (0.4 + 0.6 * light - 0.5 * dark) * level_SS
    saturation_SS = (4 / 3 * (first + (last - first) * level_SS) - 1 / 3).clamp(0, 1)
    return from_hsv(hue + (drift - 0.5) * 2 / 3 * level_SS, saturation_SS, value_SS).clamp(0.02, 0.98)


def draw_ramp(generator: torch.Generator) -> list[float]:
    """A ramp of one hue or two, as most styles have: sepia is one in thirty; with any hues it was one in a hundred."""
    ramp = torch.rand(6, generator=generator).tolist()
    ramp[3] = 0.5 + 4 * (ramp[3] - 0.5) ** 3
    return ramp


def level_of(picture_3SS: Tensor) -> Tensor:
    """How light a picture is at each place, SS, from 0 at its darkest to 1 at its lightest."""
    mean_SS = picture_3SS.mean(0)
    return (mean_SS - mean_SS.min()) / (mean_SS.max() - mean_SS.min()).clamp_min(1e-3)


def from_hsv(hue_SS: Tensor, saturation_SS: Tensor, value_SS: Tensor) -> Tensor:
    """RGB 3SS of hue (turns, any), saturation and value in [0, 1] (A. R. Smith, Color Gamut Transform Pairs, 1978)."""
    sector_3SS = (torch.tensor([5.0, 3.0, 1.0], device=hue_SS.device)[:, None, None] + 6 * hue_SS) % 6
    return value_SS - value_SS * saturation_SS * torch.minimum(sector_3SS, 4 - sector_3SS).clamp(0, 1)
