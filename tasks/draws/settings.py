"""The `draw` of a job, and a draw as a plan freezes it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

MOST_STYLES = 64  # of one content

Strength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Shares = tuple[tuple[str, float], ...]


def _as_range(value: object) -> object:
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_pairs(value: object) -> object:
    return tuple(value.items()) if isinstance(value, dict) else value


StrengthRange = Annotated[
    tuple[Strength, Strength], BeforeValidator(_as_range, json_schema_input_type=float | tuple[float, float])
]


class SplitSettings(BaseModel):
    """Parts of a bank that share no style: a content draws from the part that is named as its own split is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = Field(
        None, description="Column of the corpus that holds the split; default: the first folder of a content's path."
    )
    parts: Annotated[
        Shares, BeforeValidator(_as_pairs, json_schema_input_type=dict[str, float]), Field(min_length=2)
    ] = Field(description="The splits there are, each with its share of the bank: {train: 8, test: 2}.")

    @field_validator("parts")
    @classmethod
    def _are_shares(cls, parts: Shares) -> Shares:
        if not all(share > 0 and math.isfinite(share) for _, share in parts):
            raise ValueError("each part of the bank has a share above 0")
        if len(dict(parts)) < len(parts):
            raise ValueError("a part comes twice; leave one out")
        return parts

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(name for name, _ in self.parts)


class DrawSettings(BaseModel):
    """The `draw` part of a job: the job's styles are a bank, and each content gets some of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "draw", min_length=1, max_length=100, description="Another draw of the dataset needs another name."
    )
    styles: int = Field(1, ge=1, le=MOST_STYLES, description="Different styles that each content gets.")
    strength: StrengthRange | None = Field(
        None, description="One strength, or [least, most], drawn anew for each pair; default: the method's own."
    )
    split: SplitSettings | None = Field(
        None, description="Parts of the bank that share no style, by the content's split."
    )

    @field_validator("strength")
    @classmethod
    def _is_a_range(cls, strength: tuple[float, float] | None) -> tuple[float, float] | None:
        if strength is not None and strength[0] > strength[1]:
            raise ValueError("strength is [least, most]: the first number is the smaller one")
        return strength


class PlannedDraw(BaseModel):
    """One of the styles that each content draws, frozen: it stands in a plan where a style would.

    `number` counts a content's draws from 0. `bank` is the key of the bank, `styles` how many it has, `source` where
    its pictures were; contents draw by the plan's seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bank: str
    styles: int
    number: int
    source: str = ""
    strength: tuple[float, float] | None = None
    split: SplitSettings | None = None
