"""Copies of pictures chosen from tables, beside the representations: to read one row takes its whole row group."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from tasks.labelled.place import RowPlace
from tasks.storage import Folder, storage_errors

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


def copy_name(place: RowPlace) -> str:
    """Name of a row's copy, below a store of representations."""
    return f"{FOLDER}/{hashlib.sha256(place.uri.encode()).hexdigest()[:32]}"
