"""Copies of pictures chosen from tables, beside the representations: to read one row takes its whole row group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from tasks.labelled.place import RowPlace
from tasks.records import RequestError
from tasks.storage import Folder, shorten_error, storage_errors

FOLDER = "pictures"


class Copies:
    """Folders in which copies may be. A copy is of the file's version that was planned, whatever became of it since."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}

    def look_in(self, folder: Folder) -> None:
        """Look in this folder, too."""
        self._folders.setdefault(folder.uri, folder)

    def read(self, place: RowPlace) -> bytes | None:
        """The picture of a row, where there is a copy; None where not, or where it cannot be had."""
        for folder in self._folders.values() if place.version else ():
            with suppress(*storage_errors(folder.filesystem)):
                data = folder.read_or_none(copy_name(place))
                if data is not None:
                    return data
        return None


def not_copied(places: Iterable[RowPlace], folder: Folder) -> set[RowPlace]:
    """Those of which a folder could have a copy and has none. Raises RequestError."""
    with _explained(folder):
        there = folder.list(FOLDER)
    return {place for place in places if place.version and copy_name(place) not in there}


def copy(place: RowPlace, data: bytes, folder: Folder) -> None:
    """Put a copy of a picture into a folder; of a file without a version nobody could tell later what it is of.

    Raises RequestError.
    """
    if place.version:
        with _explained(folder):
            folder.publish(copy_name(place), data)


def copy_name(place: RowPlace) -> str:
    """Name of a row's copy, below a store of representations."""
    return f"{FOLDER}/{hashlib.sha256(place.uri.encode()).hexdigest()[:32]}"


@contextmanager
def _explained(folder: Folder) -> Iterator[None]:
    try:
        yield
    except storage_errors(folder.filesystem) as error:
        raise RequestError(
            f"Pictures of tables cannot be copied to {folder.uri} ({shorten_error(error)}): check its permissions."
        ) from error
