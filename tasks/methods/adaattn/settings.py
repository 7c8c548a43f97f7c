"""Settings of `adaattn`: which networks, how strong, and which positions of a style are attended to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from tasks.methods.local_settings import LocalSettings

SMALL_WEIGHTS = "embedded:adaattn-small"
# On one core: measured, see NOTES.md. On a GPU: vgg from 37 ms a picture of 512x512 on unnamed hardware (a third
# party's, over 600 transfers), small by the ratio on the core.
SECONDS_PER_MEGAPIXEL = {"small": {"cpu": 1.4, "gpu": 0.01}, "vgg": {"cpu": 20.0, "gpu": 0.15}}


class Defaults(NamedTuple):
    """What a setting left out is, by encoder."""

    max_tokens: int
    max_tokens_deep: int
    epsilon: float


DEFAULTS = {
    # As many tokens as it was trained with, at each level.
    "small": Defaults(max_tokens=512, max_tokens_deep=512, epsilon=1e-6),
    # The authors': max_sample 64 * 64 at relu3_1, 256 * 256 at relu4_1 and relu5_1 (networks.py, adaattn_model.py).
    "vgg": Defaults(max_tokens=64 * 64, max_tokens_deep=256 * 256, epsilon=0.0),
}


class VggWeights(BaseModel):
    """The checkpoints of the published AdaAttN, each a weights reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(description="The normalised VGG-19: vgg_normalised.pth.")
    attention: str = Field(description="Attention at relu3_1: latest_net_adaattn_3.pth.")
    transformer: str = Field(description="Attention at relu4_1 and relu5_1: latest_net_transformer.pth.")
    decoder: str = Field(description="The decoder: latest_net_decoder.pth.")


class GateSettings(BaseModel):
    """StyleKernel's gate: a token counts where its score is above alpha * (the mean score) - beta."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = 1.0
    beta: float = 0.0


class AdaattnSettings(LocalSettings):
    """Adaptive attention normalisation (Liu et al., ICCV 2021)."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 16  # of relu5_1
    encode_reads: ClassVar[frozenset[str]] = frozenset({"encoder"})
    render_reads: ClassVar[frozenset[str]] = frozenset(
        {"encoder", "strength", "max_tokens", "max_tokens_deep", "token_seed", "epsilon", "gate"}
    )

    small_weights: ClassVar[str] = SMALL_WEIGHTS
    how_to_get_vgg: ClassVar[str] = (
        "encoder vgg has no embedded weights: get AdaAttN_model.zip, which the README of Huage001/AdaAttN on "
        "GitHub links to, unpack it, and give the places of its files as weights: {encoder: "
        ".../vgg_normalised.pth, attention: .../latest_net_adaattn_3.pth, transformer: "
        ".../latest_net_transformer.pth, decoder: .../latest_net_decoder.pth}"
    )
    seconds: ClassVar[Mapping[str, Mapping[str, float]]] = SECONDS_PER_MEGAPIXEL

    name: Literal["adaattn"] = "adaattn"
    encoder: Literal["small", "vgg"] = Field(
        default="small",
        description="`small`: our compact network, its weights embedded. `vgg`: the published one.",
    )
    weights: str | VggWeights | None = Field(
        default=None,
        description="`small`: one reference (embedded:adaattn-small). `vgg`: {encoder, attention, transformer, "
        "decoder}, each a reference.",
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Positions of a style picture to attend to at the finest level, 2 pixels apart (small) or 4 "
        "(vgg); a seeded subset. null: 512 (small), 4096 (vgg).",
    )
    max_tokens_deep: int | None = Field(
        default=None, ge=1, description="The same at the levels below. null: 512 (small), 65536 (vgg)."
    )
    epsilon: float | None = Field(
        default=None,
        ge=0,
        description="Below the root of the attended variance. null: 1e-6 (small), 0 as the authors (vgg); the fork "
        "for many pictures has 1e-8.",
    )
    gate: Literal["none"] | GateSettings = Field(
        default="none", description="`none`, or {alpha, beta}: leave out tokens that match worse than most."
    )

    def chosen(self) -> Defaults:
        """The settings that the encoder has defaults of, as they are."""
        own = {name: getattr(self, name) for name in Defaults._fields}
        return DEFAULTS[self.encoder]._replace(**{name: value for name, value in own.items() if value is not None})
