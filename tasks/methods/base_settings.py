"""What every method's settings can say about themselves before any of its code, or torch, is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from tasks.methods.text_settings import TextSettings
from tasks.weights.references import digest


class Settings(BaseModel):
    """Settings of one method, as in a job file. A subclass says which of its fields each verb reads.

    A field that no verb reads must be one of `weight_fields`: the weights' digest stands for those, wherever
    settings go into a key. `text_fields` are read where a style has a text, and only then are part of its keys;
    `resource_fields` are part of none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: ClassVar[str]  # of the method's code: raised whenever the same settings give other pixels
    stride: ClassVar[int]  # contents are padded to a multiple of this, then cropped back
    represent_reads: ClassVar[frozenset[str]]
    encode_reads: ClassVar[frozenset[str]]
    render_reads: ClassVar[frozenset[str]]
    weight_fields: ClassVar[frozenset[str]] = frozenset({"weights"})
    text_fields: ClassVar[frozenset[str]] = frozenset()
    # Bound memory or time. They change no more than rounding: how much that comes to, a method's NOTES.md says.
    resource_fields: ClassVar[frozenset[str]] = frozenset()
    accepts_texts: ClassVar[bool] = False
    accepts_masks: ClassVar[bool] = False
    accepts_prompts: ClassVar[bool] = False  # a `PromptedMethod` (tasks/methods/base.py)
    mixes_by_place: ClassVar[bool] = False  # a composite in one pass; else each reference is rendered for itself
    varies_strength: ClassVar[bool] = False  # renders pairs of different strengths together (`Pairs.strengths`)
    represent_at_once: ClassVar[int] = 64  # styles that share work when they are represented together
    inverts_apart: ClassVar[bool] = False  # whether each reference is inverted alone, whatever it is mixed with
    inversions: ClassVar[str] = ""  # where the store keeps what the method's `invert` makes, if it is one that inverts

    name: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if not all(hasattr(cls, f"{verb}_reads") for verb in ("represent", "encode", "render")):
            return  # what several methods share, and not yet the settings of one
        read = cls.represent_reads | cls.encode_reads | cls.render_reads
        fields = cls.model_fields.keys() - {"name"} - cls.weight_fields - cls.text_fields - cls.resource_fields
        if read != fields:
            raise TypeError(f"{cls.__name__}: no verb reads, or no field is, {sorted(read ^ fields)}")

    def represent_settings(self) -> dict[str, Any]:
        """What `represent` reads: part of a representation's key."""
        return self._values(self.represent_reads)

    def inversion_settings(self) -> dict[str, Any]:
        """What `invert` depends on beside references, weights by their digests; of methods that have `inversions`."""
        raise NotImplementedError

    def inverts(self, text: str | None) -> bool:  # noqa: ARG002 (of those that leave some references as they are)
        """Whether a reference of this text, or a picture, is inverted; of methods that have `inversions`."""
        return True

    def encode_settings(self) -> dict[str, Any]:
        """What `encode` reads: styles that agree here and in weights share one pass over the contents."""
        return self._values(self.encode_reads)

    def pixel_settings(self) -> dict[str, Any]:
        """Everything that changes pixels, but for the weights: part of a style's digest."""
        return self._values(self.represent_reads | self.encode_reads | self.render_reads)

    def weight_references(self) -> dict[str, str]:
        """The weights this method reads: a name of its own for each, and its reference."""
        raise NotImplementedError

    def weight_digests(self) -> dict[str, str]:
        """A digest for each of the weights, and of whatever else a file holds that changes pixels.

        Raises RequestError where one cannot be had.
        """
        return {name: digest(reference) for name, reference in self.weight_references().items()}

    def text_weights(self) -> dict[str, str]:
        """Weights that stand ready for certain texts, by text; a digest of each is part of the keys of its styles."""
        return {}

    def check_text_weights(self) -> None:
        """Read those files. Raises RequestError where one is not what it has to be."""

    def for_texts(self, texts: Collection[str]) -> Self:  # noqa: ARG002 (of those that have something for texts)
        """The same settings, without what stands ready for other texts."""
        return self

    def text_settings(self) -> TextSettings | None:
        """How texts become pictures; None where a method takes no texts, or reads them in a way of its own."""
        return None

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        """The same settings, their weights' paths (not names, nor URIs) replaced by `resolve` of them."""
        raise NotImplementedError

    def seconds_per_megapixel(self, device: str = "cpu") -> float:
        """A rough prior: seconds to encode and render one megapixel in one style, on one core or one GPU."""
        raise NotImplementedError

    def _values(self, names: frozenset[str]) -> dict[str, Any]:
        return self.model_dump(mode="json", include=set(names))


def check_given(values: Any, field: str, how_to_get: str) -> Any:
    """Settings before they are checked. Raises ValueError, how to get what a field has to name, where it names none."""
    if isinstance(values, dict) and not values.get(field):
        raise ValueError(how_to_get)
    return values


def fill_for_embedded(values: Any, defaults: Mapping[str, Any]) -> Any:
    """Settings before they are checked, with other defaults where `clip` is an embedded one, or not named."""
    embedded = isinstance(values, dict) and str(values.get("clip", "embedded:")).startswith("embedded:")
    return {**defaults, **values} if embedded else values
