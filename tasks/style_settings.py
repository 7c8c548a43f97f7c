"""Styles as a job names them: references, where they count, and what lies between two styles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tasks.methods.settings import MethodSettings
from tasks.regions.settings import RegionSettings

MAX_NAME = 200


class GridCell(BaseModel):
    """One cell of a grid laid over each content, counted from 0 at the top left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(1, ge=1, le=64)
    columns: int = Field(1, ge=1, le=64)
    row: int = Field(0, ge=0)
    column: int = Field(0, ge=0)
    feather: float = Field(0.05, ge=0, le=1, description="Width of the soft seam, as a share of the content's side.")

    @model_validator(mode="after")
    def _lies_in_the_grid(self) -> Self:
        if self.row >= self.rows or self.column >= self.columns:
            raise ValueError(f"row {self.row}, column {self.column} is outside a grid of {self.rows} x {self.columns}")
        return self


def _kind_of_mask(value: object) -> str:
    return "one cell" if isinstance(value, dict | GridCell) else "one mask"


# Names of the members of the union below; neither is a key of a job.
MASKS = ("one mask", "one cell")
Mask = Annotated[
    Annotated[str, Tag("one mask")] | Annotated[GridCell, Tag("one cell")],
    Discriminator(_kind_of_mask),
]


class ReferenceSettings(BaseModel):
    """One picture or one text that a style is made of, everywhere in a content or where its mask is white."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str | None = Field(
        None, description="Path or URI of a picture; `FILE.parquet#row=12` is the picture of a row, counted from 0."
    )
    text: str | None = Field(None, min_length=1, description="Words for the style.")
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description="Share of this reference in the mix.")
    mask: Mask | None = Field(
        None, description="Where it counts: a grey picture stretched over each content (white: here), or a grid's cell."
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.image is None) == (self.text is None):
            raise ValueError("a reference is either an `image` or a `text`")
        return self

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        """The same reference with its paths made absolute."""
        places = {name: getattr(self, name) for name in ("image", "mask")}
        return self.model_copy(update={k: resolve(place) for k, place in places.items() if isinstance(place, str)})


class StyleSettings(BaseModel):
    """A style as a job names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Unique in the dataset; a column of each record.")
    references: tuple[ReferenceSettings, ...] = Field(min_length=1, description="Pictures, texts, or both.")
    method: MethodSettings | None = Field(None, description="Overrides the job's method for this style.")
    regions: RegionSettings | None = Field(
        None, description="Where in each content each reference counts, in turn; None: everywhere, by weight."
    )

    @model_validator(mode="after")
    def _regions_fit_the_references(self) -> Self:
        if self.regions is not None:
            self.regions.check_references(len(self.references))
            if any(reference.mask for reference in self.references):
                raise ValueError("a style has `regions`, or references with a `mask` each, not both")
        return self

    def resolve_paths(self, resolve: Callable[[str], str]) -> StyleSettings:
        """The same style with its paths made absolute."""
        references = tuple(reference.resolve_paths(resolve) for reference in self.references)
        method = self.method.resolve_paths(resolve) if self.method else None
        regions = self.regions.resolve_paths(resolve) if self.regions else None
        return self.model_copy(update={"references": references, "method": method, "regions": regions})


class PathStep(BaseModel):
    """Where on a path between two styles a style lies: 0 is the start, 1 the end.

    The first of its references are those of the start, so many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: str
    end: str
    at: float = Field(gt=0, lt=1)
    references: int = Field(ge=1)


class StepSettings(StyleSettings):
    """A style between two others, made from a job's path (tasks/paths.py)."""

    step: PathStep
