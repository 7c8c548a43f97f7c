"""The numbers of a small StyleGAN3's recipe and of its loop: sizes, losses, patches, and a budget of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tasks.training.loop import LoopSettings

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Stylegan3Settings:
    """Config T of StyleGAN3, small, and the adversary that it learns from.

    `r1_weight` and the blur's first width are those of the authors' config T at small sizes (their training guide and
    train.py); all that is counted in images was scaled from their millions to the few 100,000 of a short training.
    """

    resolution: Literal[16, 32, 64, 128, 256] = 128
    channels_base: Positive = 4_096  # channels times twice the cutoff: 32 at 128 px' last layers
    channels_max: Positive = 192
    # Of the synthesis, without the one to colours; the authors' 14 take a half longer.
    layers: Annotated[int, Field(ge=6)] = 10
    latent: Positive = 256  # numbers of z and of w
    batch: Annotated[int, Field(ge=2)] = 32
    discriminator_base: Positive = 4_096  # channels times the side of a level: 32 at 128 px
    discriminator_max: Positive = 256
    discriminator_rate: Annotated[float, Field(gt=0)] = 0.8  # of the generator's learning rate: 2e-3 of 2.5e-3
    r1_weight: Annotated[float, Field(ge=0)] = 1.0
    r1_interval: Positive = 16  # steps from one penalty to the next (lazy regularisation)
    blur_sigma: Annotated[float, Field(ge=0)] = 10.0  # pixels, of what the discriminator sees at first
    blur_images: int = 20_000  # until which it fades
    average_images: Positive = 20_000  # half life of the generator's moving average
    augment: Share = 0.5  # of what the discriminator sees, real or made
    recolour: Share = 0.3  # of the patches: other palettes than the works have
    smallest_window: Positive = 96  # of a patch, in pixels of a work of at most `short_side`
    short_side: Positive = 512  # works are kept no larger
    judge: str | None = None  # a CLIP that tells at each checkpoint how far pictures are from patches
    judged: Annotated[int, Field(ge=2)] = 500  # pictures, and as many patches
    seed: int = 0


@dataclass(frozen=True)
class TimedLoop(LoopSettings):
    """As other loops, but a run may end by the clock, at a learning rate that stays; patches need no processes."""

    steps: int = 1_000_000
    seconds: float | None = None  # at most, of this call
    learning_rate: float = 2.5e-3  # the authors' for config T
    final_learning_rate: float = 2.5e-3
    clip_norm: float = 1e6  # the authors clip nothing
    sheet_steps: int = 500


@dataclass(frozen=True)
class Stylegan3Training:
    """What to train a generator on, and how."""

    art: Sequence[str | Path]
    recipe: Stylegan3Settings = field(default_factory=Stylegan3Settings)
    loop: TimedLoop = field(default_factory=TimedLoop)
    image: str | None = None  # Parquet column of the pictures
