"""Files below a corpus root, on local disk or behind any fsspec filesystem, and the version of each."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from tasks.corpus.base import Piece
from tasks.records import RequestError
from tasks.storage import shorten_error, storage_errors

# Hashing waits on the disk and releases the GIL; footers wait on the network.
READERS = 8
# Version of a file that cannot be read while planning: reading it later says why, in its record.
UNREADABLE = "unreadable"
SHA256 = "sha256:"
# What stores call a tag of a file's content (S3, Google and Azure; the Hugging Face hub), and the time it was written.
TAGS = ("ETag", "etag", "blob_id", "xet_hash")
TIMES = ("mtime", "LastModified", "last_modified", "Last-Modified", "modified", "created")


@dataclass(frozen=True)
class FoundFile:
    """A file below the root: its relative posix path, size, time (ns or 0) and entity tag (or "")."""

    path: str
    bytes: int
    modified: int = 0
    etag: str = ""


@dataclass(frozen=True)
class Root:
    """A folder on a filesystem."""

    filesystem: Any
    path: str

    def within(self, path: str) -> str:
        """Path of a file as the filesystem knows it."""
        return f"{self.path.rstrip('/')}/{path}"

    def files(self) -> list[FoundFile]:
        """Every file below the root, sorted by path; whatever begins with a dot is left out.

        Each real folder is walked once, so links that lead in circles end. Raises RequestError.
        """
        local = isinstance(self.filesystem, LocalFileSystem)
        try:
            found = _local_files(self.path) if local else _remote_files(self.filesystem, self.path)
            files = sorted(found, key=lambda file: file.path)
        except storage_errors(self.filesystem) as error:
            raise RequestError(
                f"{self.path} cannot be listed ({shorten_error(error)}): check its permissions."
            ) from error
        for file in files:
            _check_name(file.path)
        return files

    def file(self, path: str) -> FoundFile:
        """One file below the root. Raises FileNotFoundError."""
        if isinstance(self.filesystem, LocalFileSystem):
            status = os.stat(self.within(path))
            return FoundFile(path, status.st_size, status.st_mtime_ns)
        return _found(path, self.filesystem.info(self.within(path)))

    def versions(self, files: Sequence[FoundFile], known: Mapping[str, Piece]) -> list[Piece]:
        """A piece for each whole file, with its version: entity tag, or SHA-256 where the store has none."""

        def version(file: FoundFile) -> Piece:
            piece = Piece(file.path, f"etag:{file.etag}-{file.bytes}", file.bytes, file.modified)
            if file.etag:
                return piece
            old = known.get(file.path)
            same = old is not None and file.modified > 0
            if old and same and (old.bytes, old.modified) == (file.bytes, file.modified):
                return replace(piece, version=old.version)
            return replace(piece, version=_digest(self.filesystem, self.within(file.path)))

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(version, files))


def suffix(path: str) -> str:
    """Ending of a file's name in lower case, with its dot."""
    return posixpath.splitext(path)[1].lower()


def with_suffix(files: Sequence[FoundFile], suffixes: Collection[str]) -> list[FoundFile]:
    """The files whose name ends so, in any case."""
    return [file for file in files if suffix(file.path) in suffixes]


def _local_files(root: str) -> Iterator[FoundFile]:
    """Real folders first, then linked ones not walked yet, so that a link never renames a real file."""
    walked: set[tuple[int, int]] = set()
    links: list[str] = []
    yield from _walk(root, "", walked, links)
    while links:
        yield from _walk(root, links.pop(0), walked, links)


def _walk(root: str, folder: str, walked: set[tuple[int, int]], links: list[str]) -> Iterator[FoundFile]:
    place = os.stat(os.path.join(root, folder))
    if (place.st_dev, place.st_ino) in walked:
        return
    walked.add((place.st_dev, place.st_ino))
    with os.scandir(os.path.join(root, folder)) as entries:
        names = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    for entry in names:
        path = posixpath.join(folder, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, walked, links)
        elif entry.is_dir():
            links.append(path)
        elif entry.is_file():
            status = entry.stat()
            yield FoundFile(path, status.st_size, status.st_mtime_ns)
        elif entry.is_symlink():
            yield FoundFile(path, 0)


def _remote_files(filesystem: Any, root: str) -> Iterator[FoundFile]:
    prefix = root.rstrip("/") + "/"
    for path, info in filesystem.find(root, detail=True).items():
        relative = path.removeprefix(prefix)
        hidden = any(part.startswith(".") for part in relative.split("/"))
        if info["type"] == "file" and relative and not hidden:
            yield _found(relative, info)


def _found(path: str, info: Mapping[str, Any]) -> FoundFile:
    tag = next((str(info[key]).strip('"') for key in TAGS if info.get(key)), "")
    return FoundFile(path, info["size"] or 0, 0 if tag else written_at(info), tag)


def written_at(info: Mapping[str, Any]) -> int:
    """When a file was written, in nanoseconds since 1970, of what a store tells of it; 0 where it does not tell."""
    return _nanoseconds(next((info[key] for key in TIMES if info.get(key)), 0))


def _nanoseconds(time: Any) -> int:
    """Of a time as stores give it: seconds, a datetime or the words of HTTP; 0 of anything else."""
    try:
        moment = parsedate_to_datetime(time) if isinstance(time, str) else time
        return int(float(moment.timestamp() if isinstance(moment, datetime) else moment) * 1e9)
    except (TypeError, ValueError):
        return 0


def is_version(data: bytes, version: str) -> bool:
    """Whether bytes are those that a version stands for; an entity tag cannot be checked, and passes."""
    return not version.startswith(SHA256) or version == f"{SHA256}{hashlib.sha256(data).hexdigest()[:32]}"


def _digest(filesystem: Any, path: str) -> str:
    try:
        with filesystem.open(path, "rb") as file:
            return f"{SHA256}{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"
    except (FileNotFoundError, PermissionError):
        return UNREADABLE


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"The file name {path!r} is not UTF-8: rename the file.") from error
