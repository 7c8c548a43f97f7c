"""Where the content images or the prompts are, and what happens when one of them changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tasks.corpus.allowed import AllowList

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
        description="A folder of pictures; Parquet files, WebDataset tars or a dataset saved by Hugging Face's "
        "save_to_disk, one or a folder of them; a manifest or a file of prompts; any fsspec URI, such as s3:// or "
        "hf://datasets/OWNER/REPO@REVISION.",
    )
    format: Literal["auto", "folder", "parquet", "prompts", "webdataset", "manifest", "arrow"] = Field(
        default="auto",
        description="auto: found out by looking at the files. prompts: a .txt file with a prompt a line, or a table "
        "with a column of prompts (.csv, .jsonl, .parquet); auto takes a Parquet file for pictures. manifest: such a "
        "file with paths or URIs of pictures in the place of prompts. webdataset: .tar, .tar.gz or .tgz. arrow: what "
        "save_to_disk wrote, on local disk.",
    )
    image: str | None = Field(
        default=None,
        description="Column of a table that holds the pictures (binary, or a struct of bytes and path), or of a "
        "manifest that names them; of tars the ending of the members that are pictures, such as jpg. Needed only "
        "where several could.",
    )
    allow: tuple[str, ...] = Field(
        default=(),
        description="Of a manifest: from where pictures may be fetched, beside its own folder: schemes with hosts or "
        "buckets and perhaps folders (https://images.example.org, https://*.example.org, s3://bucket/photos), and "
        "networks whose addresses may be private ones (10.0.0.0/8).",
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
        "size; tars and tables change as a whole. error: refuse to plan. keep: leave the old result. version: stylize "
        "the new version too.",
    )
    labels: Annotated[
        LabelSettings | None,
        BeforeValidator(_as_folder, json_schema_input_type=Literal["folder"] | LabelSettings | None),
    ] = Field(default=None, description="Labels in folders' names, and those that move with the picture's pixels.")

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        AllowList(allow)
        return allow
