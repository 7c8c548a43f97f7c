"""Settings of `clipstyler`: a network optimised for each pair, or a decoder tuned to each style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.encoders.clip_models import find_model, resolve_path
from tasks.methods.clipstyler.photographs import digest_photographs
from tasks.methods.picture_settings import EncoderSettings, resolve_weights
from tasks.samples.photographs import neutral_digest

SMALL_WEIGHTS = "embedded:style-kernel-small"  # of the compact networks the one whose features live at every depth
VGG19 = "write weights: {vgg19: vgg19-torchvision}, which is fetched, or name the place of vgg19-dcbb9e9d.pth"
ADAIN_FILES = (
    "get vgg_normalised.pth and decoder.pth from release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub and give their "
    "places as weights: {encoder: .../vgg_normalised.pth, decoder: .../decoder.pth}"
)
# Seconds a step and megapixel of the U-Net, and a step and crop of CLIP, on one core: measured, see NOTES.md. On a GPU
# the U-Net's from 40 s an image of 512x512 and 200 steps on an RTX 2080 Ti (the authors' README).
STEP_SECONDS = {"cpu": (4.3, 0.010), "gpu": (0.5, 0.001)}
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


# What the compact decoder and the embedded CLIP need: chosen by six photographs set apart from the figures (NOTES.md).
FOR_SMALL: dict[str, Any] = {
    "threshold": 0.0,
    "learning_rate": 1e-3,
    "steps": 80,
    "views": 8,
    "crop_size": 128,
    "structure_weight": 2.0,
    "range_weight": 10.0,
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
        0.7, ge=0, le=2, description="A patch whose loss is below this counts as done; 0 leaves none out."
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
    """A U-Net for each pair, from random weights; defaults of train_CLIPstyler.py."""

    represent_reads: ClassVar[frozenset[str]] = frozenset(
        {"mode", "source", "crops", "crop_size", "style_size", "seed", "start"}
    )
    render_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("encoder", "threshold", "contrast", "crops", "crop_size", "steps", "plateau", "learning_rate"),
            *("direction_weight", "patch_weight", "content_weight", "variation_weight"),
            *("structure_weight", "precision"),
        }
    )
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights", "clip"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"pairs_at_once"})
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
    start: Literal["random", "photographs"] = Field(
        "random",
        description="`photographs`: every network starts from one that gives photographs back, fitted by `represent` "
        "in half a minute; a quarter of the steps are enough then.",
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

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        unet, crop = STEP_SECONDS["cpu" if device == "cpu" else "gpu"]
        return self.steps * (unet + self.crops * crop / CROP_MEGAPIXELS)


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
        (), description="Decoders tuned before: [{text: a pencil sketch, weights: .../clip_decoder_iter_200.pth.tar}]."
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

    def weight_references(self) -> dict[str, str]:
        return super().weight_references() | {f"decoder of {one.text}": one.weights for one in self.decoders}

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
