"""Settings of `inst`: a painting that becomes a word, or is read by an IP-Adapter; and how contents are painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from tasks.encoders.clip_models import find_model, resolve_path
from tasks.encoders.diffusion.models import find_diffusion, resolve_folder
from tasks.methods.base_settings import Settings, check_given
from tasks.methods.picture_settings import resolve_weights
from tasks.records import RequestError
from tasks.weights.references import digest

HOW_TO_GET = (
    "inst has no embedded weights: get a model of the Stable Diffusion 1 family in diffusers' layout, such as "
    "CompVis/stable-diffusion-v1-4, and write weights: local-dir:FOLDER, or weights: hf:OWNER/REPO@REVISION"
)
HOW_TO_GET_ADAPTER = (
    "variant ip_adapter needs an IP-Adapter: get ip-adapter_sd15.safetensors and the folder models/image_encoder of "
    "h94/IP-Adapter, and write adapter: {weights: PATH, image_encoder: FOLDER}"
)
# Multiplications and additions, in units of 1e12, a megapixel: a pass through SD 1's U-Net, its VAE both ways
# (facts: 0.8 and 3.5 a picture of 512x512); and what a core and a GPU do of them a second. Reckoned, not measured.
PASS, PASSES_OF_VAE = 3.1, 4.4
SPEEDS = {"cpu": 0.05, "gpu": 200.0}


class SamplingSettings(Settings):
    """What all variants have in common: the model, and how contents are painted (InST.ipynb)."""

    version: ClassVar[str] = "1"
    stride: ClassVar[int] = 64
    sampling_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("prompt", "negative_prompt", "strength", "steps", "guidance", "sampler", "stochastic_inversion"),
            *("noise_timestep", "tone", "safety", "tiling", "precision"),
        }
    )
    encode_reads: ClassVar[frozenset[str]] = frozenset({"tiling", "precision"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"pairs_at_once"})
    accepts_texts: ClassVar[bool] = True
    accepts_masks: ClassVar[bool] = True
    accepts_prompts: ClassVar[bool] = True

    name: Literal["inst"] = "inst"
    weights: str = Field(
        description="The diffusion model, of the Stable Diffusion 1 family: local-dir:FOLDER, hf:OWNER/REPO@REVISION."
    )
    prompt: str = Field("[C]", description="What contents are painted by; [C] is where the painting stands.")
    negative_prompt: str = Field("", max_length=2000, description="What guidance leads away from.")
    strength: float = Field(
        0.7, ge=0, le=1, description="Share of the noise that contents start from; 0 leaves them as the VAE has them."
    )
    steps: int = Field(50, ge=1, le=1000, description="Of a whole way through the noise; `strength` of them are taken.")
    guidance: float = Field(
        10.0, ge=0, le=100, description="Of the prompt against none; 1 or less: none, in half the time."
    )
    sampler: Literal["ddim", "dpm", "lcm"] = Field(
        "ddim",
        description="ddim: as published. dpm: DPM-Solver++, made for 15 to 20 steps. lcm: 2 to 8 steps, of models "
        "distilled for it, with guidance of 1 to 2.",
    )
    stochastic_inversion: bool = Field(
        True, description="Whether contents start from the noise that the model sees in them, which keeps more of them."
    )
    noise_timestep: Literal["official", "aligned"] = Field(
        "official", description="When noise is added: strength * 1000, or the time of the first step, as diffusers."
    )
    tone: Literal["none", "latent_adain", "lab_match"] = Field(
        "none",
        description="Where a painting's colours do not arrive: give its means and deviations to the latents before, or "
        "to the output's colours in Lab after.",
    )
    safety: Literal["none", "checker"] = Field(
        "none", description="checker: what the model's own safety checker finds becomes a failed record."
    )
    tiling: Literal["auto", "never"] = Field(
        "auto", description="auto: pictures over 1024 pixels pass the VAE in tiles, which bounds memory."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Of the networks; auto: bfloat16 on a GPU, float32 on a CPU."
    )
    pairs_at_once: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Outputs painted as one program, which bounds memory; auto: as many as suit the device."
    )

    @model_validator(mode="before")
    @classmethod
    def _has_weights(cls, values: Any) -> Any:
        return check_given(values, "weights", HOW_TO_GET)

    @field_validator("prompt")
    @classmethod
    def _fits(cls, prompt: str) -> str:
        if len(prompt) > 2000:
            raise ValueError("a prompt has at most 2,000 characters, of which a model reads about 300")
        return prompt

    def weight_references(self) -> dict[str, str]:
        return {"weights": self.weights}

    def weight_digests(self) -> dict[str, str]:
        found = find_diffusion(self.weights)
        if self.safety == "checker" and not found.has_checker:
            raise RequestError(
                f"{self.weights} has no safety_checker: write safety: none, or take a model that has it."
            )
        return {"weights": found.digest()}

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        return self.model_copy(update={"weights": resolve_folder(self.weights, resolve)})

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        passes = max(1, int(self.steps * self.strength)) * (2 if self.guidance > 1 else 1) + self.stochastic_inversion
        return (passes * PASS + PASSES_OF_VAE * PASS) / SPEEDS["cpu" if device == "cpu" else "gpu"]


class InversionSettings(SamplingSettings):
    """A painting becomes a word: attention-based textual inversion; defaults of v1-finetune.yaml and main.py."""

    inversion_reads: ClassVar[frozenset[str]] = frozenset(
        {
            *("variant", "updates", "learning_rate", "batch", "size", "dropout", "layers", "patience", "seed"),
            "precision",
        }
    )
    represent_reads: ClassVar[frozenset[str]] = inversion_reads
    render_reads: ClassVar[frozenset[str]] = SamplingSettings.sampling_reads
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights", "clip", "embedding", "attention"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"pairs_at_once", "paintings_at_once", "checkpoints"})
    inversions: ClassVar[str] = "inst-words"
    inverts_apart: ClassVar[bool] = True
    represent_at_once: ClassVar[int] = 8  # paintings that learn as one batch; others are told of sooner

    variant: Literal["patch", "official"] = Field(
        "patch",
        description="patch: CLIP's patches answer its pooled embedding, as the paper means it. official: the shapes of "
        "the authors' code, where one token asks itself.",
    )
    clip: str = Field(
        "ViT-L-14-quickgelu/openai",
        description="CLIP that sees paintings: NAME/TAG, local-dir:PATH, embedded:NAME. Of the authors: this one.",
    )
    embedding: str | None = Field(
        None,
        description="A word learned before, for styles of one painting: a weights reference to safetensors of one "
        "tensor, as ours and diffusers' are. Nothing is trained then.",
    )
    attention: str | None = Field(
        None,
        description="The attention of `variant: official`, learned before: a weights reference, as `atelier models "
        "import embeddings.pt` writes it. It is shown each painting, and nothing is trained.",
    )
    updates: int = Field(6100, ge=0, le=1_000_000, description="Steps of training for each painting.")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Of AdamW; the paper says 1e-3, its code 1e-4.")
    batch: int = Field(1, ge=1, le=64, description="Noises of a painting a step.")
    size: int = Field(512, ge=64, le=2048, multiple_of=64, description="Side of paintings, which are squashed to it.")
    dropout: float = Field(0.05, ge=0, lt=1, description="In the attention, while it is trained.")
    layers: int = Field(2, ge=1, le=8, description="Of attention, where `variant` is patch.")
    patience: int = Field(
        0,
        ge=0,
        le=1000,
        description="Looks, a hundred steps apart, without a lower loss after which training stops; 0: never.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of first weights, noises and times.")
    paintings_at_once: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Paintings that learn as one program, which bounds memory."
    )
    checkpoints: str | None = Field(
        None,
        description="A folder where training is kept every 500 steps, to go on after a death; any fsspec URI. When all "
        "is made it may be deleted.",
    )

    @model_validator(mode="after")
    def _one_that_was_learned(self) -> Self:
        if self.attention is not None and self.embedding is not None:
            raise ValueError("`embedding` is a word and `attention` makes words: name one of them")
        if self.attention is not None and self.variant != "official":
            raise ValueError("`attention` is of the authors' shapes: write variant: official with it")
        return self

    def weight_references(self) -> dict[str, str]:
        return super().weight_references() | self._learned_before

    def weight_digests(self) -> dict[str, str]:
        digests = super().weight_digests() | {name: digest(file) for name, file in self._learned_before.items()}
        # A word that is there needs no CLIP to see its painting.
        return digests if self.embedding is not None else digests | {"clip": find_model(self.clip).digest()}

    @property
    def _learned_before(self) -> dict[str, str]:
        named = {"embedding": self.embedding, "attention": self.attention}
        return {name: file for name, file in named.items() if file is not None}

    def inversion_settings(self) -> dict[str, Any]:
        values = self._values(self.inversion_reads)
        return {"settings": values, "version": self.version, "weights": self.weight_digests()}

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        places = {
            "clip": resolve_path(self.clip, resolve),
            "embedding": resolve_weights(self.embedding, resolve),
            "attention": resolve_weights(self.attention, resolve),
            "checkpoints": resolve_weights(self.checkpoints, resolve),
        }
        return super().resolve_paths(resolve).model_copy(update=places)


class AdapterWeights(BaseModel):
    """An IP-Adapter, and the image tower that it was trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(description="A weights reference: ip-adapter_sd15.safetensors.")
    image_encoder: str = Field(description="Its folder, with config.json and model.safetensors.")


