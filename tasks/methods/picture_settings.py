"""Settings that methods share: over our compact encoder or a published VGG; and of those driven by pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from tasks.methods.base_settings import Settings
from tasks.methods.text_settings import TextSettings
from tasks.weights.references import is_path


class EncoderSettings(Settings):
    """A subclass narrows `weights` to one reference, for `small`, or a model of several, for `vgg`."""

    small_weights: ClassVar[str]  # of `small`, where none are named
    how_to_get_vgg: ClassVar[str]  # a sentence for those who name `vgg` without weights

    encoder: Literal["small", "vgg"] = Field(
        default="small", description="`small`: our compact network, its weights embedded. `vgg`: over VGG-19."
    )
    weights: Any = Field(default=None, description="One reference, or several.")

    @model_validator(mode="after")
    def _weights_fit_the_encoder(self) -> Self:
        several = isinstance(self.weights, BaseModel)
        if self.encoder == "vgg" and not several:
            raise ValueError(self.how_to_get_vgg)
        if self.encoder == "small" and several:
            raise ValueError("encoder small takes one weights reference; several belong to encoder: vgg")
        return self

    def weight_references(self) -> dict[str, str]:
        if isinstance(self.weights, BaseModel):
            return dict(self.weights)
        return {"weights": self.weights or self.small_weights}

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        return self.model_copy(update={"weights": resolve_weights(self.weights, resolve)})


class PictureSettings(EncoderSettings):
    """Settings of a method that is driven by style pictures; those of texts are painted."""

    represent_reads: ClassVar[frozenset[str]] = frozenset({"style_size"})
    encode_reads: ClassVar[frozenset[str]] = frozenset({"encoder"})
    render_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "strength"})
    text_fields: ClassVar[frozenset[str]] = frozenset({"texts"})
    accepts_texts: ClassVar[bool] = True
    accepts_masks: ClassVar[bool] = True
    mixes_by_place: ClassVar[bool] = True

    seconds: ClassVar[Mapping[str, Mapping[str, float]]]  # a megapixel, by encoder and then cpu (one core) or gpu

    strength: float = Field(default=1.0, ge=0, le=1, description="How much of the style: 0 reconstructs the content.")
    style_size: int = Field(
        default=512, ge=16, le=4096, description="Longest side of a style picture in pixels; never enlarged."
    )
    texts: TextSettings = Field(
        default_factory=TextSettings, description="How a picture is painted for a style that is a text."
    )

    def text_settings(self) -> TextSettings:
        return self.texts

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        return super().resolve_paths(resolve).model_copy(update={"texts": self.texts.resolve_paths(resolve)})

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        return self.seconds[self.encoder]["cpu" if device == "cpu" else "gpu"]


def resolve_weights(weights: Any, resolve: Callable[[str], str]) -> Any:
    """A weights reference, a model of several, or None; those that are paths replaced by `resolve` of them."""
    if isinstance(weights, BaseModel):
        return weights.model_copy(update={name: resolve_weights(reference, resolve) for name, reference in weights})
    return resolve(weights) if weights is not None and is_path(weights) else weights
