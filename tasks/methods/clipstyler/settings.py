"""Settings of `clipstyler`: a network optimised for each pair, or a decoder tuned to each style."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.encoders.clip_models import find_model, resolve_path
from tasks.methods.base_settings import fill_for_embedded
from tasks.methods.clipstyler.photographs import digest_photographs
from tasks.methods.picture_settings import EncoderSettings, resolve_weights
from tasks.samples.photographs import neutral_digest

SMALL_WEIGHTS = "embedded:style-kernel-small"  # of the compact networks the one whose features live at every depth
VGG19 = "write weights: {vgg19: vgg19-torchvision}, which is fetched, or name the place of vgg19-dcbb9e9d.pth"
ADAIN_FILES = (
    "write weights: {encoder: adain-vgg-encoder, decoder: adain-vgg-decoder}, which are fetched, or name the places of "
    "vgg_normalised.pth and decoder.pth"
)
# Seconds a step and megapixel of a picture, and a step and crop of the embedded CLIP: on one core in float32, and on an
# H100 for a pair among 16 (infra/bench/2026-11-27-clipstyler.md).
STEP_SECONDS = {"cpu": (7.0, 0.012), "gpu": (0.033, 0.00005)}
CROP_MEGAPIXELS = 0.26  # crops cost the same whatever the image: spread over one of 512x512
# Seconds a megapixel to encode and decode; on a GPU from the core's by the ratio of adain's.
FAST_SECONDS = {"small": {"cpu": 0.5, "gpu": 0.015}, "vgg": {"cpu": 9.0, "gpu": 0.25}}


class Vgg19Weights(BaseModel):
    """The network of the content loss where a pair's U-Net is optimised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vgg19: str = Field(description="torchvision's VGG-19, the whole one or its features.")


class AdainWeights(BaseModel):
    """The two checkpoints of the published AdaIN, which the fast version starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(description="The normalised VGG-19: vgg_normalised.pth.")
    decoder: str = Field(description="The decoder that was trained with it: decoder.pth.")


# What the compact decoder (fast) and the embedded CLIP (optimize) need: chosen by photographs set apart from those of
# the figures, at 256 pixels (NOTES.md).
FOR_SMALL: dict[str, Any] = {
    "threshold": 0.0,
    "learning_rate": 1e-3,
    "steps": 80,
    "views": 8,
    "crop_size": 128,
    "structure_weight": 2.0,
    "range_weight": 10.0,
}
FOR_EMBEDDED: dict[str, Any] = {
    "start": "style",
    "threshold": 0.0,
    "learning_rate": 2e-3,
    "steps": 11,
    "crops": 16,
    "crop_size": 96,
    "content_weight": 600.0,
    "structure_weight": 1800.0,
}


class TunedDecoder(BaseModel):
    """A decoder that was tuned to a text before, ours or the authors'; the text's references are rendered with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1, description="As in the style's reference.")
    weights: str = Field(description="A weights reference.")


