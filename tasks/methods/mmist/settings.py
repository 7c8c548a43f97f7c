"""Settings of `mmist`: what generates a style's pictures, how they are sought, and which method renders with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tasks.encoders.clip_models import find_model, resolve_path
from tasks.methods.adaattn.settings import AdaattnSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base_settings import Settings, fill_for_embedded
from tasks.methods.picture_settings import resolve_weights
from tasks.methods.style_kernel.settings import StyleKernelSettings
from tasks.samples.photographs import neutral_digest
from tasks.weights.references import digest

# What an embedded CLIP, which sees 128 pixels, needs: chosen by photographs set apart from those of the figures
# (NOTES.md).
FOR_EMBEDDED: dict[str, Any] = {
    "pictures": "keep",
    "representations": 4,
    "starts": 512,
    "pooled": True,
    "learning_rate": 0.02,
    "crops": 16,
    "crop_size": 128,
    "contents": 24,
    "size": 256,
}


class FourierSettings(BaseModel):
    """Pictures as Fourier coefficients in decorrelated colours: no prior, no weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fourier"] = "fourier"


class Stylegan3Settings(BaseModel):
    """Pictures of a StyleGAN3, in its extended latent space W+."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["stylegan3"] = "stylegan3"
    weights: str = Field(
        "embedded:stylegan3-art-small",
        description="A weights reference: safetensors as `atelier models import` writes them of an official file.",
    )
    psi: float = Field(1.0, gt=0, le=2, description="Truncation of the first latents; 1 is none, as the authors.")


def _from_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


GeneratorSettings = Annotated[
    FourierSettings | Stylegan3Settings,
    Field(discriminator="name"),
]
RendererSettings = Annotated[AdainSettings | AdaattnSettings | StyleKernelSettings, Field(discriminator="name")]


class MmistSettings(Settings):
    """Multimodality-guided image style transfer (Wang et al., arXiv 2312.01671); defaults of gen_style_reps.py.

    Where `clip` is an embedded one, those of FOR_EMBEDDED.
    """

    version: ClassVar[str] = "2"
    inversion_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *(
                "generator",
                "representations",
                "starts",
                "pooled",
                "steps",
                "learning_rate",
                "crops",
                "crop_size",
                "contents",
                "size",
            ),
            *("source", "precision", "seed"),
        }
    )
    represent_reads: ClassVar[frozenset[str]] = inversion_reads | {"pictures", "render_with"}
    encode_reads: ClassVar[frozenset[str]] = frozenset({"render_with"})
    render_reads: ClassVar[frozenset[str]] = frozenset({"render_with"})
    weight_fields: ClassVar[frozenset[str]] = frozenset({"clip"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"pictures_at_once"})
    accepts_texts: ClassVar[bool] = True
    varies_strength: ClassVar[bool] = True  # all that render for it do
    inversions: ClassVar[str] = "mmist-pictures"
    represent_at_once: ClassVar[int] = 4  # styles that are optimised as one batch; others are told of sooner

    name: Literal["mmist"] = "mmist"
    render_with: Annotated[RendererSettings, BeforeValidator(_from_name)] = Field(
        default_factory=AdaattnSettings,
        description="The method that stylizes with the pictures: adaattn, style_kernel or adain; its name, or its "
        "settings with the name.",
    )
    generator: Annotated[GeneratorSettings, BeforeValidator(_from_name)] = Field(
        default_factory=FourierSettings,
        description="What pictures are made by: `fourier`, or {name: stylegan3, weights: ...}.",
    )
    pictures: Literal["invert", "keep"] = Field(
        "invert",
        description="What stands for a style's pictures: `invert`, others that are sought for them and its texts "
        "together, as in the paper; `keep`, they themselves, beside those that are sought for its texts.",
    )
    clip: str = Field("embedded:clip-small", description="CLIP in the losses: NAME/TAG, local-dir:PATH, embedded:NAME.")
    representations: int = Field(8, ge=1, le=64, description="Pictures of a style, each from starts of its own.")
    starts: int = Field(128, ge=1, le=10_000, description="Random first latents of which the best is optimised.")
    pooled: bool = Field(
        False,
        description="Whether the first latents of all a style's pictures are compared, and the best of them taken, "
        "rather than the best for each.",
    )
    steps: int = Field(41, ge=1, le=10_000, description="Pictures made; after each but the last comes an update.")
    learning_rate: float = Field(0.05, gt=0, le=10, description="Of Adam, on the latents.")
    crops: int = Field(64, ge=1, le=4096, description="Patches of a picture a step; and of a style picture.")
    crop_size: int = Field(256, ge=8, le=4096, description="Side of a patch, in pixels of a picture of `size`.")
    contents: int = Field(
        1,
        ge=1,
        le=1000,
        description="Neutral photographs, drawn anew each step, that a picture's direction starts from.",
    )
    size: int = Field(
        512, ge=32, le=2048, description="Side of the pictures; of a generator that makes smaller ones, theirs."
    )
    source: str = Field("a Photo", min_length=1, description="Words for a content, where a text's direction starts.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of arithmetic; auto: on a GPU bfloat16 in CLIP, float16 in a generator's fine layers; on a CPU "
        "float32.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of first latents, crops and contents.")
    pictures_at_once: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Pictures optimised as one program, which bounds memory; auto: as many as suit the device."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_embedded(cls, values: Any) -> Any:
        """Those of an embedded CLIP, where that is the one and a field is not given."""
        return fill_for_embedded(values, FOR_EMBEDDED)

    # What the renderer decides.
    @property
    def stride(self) -> int:  # type: ignore[override]
        return self.render_with.stride

    @property
    def accepts_masks(self) -> bool:  # type: ignore[override]
        return self.render_with.accepts_masks

    @property
    def mixes_by_place(self) -> bool:  # type: ignore[override]
        return self.render_with.mixes_by_place

    @property
    def strength(self) -> float:
        """Of the style in the pictures: what records say."""
        return self.render_with.strength

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        return self.render_with.seconds_per_megapixel(device)

    def inverts(self, text: str | None) -> bool:
        return self.pictures == "invert" or text is not None

    def inversion_settings(self) -> dict[str, Any]:
        values = self._values(self.inversion_reads)
        values["generator"].pop("weights", None)
        return {"settings": values, "version": self.version, "weights": self._inversion_digests()}

    def represent_settings(self) -> dict[str, Any]:
        return self._with_renderer(self.render_with.represent_settings())

    def encode_settings(self) -> dict[str, Any]:
        return self._renderer(self.render_with.encode_settings())

    def pixel_settings(self) -> dict[str, Any]:
        return self._with_renderer(self.render_with.pixel_settings())

    def weight_references(self) -> dict[str, str]:
        own = {"generator": self.generator.weights} if isinstance(self.generator, Stylegan3Settings) else {}
        return own | {f"renderer {name}": one for name, one in self.render_with.weight_references().items()}

    def weight_digests(self) -> dict[str, str]:
        renderer = {f"renderer {name}": one for name, one in self.render_with.weight_digests().items()}
        return self._inversion_digests() | renderer

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        generator = self.generator
        if isinstance(generator, Stylegan3Settings):
            generator = generator.model_copy(update={"weights": resolve_weights(generator.weights, resolve)})
        places = {"generator": generator, "render_with": self.render_with.resolve_paths(resolve)}
        return self.model_copy(update=places | {"clip": resolve_path(self.clip, resolve)})

    def _with_renderer(self, settings: dict[str, Any]) -> dict[str, Any]:
        return self.inversion_settings() | {"pictures": self.pictures, "render_with": self._renderer(settings)}

    def _renderer(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {"name": self.render_with.name, "version": self.render_with.version, "settings": settings}

    def _inversion_digests(self) -> dict[str, str]:
        digests = {"clip": find_model(self.clip).digest(), "neutral": neutral_digest()}
        if isinstance(self.generator, Stylegan3Settings):
            digests["generator"] = digest(self.generator.weights)
        return digests