class AdapterSettings(SamplingSettings):
    """An IP-Adapter reads paintings, and nothing is trained; of style alone as InstantStyle has it."""

    represent_reads: ClassVar[frozenset[str]] = frozenset({"variant", "precision"})
    render_reads: ClassVar[frozenset[str]] = SamplingSettings.sampling_reads | {"scale", "blocks"}
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights", "adapter"})

    variant: Literal["ip_adapter"]
    adapter: AdapterWeights = Field(description="The adapter and its image tower.")
    prompt: str = Field("", description="What contents are painted by, beside the painting.")
    guidance: float = Field(5.0, ge=0, le=100, description="Of the prompt and the painting against none.")
    scale: float = Field(1.0, ge=0, le=2, description="Of the painting.")
    blocks: Literal["style", "all"] = Field(
        "style", description="style: the U-Net's first block on its way up alone (InstantStyle). all: every block."
    )

    @model_validator(mode="before")
    @classmethod
    def _has_adapter(cls, values: Any) -> Any:
        return check_given(values, "adapter", HOW_TO_GET_ADAPTER)

    def weight_references(self) -> dict[str, str]:
        return super().weight_references() | {"adapter": self.adapter.weights}

    def weight_digests(self) -> dict[str, str]:
        tower = f"{self.adapter.image_encoder}/model.safetensors"
        return super().weight_digests() | {"adapter": digest(self.adapter.weights), "image_encoder": digest(tower)}

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        places = {
            "weights": resolve_weights(self.adapter.weights, resolve),
            "image_encoder": resolve(self.adapter.image_encoder),
        }
        return super().resolve_paths(resolve).model_copy(update={"adapter": AdapterWeights(**places)})


def _variant(values: Any) -> str:
    variant = values.get("variant") if isinstance(values, dict) else getattr(values, "variant", None)
    return "ip_adapter" if variant == "ip_adapter" else "inversion"


AnyInst = Annotated[
    Annotated[InversionSettings, Tag("inversion")] | Annotated[AdapterSettings, Tag("ip_adapter")],
    Discriminator(_variant),
]
