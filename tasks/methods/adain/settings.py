"""Settings of `adain`: which encoder, how strong, whose colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.methods.picture_settings import PictureSettings

SMALL_WEIGHTS = "embedded:adain-small"
# On one core: measured, see NOTES.md. On a GPU: vgg from the authors' 15 pictures of 512x512 a second (Titan
# X, README of xunhuang1995/AdaIN-style), small from that by the ratio on the core.
SECONDS_PER_MEGAPIXEL = {"small": {"cpu": 0.7, "gpu": 0.02}, "vgg": {"cpu": 9.0, "gpu": 0.25}}


class VggWeights(BaseModel):
    """The two checkpoints of the published AdaIN, each a weights reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(description="The normalised VGG-19: vgg_normalised.pth.")
    decoder: str = Field(description="The decoder that was trained with it: decoder.pth.")


class AdainSettings(PictureSettings):
    """Adaptive instance normalisation (Huang and Belongie, ICCV 2017)."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 8
    varies_strength: ClassVar[bool] = True
    represent_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "preserve_color", "style_size"})

    small_weights: ClassVar[str] = SMALL_WEIGHTS
    how_to_get_vgg: ClassVar[str] = (
        "encoder vgg has no embedded weights: get vgg_normalised.pth and decoder.pth from "
        "release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub and give their places as "
        "weights: {encoder: .../vgg_normalised.pth, decoder: .../decoder.pth}"
    )
    seconds: ClassVar[Mapping[str, Mapping[str, float]]] = SECONDS_PER_MEGAPIXEL

    name: Literal["adain"] = "adain"
    encoder: Literal["small", "vgg"] = Field(
        default="small",
        description="`small`: our compact network, its weights embedded. `vgg`: the published one.",
    )
    weights: str | VggWeights | None = Field(
        default=None,
        description="`small`: one reference (embedded:adain-small). `vgg`: {encoder: ..., decoder: ...}.",
    )
    preserve_color: bool = Field(
        default=False,
        description="Keep the content's colours: each style is recoloured for each content, which is slower.",
    )
