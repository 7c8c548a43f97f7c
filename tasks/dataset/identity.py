"""What a dataset is: `dataset.json`, written once, that later jobs must agree with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.images.settings import ImageSettings
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.styles import PlannedStyle

NAME = "dataset.json"
# 1: as it began. 2: with takedowns, which an atelier that knows only 1 would bring back.
VERSIONS = (1, 2)


class DatasetIdentity(BaseModel):
    """Frozen when the first plan is made: what may not change without making another dataset.

    `schema_version` is the oldest that tells the truth of the dataset: a takedown raises it, nothing else does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = 1
    images: ImageSettings
    seed: int


def read_identity(folder: Folder) -> DatasetIdentity | None:
    """The dataset's identity, or None where there is no dataset yet. Raises RequestError on one we cannot read."""
    data = folder.read_or_none(NAME)
    if data is None:
        return None
    try:
        return DatasetIdentity.model_validate_json(data)
    except ValidationError as error:
        raise RequestError(f"{folder.uri}/{NAME} {_explain(data)}.") from error


def raise_version(folder: Folder) -> None:
    """Bring a dataset to the newest schema version, so that no atelier that does not know it touches it.

    Nothing else differs between versions 1 and 2, so there is nothing else to migrate.
    """
    found = read_identity(folder)
    if found is not None and found.schema_version < VERSIONS[-1]:
        raised = found.model_copy(update={"schema_version": VERSIONS[-1]})
        folder.publish(NAME, raised.model_dump_json(indent=1).encode(), create=False)


def check_identity(folder: Folder, wanted: DatasetIdentity) -> None:
    """Raise RequestError where the dataset under `folder` has another identity: which key, what to do."""
    found = read_identity(folder)
    if found is None:
        return
    for key in ("images", "seed"):
        before, now = getattr(found, key), getattr(wanted, key)
        if before != now:
            raise RequestError(
                f"The dataset at {folder.uri} was made with `{key}: {_brief(before)}`, the job says {_brief(now)}: "
                f"set `{key}` back, or name another `output`."
            )


def freeze_identity(folder: Folder, identity: DatasetIdentity) -> None:
    """Write `dataset.json`, or check ours against the one that is there."""
    if not folder.publish(NAME, identity.model_dump_json(indent=1).encode()):
        check_identity(folder, identity)


def check_style_names(owned: Iterable[PlannedStyle], styles: Iterable[PlannedStyle]) -> None:
    """Raise RequestError where a name stands for two styles, or a style has two names: here or in the dataset."""
    digests = {style.name: style.digest for style in owned}
    names = {digest: name for name, digest in digests.items()}
    ours: dict[str, str] = {}
    for style in styles:
        if style.name in ours:
            raise RequestError(f"Two styles are named {style.name!r}: rename one.")
        if style.digest in ours.values():
            other = next(name for name, digest in ours.items() if digest == style.digest)
            raise RequestError(f"Styles {other!r} and {style.name!r} are the same: remove one.")
        if style.draw is not None and digests.get(style.name, style.digest) != style.digest:
            raise RequestError(
                f"The draw {style.name!r} is in the dataset with another bank, method, strength or split: put them "
                "back, or give the draw another `name`."
            )
        if digests.get(style.name, style.digest) != style.digest:
            raise RequestError(
                f"Style {style.name!r} is in the dataset with other references, settings, weights or regions (a folder "
                "of masks goes by its path from the corpus): rename it."
            )
        if names.get(style.digest, style.name) != style.name:
            raise RequestError(
                f"Style {style.name!r} is in the dataset as {names[style.digest]!r}: give it that name again"
                f"{', or put masks that have changed into a folder of another name' if _reads_masks(style) else ''}."
            )
        ours[style.name] = style.digest


def _explain(data: bytes) -> str:
    """Why an identity cannot be read, and what to do."""
    try:
        version = json.loads(data)["schema_version"]
    except (ValueError, KeyError, TypeError):
        version = None
    if isinstance(version, int) and version > VERSIONS[-1]:
        return f"has schema version {version}, and this atelier knows {VERSIONS[-1]} at most: use a newer atelier"
    return "was not written by atelier, or is damaged: restore it, or name another output"


def _reads_masks(style: PlannedStyle) -> bool:
    return style.regions is not None and style.regions.reads_masks


def _brief(value: object) -> str:
    return value.model_dump_json() if isinstance(value, BaseModel) else repr(value)
