"""The job: one validated YAML file. Paths and environment variables are resolved here and nowhere below."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from tasks.actors.settings import ResourceSettings
from tasks.corpus.settings import CorpusSettings
from tasks.credentials import carries_secret, find_credential, is_credential
from tasks.draws.settings import DrawSettings
from tasks.images.settings import ImageSettings
from tasks.labelled.settings import TableSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.settings import METHODS, MethodSettings
from tasks.paths import PathSettings
from tasks.plain_yaml import read_yaml
from tasks.records import RequestError
from tasks.scores.settings import ScoreSettings
from tasks.style_settings import MASKS, StyleSettings

MAX_JOB_BYTES = 2**20
MODES = {"optimize": "a network for each picture", "fast": "a decoder for each style"}  # of clipstyler
OF_A_UNION = re.compile(r"(constrained-\w+|literal\[.*|int|float)$")  # how Pydantic calls members without a name
LAYOUT = "\n\r\t"
SHOWN = 80  # letters of what is wrong
LEAVE_OUT = "jobs are written into plans, and storage finds its credentials in the environment by itself; leave it out"
MAX_TEXT = 20_000  # letters of one value
VARIABLE = re.compile(r"\$\{(\w+)\}")


def _from_uri(value: object) -> object:
    return {"uri": value} if isinstance(value, str) else value


def _kind_of_styles(value: object) -> str:
    if isinstance(value, dict | TableSettings):
        return "one table"
    return "folder" if isinstance(value, str) else "list"


def _kind_of_style(value: object) -> str:
    for kind, key, settings in (("one table", "table", TableSettings), ("one path", "path", PathSettings)):
        if isinstance(value, settings) or (isinstance(value, dict) and key in value):
            return kind
    return "one style"


# Names of the members of unions; none is a key of a job.
MEMBERS = ("folder", "list", "one table", "one path", "one style", *MASKS)
OneStyle = Annotated[
    Annotated[StyleSettings, Tag("one style")]
    | Annotated[TableSettings, Tag("one table")]
    | Annotated[PathSettings, Tag("one path")],
    Discriminator(_kind_of_style),
]
StyleList = Annotated[tuple[OneStyle, ...], Field(min_length=1)]


class Job(BaseModel):
    """Which corpus, in which styles, by which method, to where."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Atelier job")

    corpus: Annotated[CorpusSettings, BeforeValidator(_from_uri, json_schema_input_type=str | CorpusSettings)] = Field(
        description="The content images: a path or URI of a folder, of Parquet files, of WebDataset tars or of a "
        "dataset saved to disk; a manifest; or a file of prompts."
    )
    output: str = Field(min_length=1, description="Path or URI of the dataset.")
    store: str | None = Field(None, description="Path or URI of the representations; default: inside the output.")
    method: MethodSettings = Field(default_factory=AdainSettings, description="The method of every style below.")
    styles: Annotated[
        Annotated[str, Tag("folder")] | Annotated[TableSettings, Tag("one table")] | Annotated[StyleList, Tag("list")],
        Discriminator(_kind_of_styles),
    ] = Field(
        description="Styles, or a folder of pictures, each a style named by its file, or a table of labelled pictures "
        "(WikiArt), each class a style. A list may hold tables, too, and paths between two of its styles."
    )
    draw: DrawSettings | None = Field(
        None, description="With it the styles are a bank, from which each content draws some (`atelier synthesize`)."
    )
    images: ImageSettings = Field(default_factory=ImageSettings, description="Size and codec of the pictures.")
    scores: ScoreSettings = Field(default_factory=ScoreSettings, description="CLIP scores in each record.")
    resources: ResourceSettings = Field(default_factory=ResourceSettings, description="What actors take.")
    shard_images: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        "auto",
        description="Contents in a shard; auto: about two minutes of work, at most 256 images and 256 MB.",
    )
    max_failed: float = Field(0.01, ge=0, le=1, description="Share of failed records above which a run exits 1.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of everything drawn; part of the dataset's identity.")

    @field_validator("styles", mode="before")
    @classmethod
    def _are_of_a_known_kind(cls, value: object) -> object:
        if isinstance(value, dict) and not value.keys() & {"table", "by"}:
            raise ValueError(
                "write a list, each style with a dash (`- name: ...`), or a folder, or a table (`table: ...`)"
            )
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        given = self.styles if isinstance(self.styles, tuple) else ()
        names = [style.name for style in given if isinstance(style, StyleSettings)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"styles: the name {doubled[0]!r} comes twice; rename one")
        return self

    @property
    def store_uri(self) -> str:
        """Where representations are kept."""
        return self.store or f"{self.output.rstrip('/')}/representations"

    def resolve_paths(self, resolve: Callable[[str], str]) -> Job:
        """The same job with every path made absolute; URIs stay as they are."""
        return self.model_copy(
            update={
                "corpus": self.corpus.model_copy(update={"uri": resolve(self.corpus.uri)}),
                "output": resolve(self.output),
                "store": resolve(self.store) if self.store else None,
                "method": self.method.resolve_paths(resolve),
                "styles": _resolve_styles(self.styles, resolve),
                "scores": self.scores.resolve_paths(resolve),
            }
        )


