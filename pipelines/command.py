"""What commands have in common: arguments, the folder of a dataset, and how they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.records import RequestError

Root = Annotated[str, typer.Argument(help="Path or URI of a dataset.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_dataset(root: str) -> Any:
    """The folder of a dataset. Raises RequestError where there is none."""
    from tasks.dataset.identity import read_identity
    from tasks.storage import Folder

    folder = Folder(make_absolute(root))
    if read_identity(folder) is None:
        raise RequestError(f"There is no dataset at {root}: it has no dataset.json.")
    return folder


def make_absolute(path: str) -> str:
    """A path from the root of the disk, since actors have working directories of their own; a URI as it is."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


def print_data(data: Any, as_json: bool, text: str) -> None:
    """Print data as JSON, or as text."""
    typer.echo(json.dumps(data, indent=1, default=str) if as_json else text)


def say(text: str) -> None:
    """Tell of something on stderr."""
    typer.echo(text, err=True)
