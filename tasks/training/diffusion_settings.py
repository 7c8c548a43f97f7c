"""The numbers of a small latent diffusion model's recipe: its autoencoder, its denoiser, and what they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from tasks.records import RequestError
from tasks.training.loop import LoopSettings
from tasks.training.renders import RenderSettings

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Channels = Annotated[tuple[Positive, ...], Field(min_length=2, max_length=5)]

GROUPS = 8  # of every group normalisation: half of diffusers' smallest levels would not divide by its 32
LATENTS = 4  # channels, as Stable Diffusion has
STEPS, BETAS = 1_000, (0.00085, 0.012)  # of the noise, "scaled linear": Stable Diffusion's


@dataclass(frozen=True)
class AutoencoderSettings:
    """Pictures to latents and back, after Rombach et al., CVPR 2022, without the adversary.

    Three levels reduce by 4: of 64 pixels a side 16 places are left, one number of latents for 12 of the picture. By 8,
    as Stable Diffusion does at 512 pixels, it would be one for 48, and nothing small would come back.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    channels: Channels = (32, 64, 64)  # one a level, and a halving between two
    layers: Positive = 1
    batch: Annotated[int, Field(ge=2)] = 8
    recolour: Share = 0.3  # of the crops: more palettes than the pictures have
    perceptual_weight: Weight = 0.25  # over that of the absolute difference
    kl_weight: Weight = 3e-4  # of the mean over the latents' numbers


@dataclass(frozen=True)
class DenoiserSettings:
    """The U-Net over the latents, which reads captions."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    channels: Channels = (32, 64, 96)
    plain_levels: Count = 1  # of the finest, that convolve only: attention there is half of the time of a step
    layers: Positive = 1
    heads: Positive = 4
    batch: Positive = 32
    dropped: Share = 0.12  # of the captions, for guidance without a classifier (Ho and Salimans 2022)
    framed: Share = 0.15  # of captions about style alone, in one of CLIP's prompt templates
    smallest_window: Annotated[float, Field(gt=0, le=1)] = 0.8  # of a picture's side that is shown
    photo_crops: Count = 4  # parts of each photograph, and of each work of art, besides the renders
    art_crops: Count = 40
    guidance: float = 4.0  # of the pictures on sheets, and their steps
    sampling_steps: Positive = 25


@dataclass(frozen=True)
class DiffusionSettings:
    """Both networks, and the text tower that is not trained."""

    size: Annotated[int, Field(ge=16)] = 64  # pixels
    text: str = "embedded:clip-small"  # a CLIP of open_clip; the U-Net attends to its tokens
    autoencoder: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    denoiser: DenoiserSettings = field(default_factory=DenoiserSettings)
    seed: int = 0


@dataclass(frozen=True)
class DiffusionTraining:
    """What to train on, and how.

    `perceptual` is as of a stylizer; `autoencoder_loop` is of the first stage, `loop` of the second.
    """

    photos: Sequence[str | Path]
    art: Sequence[str | Path]
    perceptual: Sequence[str | Path]
    recipe: DiffusionSettings = field(default_factory=DiffusionSettings)
    renders: RenderSettings = field(default_factory=RenderSettings)
    autoencoder_loop: LoopSettings = field(default_factory=LoopSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    image: str | None = None  # Parquet column of the pictures


def stride_of(settings: DiffusionSettings) -> int:
    """Pixels a side that the deepest level of the U-Net sees as one."""
    halvings = len(settings.autoencoder.channels) + len(settings.denoiser.channels) - 2
    return int(2**halvings)


def check(settings: DiffusionSettings) -> None:
    """Raise RequestError where a recipe's settings do not go together, before anything is loaded."""
    denoiser, stride = settings.denoiser, stride_of(settings)
    widths = (*settings.autoencoder.channels, *denoiser.channels)
    reasons = {
        f"size: write a multiple of {max(8, stride)}": settings.size % max(8, stride) > 0,
        f"channels: write multiples of {GROUPS}": any(width % GROUPS for width in widths),
        f"denoiser.heads: write a divisor of every number of its channels, {denoiser.channels}": any(
            width % denoiser.heads for width in denoiser.channels
        ),
        "denoiser.plain_levels: leave one level that reads captions": denoiser.plain_levels >= len(denoiser.channels),
    }
    for reason, holds in reasons.items():
        if holds:
            raise RequestError(f"recipe: {reason}.")
