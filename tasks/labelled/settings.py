"""The `styles` of a job as a labelled table gives them: which classes, and which pictures of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tasks.methods.settings import MethodSettings

# What a style may be named after.
NAME_FIELDS = ("class", "file", "row")


def _as_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"write the name in quotes: without them YAML reads {value!r}, which is no word")
    return str(value)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


Label = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int), Field(min_length=1)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]
SomeLabels = Annotated[Labels, BeforeValidator(_as_list, json_schema_input_type=str | int | tuple[str | int, ...])]


class TableSettings(BaseModel):
    """Styles from Parquet files of pictures with labels: each class is a style, or each picture of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field(min_length=1, description="A Parquet file or a folder of them, by any fsspec URI.")
    by: str = Field(min_length=1, description="Column of classes: a ClassLabel, words or whole numbers.")
    classes: SomeLabels | None = Field(None, description="Names of the classes to take; default: all there are.")
    where: dict[str, SomeLabels] = Field(
        default_factory=dict, description="Other columns of classes, each with those of which a picture has to be one."
    )
    pictures: int = Field(4, ge=1, le=1024, description="Pictures taken of each class, drawn by `seed`.")
    per: Literal["class", "picture"] = Field(
        "class",
        description="class: a style mixes all its pictures, each with the same weight. picture: each is a style.",
    )
    at_most: int | None = Field(None, ge=1, description="So many classes, those with the most pictures.")
    min_pictures: int = Field(1, ge=1, description="A class that has fewer is left out.")
    seed: int = Field(0, ge=0, lt=2**63, description="Another seed draws other pictures.")
    image: str | None = Field(None, description="Column of pictures; needed only where several could be.")
    text: str | None = Field(
        None, min_length=1, description="Words added to each style, such as `a painting by {class}`."
    )
    text_weight: float = Field(0.5, gt=0, lt=1, description="Share of the words in the mix; pictures have the rest.")
    name: str | None = Field(
        None,
        min_length=1,
        description="Name of each style, of {class}, {file} and {row}; default: `{class}`, and `{class} {file}#{row}` "
        "where each picture is a style.",
    )
    method: MethodSettings | None = Field(None, description="Overrides the job's method for these styles.")

    @model_validator(mode="after")
    def _templates_can_be_filled(self) -> Self:
        needed = ("row",) if self.per == "picture" else ("class",)
        _check_template("name", self.name_template, needed, NAME_FIELDS if self.per == "picture" else ("class",))
        _check_template("text", self.text or "", (), ("class",))
        if self.by in self.where:
            raise ValueError(f"`where` names the column {self.by!r} of `by`: name its classes in `classes`")
        return self

    @property
    def name_template(self) -> str:
        """What a style's name is made from."""
        return self.name or ("{class} {file}#{row}" if self.per == "picture" else "{class}")

    def resolve_paths(self, resolve: Callable[[str], str]) -> TableSettings:
        """The same table with its paths made absolute."""
        method = self.method.resolve_paths(resolve) if self.method else None
        return self.model_copy(update={"table": resolve(self.table), "method": method})


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A template with its {fields} filled."""
    return template.format_map(values)


def _check_template(key: str, template: str, needed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"`{key}` has a brace without its other: write {{{{ for a brace") from error
    fields = {name for _, name, _, _ in parts if name is not None}
    plain = all(not form and not conversion for _, name, form, conversion in parts if name is not None)
    if not fields <= set(allowed) or not plain:
        raise ValueError(f"`{key}` can hold {', '.join(f'{{{name}}}' for name in allowed)} and nothing else in braces")
    if not fields >= set(needed):
        raise ValueError(f"`{key}` lacks {{{needed[0]}}}, without which styles would share one name")
