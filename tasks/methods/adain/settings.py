"""Settings of `adain`: which encoder, how strong, whose colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.methods.base_settings import Settings, resolve_weights
from tasks.methods.text_settings import TextSettings

SMALL_WEIGHTS = "embedded:adain-small"
# On one core: measured, see NOTES.md. On a GPU: vgg from the authors' 15 pictures of 512x512 a second (Titan
# X, README of xunhuang1995/AdaIN-style), small from that by the ratio on the core.
SECONDS_PER_MEGAPIXEL = {"small": {"cpu": 0.7, "gpu": 0.02}, "vgg": {"cpu": 9.0, "gpu": 0.25}}


class VggWeights(BaseModel):
    """The two checkpoints of the published AdaIN, each a weights reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(description="The normalised VGG-19: vgg_normalised.pth.")
    decoder: str = Field(description="The decoder that was trained with it: decoder.pth.")


class AdainSettings(Settings):
    """Adaptive instance normalisation (Huang and Belongie, ICCV 2017)."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 8
    represent_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "preserve_color", "style_size"})
    encode_reads: ClassVar[frozenset[str]] = frozenset({"encoder"})
    render_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "strength"})
    text_fields: ClassVar[frozenset[str]] = frozenset({"texts"})
    accepts_texts: ClassVar[bool] = True

    name: Literal["adain"] = "adain"
    encoder: Literal["small", "vgg"] = Field(
        default="small",
        description="`small`: our compact network, its weights embedded. `vgg`: the published one.",
    )
    weights: str | VggWeights | None = Field(
        default=None,
        description="`small`: one reference (embedded:adain-small). `vgg`: {encoder: ..., decoder: ...}.",
    )
    strength: float = Field(default=1.0, ge=0, le=1, description="How much of the style: 0 reconstructs the content.")
    preserve_color: bool = Field(
        default=False,
        description="Keep the content's colours: each style is recoloured for each content, which is slower.",
    )
    style_size: int = Field(
        default=512, ge=16, le=4096, description="Longest side of a style picture in pixels; never enlarged."
    )
    texts: TextSettings = Field(
        default_factory=TextSettings, description="How a picture is painted for a style that is a text."
    )

    @model_validator(mode="after")
    def _weights_fit_the_encoder(self) -> Self:
        if self.encoder == "vgg" and not isinstance(self.weights, VggWeights):
            raise ValueError(
                "encoder vgg has no embedded weights: get vgg_normalised.pth and decoder.pth from "
                "release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub and give their places as "
                "weights: {encoder: .../vgg_normalised.pth, decoder: .../decoder.pth}"
            )
        if self.encoder == "small" and isinstance(self.weights, VggWeights):
            raise ValueError("encoder small takes one weights reference; {encoder, decoder} belong to encoder: vgg")
        return self

    def weight_references(self) -> dict[str, str]:
        if isinstance(self.weights, VggWeights):
            return {"encoder": self.weights.encoder, "decoder": self.weights.decoder}
        return {"weights": self.weights or SMALL_WEIGHTS}

    def text_settings(self) -> TextSettings:
        return self.texts

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        places = {"weights": resolve_weights(self.weights, resolve), "texts": self.texts.resolve_paths(resolve)}
        return self.model_copy(update=places)

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        return SECONDS_PER_MEGAPIXEL[self.encoder]["cpu" if device == "cpu" else "gpu"]
