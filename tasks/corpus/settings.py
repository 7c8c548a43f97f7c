"""Where the content images or the prompts are, and what happens when one of them changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Side = Annotated[int, Field(ge=16, le=8192)]


def _square(value: object) -> object:
    return (value, value) if isinstance(value, int) else value


class CorpusSettings(BaseModel):
    """The `corpus` part of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(
        min_length=1,
        description="A folder of pictures, a Parquet file or a folder of them, or a file of prompts; any fsspec URI.",
    )
    format: Literal["auto", "folder", "parquet", "prompts"] = Field(
        default="auto",
        description="auto: found out by looking at the files. prompts: a .txt file with a prompt a line, or a table "
        "with a column of prompts (.csv, .jsonl, .parquet); auto takes a Parquet file for pictures.",
    )
    image: str | None = Field(
        default=None,
        description="Parquet column that holds the pictures: binary, or a struct of bytes and path. Needed "
        "only where several columns could.",
    )
    prompt: str | None = Field(default=None, description="Column of a table that holds the prompts; default `prompt`.")
    size: Annotated[
        tuple[Side, Side] | None, BeforeValidator(_square, json_schema_input_type=Side | tuple[Side, Side] | None)
    ] = Field(
        default=None,
        description="Of prompts: [width, height] of their pictures in pixels, or one number for both; default: the "
        "square of `images: {size: ...}`.",
    )
    on_change: Literal["error", "keep", "version"] = Field(
        default="error",
        description="What to do about a picture that was stylized before and has changed since, or a prompt or its "
        "size. error: refuse to plan. keep: leave the old result. version: stylize the new version too.",
    )
