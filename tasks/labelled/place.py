"""Where a picture of a table is: `URI/of/file.parquet#row=123`, readable wherever a picture's path is."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote

from tasks.corpus.listing import READERS, FoundFile, Root
from tasks.storage import open_filesystem, storage_errors

MARK = "#row="


@dataclass(frozen=True)
class RowPlace:
    """One row of a Parquet file.

    `image` is the column of its picture, None where there is but one that could be. `version` is the file's: a
    picture that was read from this version need not be read again to know what it is. Empty where it is unknown.
    """

    file: str
    row: int
    image: str | None = None
    version: str = ""

    @property
    def uri(self) -> str:
        """The place as a reference names it."""
        image = f"&image={quote(self.image, safe='')}" if self.image else ""
        version = f"&version={self.version}" if self.version else ""
        return f"{self.file}{MARK}{self.row}{image}{version}"


def parse_place(uri: str) -> RowPlace | None:
    """The row that a URI names; None where it names a file."""
    file, mark, rest = uri.rpartition(MARK)
    row, _, options = rest.partition("&")
    if not mark or not file or not (row.isascii() and row.isdigit()):
        return None
    named = parse_qs(options)
    if not named.keys() <= {"image", "version"}:
        return None
    return RowPlace(file, int(row), _last(named.get("image")), _last(named.get("version")) or "")


def file_version(file: FoundFile) -> str:
    """A short digest of a file's size and time or entity tag; empty where a store gives neither."""
    if not file.modified and not file.etag:
        return ""
    return hashlib.sha256(f"{file.bytes} {file.modified} {file.etag}".encode()).hexdigest()[:12]


def find_file(uri: str) -> tuple[Root, FoundFile]:
    """A file and the folder that it lies in. Raises RequestError and what its store raises."""
    filesystem, path = open_filesystem(uri)
    folder, name = posixpath.split(path)
    root = Root(filesystem, folder)
    return root, root.file(name)


def settle_places(uris: Iterable[str]) -> dict[str, RowPlace]:
    """Of those that name rows, the place with its file's version now; each file is looked up once.

    Raises RequestError where a URI names no store.
    """
    places = {uri: place for uri in uris if (place := parse_place(uri)) is not None}
    versions = _find_versions({place.file for place in places.values()})
    return {uri: replace(place, version=versions[place.file]) for uri, place in places.items()}


def unchanged_rows(uris: Collection[str]) -> set[str]:
    """Those rows whose file still has the version of when they were chosen; not those of which it is not known."""
    return {uri for uri, place in settle_places(uris).items() if place.version and place.uri == uri}


def _find_versions(files: Collection[str]) -> dict[str, str]:
    """The version of each file; empty where it has none, or is gone."""
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(files, pool.map(_find_version, files), strict=True))


def _find_version(uri: str) -> str:
    try:
        return file_version(find_file(uri)[1])
    except storage_errors(open_filesystem(uri)[0]):
        return ""


def _last(values: Sequence[str] | None) -> str | None:
    return values[-1] if values else None
