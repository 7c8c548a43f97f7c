"""Where the content images or the prompts are, and what happens when one of them changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Side = Annotated[int, Field(ge=16, le=8192)]


def _square(value: object) -> object:
    return (value, value) if isinstance(value, int) else value


def _as_folder(value: object) -> object:
    return {"label": "folder"} if value == "folder" else value


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | tuple[str, ...])]


class LabelSettings(BaseModel):
    """Labels that need more than to be carried: those in folders' names, and those that lie on the picture.

    Boxes and masks are of the upright picture, in its pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Literal["folder"] | None = Field(
        default=None, description="folder: the name of the folder that holds a picture becomes its column `label`."
    )
    boxes: str | None = Field(
        default=None, min_length=1, description="Column of boxes, or a field in it: `boxes`, `objects.bbox`."
    )
    format: Literal["xyxy", "xywh", "coco"] = Field(
        default="coco",
        description="Four numbers of a box: left, top and right, bottom (xyxy), or width, height (xywh). coco: the "
        "column holds COCO's objects, of which `bbox` (xywh), `area` and polygons of `segmentation` move.",
    )
    masks: Columns = Field(default=(), description="Columns of encoded label maps of the picture's size.")
    unchanged: Columns = Field(default=(), description="Columns that are no places in pictures, whatever their names.")

    @property
    def moves(self) -> bool:
        """Whether any of them lie on the picture."""
        return self.boxes is not None or bool(self.masks)


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
    labels: Annotated[
        LabelSettings | None,
        BeforeValidator(_as_folder, json_schema_input_type=Literal["folder"] | LabelSettings | None),
    ] = Field(default=None, description="Labels in folders' names, and those that move with the picture's pixels.")
