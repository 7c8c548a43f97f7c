"""Files below a corpus root, on local disk or behind any fsspec filesystem, and the version of each."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, TypeVar

from fsspec.implementations.local import LocalFileSystem

from tasks.corpus.base import Known, Piece
from tasks.records import RequestError
from tasks.s3_listing import list_s3_pages
from tasks.storage import is_s3, shorten_error, storage_errors

Item = TypeVar("Item")
Result = TypeVar("Result")

# Hashing waits on the disk and releases the GIL; footers wait on the network.
READERS = 8
# Files that are asked for their versions together.
DIGESTS = 1024
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

    def walk(self) -> Iterator[FoundFile]:
        """Every file below the root, one after another, always in the same order; what begins with a dot is left out.

        On local disk and on S3 no list of all is held: folders are read one by one, listings a page at a time. Each
        real folder is walked once, so links that lead in circles end. Raises RequestError.
        """
        try:
            for file in self._found():
                _check_name(file.path)
                yield file
        except storage_errors(self.filesystem) as error:
            raise RequestError(
                f"{self.path} cannot be listed ({shorten_error(error)}): check its permissions."
            ) from error

    def files(self) -> list[FoundFile]:
        """Every file below the root, sorted by path. Raises RequestError."""
        return sorted(self.walk(), key=lambda file: file.path)

    def _found(self) -> Iterator[FoundFile]:
        if isinstance(self.filesystem, LocalFileSystem):
            return _local_files(self.path)
        if is_s3(self.filesystem):
            return _s3_files(self.filesystem, self.path)
        return _remote_files(self.filesystem, self.path)

    def file(self, path: str) -> FoundFile:
        """One file below the root. Raises FileNotFoundError."""
        if isinstance(self.filesystem, LocalFileSystem):
            status = os.stat(self.within(path))
            return FoundFile(path, status.st_size, status.st_mtime_ns)
        return _found(path, self.filesystem.info(self.within(path)))

    def version(self, file: FoundFile, old: Piece | None) -> str:
        """Of a file: its entity tag, or the version that it had when it had the same size and time, or SHA-256."""
        return _tag(file) or _recall(file, old) or _digest(self.filesystem, self.within(file.path))

    def versions(self, files: Iterable[FoundFile], known: Known) -> Iterator[Piece]:
        """A piece for each whole file, with its version: entity tag, or SHA-256 where the store has none."""
        with ThreadPoolExecutor(READERS) as pool:
            for some in batched(files, DIGESTS):
                versions = [_tag(file) or _recall(file, known.get(file.path)) for file in some]
                unread = [file for file, version in zip(some, versions, strict=True) if version is None]
                digests = pool.map(lambda file: _digest(self.filesystem, self.within(file.path)), unread)
                for file, version in zip(some, versions, strict=True):
                    yield Piece(file.path, version or next(digests), file.bytes, file.modified)


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Iterator[Result]:
    """Results in order, with at most `depth` of them on their way or waiting."""
    queue: deque[Future[Result]] = deque()
    for item in items:
        if len(queue) >= depth:
            yield queue.popleft().result()
        queue.append(pool.submit(function, item))
    while queue:
        yield queue.popleft().result()


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Items in lists of a size; the last may be shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def suffix(path: str) -> str:
    """Ending of a file's name in lower case, with its dot."""
    dot = path.rfind(".")
    return path[dot:].lower() if dot > path.rfind("/") + 1 else ""


def with_suffix(files: Iterable[FoundFile], suffixes: Collection[str]) -> list[FoundFile]:
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
    # Names alone: a folder may hold millions. With the slash they come in the order of whole paths.
    with os.scandir(os.path.join(root, folder)) as entries:
        names = sorted(_with_slash(entry) for entry in entries if not entry.name.startswith("."))
    for name in names:
        path = posixpath.join(folder, name)
        if name.endswith("/"):
            yield from _walk(root, path[:-1], walked, links)
        else:
            yield from _local_file(root, path, links)


def _with_slash(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _local_file(root: str, path: str, links: list[str]) -> Iterator[FoundFile]:
    try:
        status = os.stat(os.path.join(root, path))
    except OSError as error:
        if not os.path.islink(os.path.join(root, path)):
            if isinstance(error, FileNotFoundError):
                return  # removed since its folder was read
            raise
        yield FoundFile(path, 0)
        return
    if stat.S_ISDIR(status.st_mode):
        links.append(path)
    elif stat.S_ISREG(status.st_mode):
        yield FoundFile(path, status.st_size, status.st_mtime_ns)


def _s3_files(filesystem: Any, root: str) -> Iterator[FoundFile]:
    """Files of a listing, a page at a time; s3fs itself keeps all that it finds."""
    bucket, _, folder = root.partition("/")
    prefix = f"{folder}/" if folder else ""
    for page in list_s3_pages(filesystem, bucket, prefix):
        for found in page:
            path = found["Key"][len(prefix) :]
            if path and not path.endswith("/") and not path.startswith(".") and "/." not in path:
                yield FoundFile(path, found["Size"], 0, found["ETag"].strip('"'))


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


def _tag(file: FoundFile) -> str | None:
    return f"etag:{file.etag}-{file.bytes}" if file.etag else None


def _recall(file: FoundFile, old: Piece | None) -> str | None:
    """The version that a file had when it was planned, if it has the same size and time."""
    if old is None or not file.modified or (old.bytes, old.modified) != (file.bytes, file.modified):
        return None
    return old.version


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