class ClipstylerSettings(EncoderSettings):
    """What both modes have in common (Kwon and Ye, CVPR 2022)."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 8
    encode_reads: ClassVar[frozenset[str]] = frozenset({"mode", "encoder"})
    accepts_texts: ClassVar[bool] = True
    accepts_masks: ClassVar[bool] = True
    small_weights: ClassVar[str] = SMALL_WEIGHTS

    clip: str = Field("embedded:clip-small", description="CLIP in the losses: NAME/TAG, local-dir:PATH, embedded:NAME.")
    threshold: float = Field(
        0.7,
        ge=0,
        le=2,
        description="A patch whose loss is below this counts as done: 0.7 where OpenAI's CLIP begins to see a style; a "
        "small CLIP does so earlier. 0 leaves none out.",
    )
    source: str = Field("a Photo", min_length=1, description="Words for a content, where a text's direction starts.")
    contrast: float = Field(
        1.0, ge=0.1, le=10, description="Of the finished picture; the authors write theirs with 1.5."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of the networks' arithmetic; auto: bfloat16 on a GPU, in half of the time; float32 on a CPU.",
    )
    style_size: int = Field(512, ge=16, le=4096, description="Longest side of a style picture; never enlarged.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the crops of style pictures, and of tuning.")

    def weight_digests(self) -> dict[str, str]:
        return super().weight_digests() | {"clip": find_model(self.clip).digest(), "neutral": neutral_digest()}

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        return super().resolve_paths(resolve).model_copy(update={"clip": resolve_path(self.clip, resolve)})


class OptimizeSettings(ClipstylerSettings):
    """A U-Net for each pair; defaults of train_CLIPstyler.py, and FOR_EMBEDDED where `clip` is an embedded one."""

    represent_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("mode", "source", "crops", "crop_size", "style_size", "seed", "start"),
            # What the networks to start from are tuned by.
            *("encoder", "threshold", "learning_rate", "direction_weight", "patch_weight", "content_weight"),
            *("variation_weight", "structure_weight", "precision"),
        }
    )
    encode_reads: ClassVar[frozenset[str]] = frozenset({"mode", "encoder", "precision"})
    render_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("encoder", "threshold", "contrast", "crops", "crop_size", "steps", "plateau", "learning_rate"),
            *("direction_weight", "patch_weight", "content_weight", "variation_weight"),
            *("structure_weight", "precision"),
        }
    )
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights", "clip"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"pairs_at_once"})
    represent_at_once: ClassVar[int] = 1  # a minute each where networks start from the style
    how_to_get_vgg: ClassVar[str] = f"encoder vgg has no embedded weights: {VGG19}"

    name: Literal["clipstyler"] = "clipstyler"
    mode: Literal["optimize"]
    weights: str | Vgg19Weights | None = Field(
        None,
        description=f"Of the content loss. `small`: one reference ({SMALL_WEIGHTS}). `vgg`: {{vgg19: ...}}.",
    )
    steps: int = Field(
        201, ge=1, le=100_000, description="Passes through the network; each but the last is followed by an update."
    )
    start: Literal["random", "style"] = Field(
        "random",
        description="`style`: networks start from one that `represent` has tuned to the style on the neutral "
        "photographs, in a minute or two; a fraction of the steps is enough then.",
    )
    plateau: float = Field(
        0.0, ge=0, lt=1, description="Stop a pair whose loss fell by less than this share over 20 steps; 0: never."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Of Adam; halved after 99 updates and every 100 more.")
    direction_weight: float = Field(500.0, ge=0, description="Of the whole picture's direction.")
    patch_weight: float = Field(9000.0, ge=0, description="Of the patches' directions.")
    content_weight: float = Field(150.0, ge=0, description="Of the difference to the content's features.")
    variation_weight: float = Field(2e-3, ge=0, description="Of total variation.")
    structure_weight: float = Field(
        0.0, ge=0, description="Of shades lost, beside the content's features; the authors have none."
    )
    crops: int = Field(64, ge=1, le=4096, description="Patches of an output a step; and of a style picture.")
    crop_size: int = Field(128, ge=8, le=4096, description="Side of a patch in pixels.")
    pairs_at_once: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Pairs optimised as one program; auto: 16 on a GPU, 1 on a CPU."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_embedded(cls, values: Any) -> Any:
        """Those of an embedded CLIP, where that is the one and a field is not given."""
        return fill_for_embedded(values, FOR_EMBEDDED)

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        picture, crop = STEP_SECONDS["cpu" if device == "cpu" else "gpu"]
        return self.steps * (picture + self.crops * crop / CROP_MEGAPIXELS)


class FastSettings(ClipstylerSettings):
    """A decoder tuned to each style on photographs; defaults of train_fast.py for `vgg`, FOR_SMALL for `small`."""

    represent_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("mode", "encoder", "threshold", "source", "style_size", "seed", "crop_size", "views", "batch", "steps"),
            *("learning_rate", "direction_weight", "patch_weight", "content_weight", "variation_weight"),
            *("structure_weight", "range_weight", "precision"),
        }
    )
    render_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "strength", "contrast"})
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights", "clip", "photographs", "decoders"})
    represent_at_once: ClassVar[int] = 1  # half a minute each, and nothing shared that an actor does not keep
    how_to_get_vgg: ClassVar[str] = f"encoder vgg has no embedded weights: {ADAIN_FILES}"

    name: Literal["clipstyler"] = "clipstyler"
    mode: Literal["fast"]
    weights: str | AdainWeights | None = Field(
        None, description=f"`small`: one reference ({SMALL_WEIGHTS}). `vgg`: {{encoder: ..., decoder: ...}}."
    )
    strength: float = Field(
        1.0, ge=0, le=1, description="From the decoder as it was (0) to the tuned one, by their weights."
    )
    decoders: tuple[TunedDecoder, ...] = Field(
        (),
        description="Decoders tuned before, each for the styles that have its text: "
        "[{text: a pencil sketch, weights: .../clip_decoder_iter_200.pth.tar}].",
    )
    photographs: str | None = Field(
        None, description="Folder of the pictures to tune on, at most 1,000; default: the neutral photographs."
    )
    steps: int = Field(200, ge=1, le=100_000, description="Updates of a decoder.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Of Adam; shrinks slowly.")
    batch: int = Field(4, ge=1, le=256, description="Photographs a step.")
    views: int = Field(16, ge=1, le=256, description="Tilted views of each output a step.")
    crop_size: int = Field(224, ge=32, le=2048, description="Side of the photographs' crops in pixels.")
    direction_weight: float = Field(1.0, ge=0, description="Of the whole output's direction.")
    patch_weight: float = Field(10.0, ge=0, description="Of the tilted views' directions.")
    content_weight: float = Field(1.0, ge=0, description="Of the difference to the photograph's features.")
    structure_weight: float = Field(
        0.0, ge=0, description="Of shades lost, beside the content's features; the authors have none."
    )
    variation_weight: float = Field(1e-4, ge=0, description="Of total variation.")
    range_weight: float = Field(
        0.0, ge=0, description="Of values darker than black or lighter than white; the authors have none (0)."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_small(cls, values: Any) -> Any:
        """Those of `small`, where the encoder is that and a field is not given."""
        small = isinstance(values, dict) and values.get("encoder", "small") == "small"
        return FOR_SMALL | values if small else values

    @model_validator(mode="after")
    def _one_decoder_a_text(self) -> Self:
        texts = [one.text for one in self.decoders]
        doubled = next((text for text in texts if texts.count(text) > 1), None)
        if doubled is not None:
            raise ValueError(f"`decoders` has two for the text {doubled!r}: remove one")
        return self

    def text_weights(self) -> dict[str, str]:
        return {one.text: one.weights for one in self.decoders}

    def check_text_weights(self) -> None:
        if self.decoders:
            from tasks.methods.clipstyler.fast_backbones import load_decoders  # with torch: seconds to import

            load_decoders(self)

    def for_texts(self, texts: Collection[str]) -> Self:
        return self.model_copy(update={"decoders": tuple(one for one in self.decoders if one.text in texts)})

    def weight_digests(self) -> dict[str, str]:
        tuned_on = {"photographs": digest_photographs(self.photographs)} if self.photographs else {}
        return super().weight_digests() | tuned_on

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        decoders = tuple(
            one.model_copy(update={"weights": resolve_weights(one.weights, resolve)}) for one in self.decoders
        )
        photographs = self.photographs and resolve(self.photographs)
        places = {"decoders": decoders, "photographs": photographs}
        return super().resolve_paths(resolve).model_copy(update=places)

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        return FAST_SECONDS[self.encoder]["cpu" if device == "cpu" else "gpu"]


AnyClipstyler = Annotated[OptimizeSettings | FastSettings, Field(discriminator="mode")]