def _resolve_styles(styles: Any, resolve: Callable[[str], str]) -> Any:
    if isinstance(styles, str):
        return resolve(styles)
    if isinstance(styles, TableSettings):
        return styles.resolve_paths(resolve)
    return tuple(one if isinstance(one, PathSettings) else one.resolve_paths(resolve) for one in styles)


def load_job(path: str | Path) -> Job:
    """Read a job file. Relative paths are relative to it; ${NAME} is the environment's.

    Raises RequestError, one sentence that names the field.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_JOB_BYTES:
            raise RequestError(f"{path} is larger than a job file can be (1 MB).")
        content = read_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"The job file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not a YAML file: {' '.join(str(error).split())[:300]}.") from error
    if not isinstance(content, dict):
        raise RequestError(f"{path} is empty or not a mapping: a job starts with `corpus:` and `output:`.")
    return make_job(content, file.resolve().parent)


def make_job(content: dict[str, Any], folder: Path) -> Job:
    """A job from its content, with paths relative to `folder`. Raises RequestError naming the field."""
    try:
        job = Job.model_validate(_expand(content))
    except ValidationError as error:
        raise RequestError(_explain(error)) from error
    held = find_credential(job.model_dump_json())
    if held is not None:
        raise RequestError(f"The job holds the secret that the environment has as {held}: {LEAVE_OUT}.")
    return job.resolve_paths(lambda path: _absolute(path, folder))


def _expand(value: Any) -> Any:
    if isinstance(value, str):
        return _check_text(VARIABLE.sub(_environment, _check_text(value)))
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if isinstance(value, dict):
        return {_check_key(key): _expand(item) for key, item in value.items()}
    return value


def _check_key(key: object) -> str:
    if not isinstance(key, str):
        raise RequestError(
            f"The job has the key {str(key)[:SHOWN]!r}, which is no text: `atelier schema` prints the keys."
        )
    return _check_text(key)


def _check_text(text: str) -> str:
    """No path, name or prompt has control characters: they would end a path early, and steer a terminal."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text if character not in LAYOUT):
        raise RequestError(f"The job holds a control character in {text[:SHOWN]!a}: leave it out.")
    if len(text) > MAX_TEXT:
        raise RequestError(
            f"The job holds a text of {len(text)} letters ({text[:SHOWN]!r}...): take {MAX_TEXT} at most."
        )
    if carries_secret(text):
        raise RequestError(f"The job holds a URI with credentials: {LEAVE_OUT}.")
    return text


def _environment(match: re.Match[str]) -> str:
    if is_credential(match[1]):
        raise RequestError(f"The job names ${{{match[1]}}}, a credential by its name: {LEAVE_OUT}.")
    try:
        return os.environ[match[1]]
    except KeyError:
        raise RequestError(f"The job names ${{{match[1]}}}, which is not set in the environment.") from None


def _absolute(path: str, folder: Path) -> str:
    if "://" in path:
        return path
    return str(Path(os.path.normpath(folder / Path(path).expanduser())))


def _has_items(place: tuple[int | str, ...], found: Sequence[ErrorDetails]) -> bool:
    """Whether any of the errors is of an item of a list."""
    return any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in found)


def _explain(error: ValidationError) -> str:
    """The first error as one sentence; the rest by number."""
    found = error.errors(include_url=False, include_input=False)
    # Pydantic also counts what a list has beside its wrong items, and may find it too short.
    first, *others = [one for one in found if one["type"] != "too_short" or not _has_items(one["loc"], found)]
    # Pydantic's path names the member of a union, too: a job has no such key.
    named = [str(part) for part in first["loc"] if part not in (*MEMBERS, *METHODS, *MODES)]
    parts = [part for part in named if not OF_A_UNION.match(part)]
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "there is no such key; `atelier schema` prints those there are"
    if first["type"].startswith("union_tag"):
        key = first["ctx"]["discriminator"].strip("'").removesuffix("()")
        of_method = f"the name of a method, one of {', '.join(METHODS)}"
        modes = " or ".join(f"{mode} ({what})" for mode, what in MODES.items())
        parts, reason = [*parts, key], f"write {of_method if key == 'name' else modes}"
    more = f" ({len(others)} more)" if others else ""
    where = f"{'.'.join(parts)}: " if parts else ""
    return f"The job is wrong at {where}{reason}{more}." if parts else f"The job is wrong: {reason}{more}."
