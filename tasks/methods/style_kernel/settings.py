"""Settings of `style_kernel`: which encoder, how strong, and which of its parts are on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.methods.local_settings import LocalSettings
from tasks.methods.style_kernel.architecture import ARCHITECTURES, Architecture

SMALL_WEIGHTS = "embedded:style-kernel-small"
# On one core: measured, see NOTES.md. On a GPU: from the 35 ms a picture of 512x512 that a third party reports of the
# paper, for vgg; small by the ratio on the core.
SECONDS_PER_MEGAPIXEL = {"small": {"cpu": 1.8, "gpu": 0.03}, "vgg": {"cpu": 8.5, "gpu": 0.14}}


class VggWeights(BaseModel):
    """The published encoder and what was trained on it, each a weights reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(description="The normalised VGG-19: vgg_normalised.pth.")
    network: str = Field(description="What `atelier train style_kernel` made with it: alignment, kernels, decoder.")


class StyleKernelSettings(LocalSettings):
    """Dynamic style kernels (after Xu, Long and Nie, CVPR 2023): an implementation of the idea, see NOTES.md."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 8
    encode_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "architecture"})
    render_reads: ClassVar[frozenset[str]] = frozenset(
        {"encoder", "architecture", "strength", "max_tokens", "token_seed", "gated", "shuffled", "kernel"}
    )

    small_weights: ClassVar[str] = SMALL_WEIGHTS
    how_to_get_vgg: ClassVar[str] = (
        "encoder vgg has no weights that anybody published: get vgg_normalised.pth from release v0.0.0 of "
        "naoto0804/pytorch-AdaIN on GitHub, train with `atelier train style_kernel` (recipe: {encoder: vgg, "
        "encoder_weights: .../vgg_normalised.pth}), and write weights: {encoder: .../vgg_normalised.pth, "
        "network: .../NAME.safetensors}"
    )
    seconds: ClassVar[Mapping[str, Mapping[str, float]]] = SECONDS_PER_MEGAPIXEL

    name: Literal["style_kernel"] = "style_kernel"
    encoder: Literal["small", "vgg"] = Field(
        default="small",
        description="`small`: our compact network, its weights embedded. `vgg`: over VGG-19, trained by yourself.",
    )
    weights: str | VggWeights | None = Field(
        default=None,
        description="`small`: one reference (embedded:style-kernel-small). `vgg`: {encoder: ..., network: ...}.",
    )
    architecture: Architecture | None = Field(
        default=None, description="Sizes that the weights were trained in, where they are not the encoder's usual ones."
    )
    max_tokens: int = Field(
        default=4096, ge=1, description="Positions of a style picture, 8 pixels apart, to attend to; a seeded subset."
    )
    gated: bool = Field(default=True, description="Leave out tokens that match worse than the content's threshold.")
    shuffled: bool = Field(default=True, description="Shuffle channels between a position's kernels.")
    kernel: int | None = Field(
        default=None, ge=1, description="Central taps of each kernel to use, odd; null uses all that there are."
    )

    @model_validator(mode="after")
    def _a_kernel_has_a_centre(self) -> Self:
        if self.kernel is not None and (self.kernel % 2 == 0 or self.kernel > self.sizes().taps):
            raise ValueError(f"kernel: write an odd number up to {self.sizes().taps}, the taps of these kernels")
        return self

    def sizes(self) -> Architecture:
        """Those given, or the encoder's usual ones."""
        return self.architecture or ARCHITECTURES[self.encoder]
