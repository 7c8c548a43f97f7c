"""Where the content images are, and what happens when one of them changes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CorpusSettings(BaseModel):
    """The `corpus` part of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(
        min_length=1, description="A folder of pictures, a Parquet file or a folder of them; any fsspec URI."
    )
    format: Literal["auto", "folder", "parquet"] = Field(
        default="auto", description="auto: found out by looking at the files."
    )
    image: str | None = Field(
        default=None,
        description="Parquet column that holds the pictures: binary, or a struct of bytes and path. Needed "
        "only where several columns could.",
    )
    on_change: Literal["error", "keep", "version"] = Field(
        default="error",
        description="What to do about a picture that was stylized before and has changed since. error: "
        "refuse to plan. keep: leave the old result. version: stylize the new version too.",
    )
