"""Object storage behind any fsspec URI: read, list, and publish (atomic, create-only)."""

from __future__ import annotations

import errno
import io
import os
import posixpath
import shutil
import threading
import time
import uuid
from contextlib import nullcontext, suppress
from typing import Any, BinaryIO

import fsspec
from fsspec.asyn import sync as run_on_loop
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tasks.credentials import carries_secret, hide_secrets
from tasks.records import RequestError

# A write counts as lost after this long, and a second more for each MiB: s3fs alone waits for ever on a
# stalled upload.
REQUEST_SECONDS = 120
# s3fs tries again what botocore has tried five times, and reading again whatever that was: with its own five tries of
# 15 s each it waits half an hour for a server that says nothing. Fewer than four fail where one connection in five is
# reset, which botocore does not try again.
S3_TRIES = 4
# S3 answers 409 while another conditional write to the same name is under way, and asks to try again.
CONFLICT_TRIES = 6
CONFLICT_SECONDS = 0.1
# What s3fs makes of a 500 and of a 503, and what botocore raises, which only who uses S3 has imported.
PASSING_ERRNOS = frozenset({errno.EREMOTEIO, errno.EBUSY})
PASSING_KINDS = frozenset({"botocore.exceptions.HTTPClientError", "botocore.exceptions.ConnectTimeoutError"})

_memory = threading.Lock()


def open_filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URI and the path inside it, without a trailing slash.

    Credentials and endpoints come from the environment, as each store's own tools read them; a URI that
    carries a password or a signature is refused, since URIs are written into plans. Raises RequestError.
    """
    try:
        if carries_secret(uri):
            raise RequestError("A URI must not carry credentials: set them in the environment instead.")
        filesystem, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise RequestError(f"The storage of {uri!r} cannot be opened: {hide_secrets(str(error))}.") from error
    if is_s3(filesystem):
        filesystem.retries = S3_TRIES
    return filesystem, path.rstrip("/") or "/"


def path_from(base: str, uri: str) -> str | None:
    """The path that leads from one URI to another, such as `../masks`; None where they lie on different stores."""
    (here, start), (there, path) = open_filesystem(base), open_filesystem(uri)
    return posixpath.relpath(path, start) if here == there else None


def storage_errors(filesystem: Any) -> tuple[type[Exception], ...]:
    """What a filesystem raises when it fails; S3 has its own for missing credentials and wrong endpoints."""
    if not is_s3(filesystem):
        return (OSError, ValueError)
    from botocore.exceptions import BotoCoreError

    return (OSError, ValueError, BotoCoreError)


def is_passing(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is of a store that throttles, breaks off or does not answer.

    An endpoint where nobody listens, or that resets every connection, is not: it may be a wrong one.
    """
    if error is None:
        return False
    if isinstance(error, TimeoutError | ConnectionError) or getattr(error, "errno", None) in PASSING_ERRNOS:
        return True
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return bool(names & PASSING_KINDS) or is_passing(error.__cause__)


class Folder:
    """A folder of a store. Names given to it are posix paths relative to it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self.filesystem, self.path = open_filesystem(uri)

    def __reduce__(self) -> tuple[type[Folder], tuple[str]]:
        return (Folder, (self.uri,))

    def within(self, name: str) -> str:
        """Path of a name as the filesystem knows it."""
        return posixpath.join(self.path, name)

    def list(self, prefix: str) -> dict[str, int]:
        """Names under a sub-folder, with their sizes in bytes; empty where there is no such folder."""
        return {name: info["size"] for name, info in self.describe(prefix).items()}

    def describe(self, prefix: str, *, temporary: bool = False) -> dict[str, dict[str, Any]]:
        """The same names with what the store tells of each: sizes, times, tags; `temporary`: unfinished ones too."""
        try:
            found = self.filesystem.find(self.within(prefix), detail=True)
        except FileNotFoundError:
            return {}
        root = self.path.rstrip("/") + "/"
        files = {path.removeprefix(root): info for path, info in found.items() if _is_object(path, info)}
        return {name: info for name, info in sorted(files.items()) if temporary or not is_temporary(name)}

    def read(self, name: str) -> bytes:
        """Content of an object. Raises FileNotFoundError."""
        return bytes(self.filesystem.cat_file(self.within(name)))

    def read_or_none(self, name: str) -> bytes | None:
        """Content of an object, or None where there is none."""
        try:
            return self.read(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> Any:
        """Open an object for reading, seekable; what is not asked for is not fetched. Raises FileNotFoundError."""
        # fsspec reads 5 to 50 MB ahead by default: a footer would cost a shard's pictures.
        return self.filesystem.open(self.within(name), "rb", cache_type="none")

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        return bool(self.filesystem.exists(self.within(name)))

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(self.within(name))

    def publish(self, name: str, data: bytes, *, create: bool = True) -> bool:
        """Write an object whole or not at all; with `create`, only where none is. True if we wrote it.

        False means that an object was there: or that our own first answer was lost and a second try met our
        own object. Raises OSError where the store fails; then too the object may be there. Read it to know.
        """
        path = self.within(name)
        if isinstance(self.filesystem, LocalFileSystem):
            return _publish_locally(path, data, create)
        if is_s3(self.filesystem):
            return _publish_on_s3(self.filesystem, path, data, create)
        # A memory filesystem looks first and writes then; other stores decide on their side.
        with _memory if isinstance(self.filesystem, MemoryFileSystem) else nullcontext():
            try:
                self.filesystem.pipe_file(path, data, mode="create" if create else "overwrite")
            except FileExistsError:
                return False
        return True

    def publish_file(self, name: str, file: BinaryIO, *, create: bool = True) -> bool:
        """As `publish`, of a local file that is larger than memory should hold; at most 5 GB."""
        path = self.within(name)
        if isinstance(self.filesystem, LocalFileSystem):
            return _publish_locally(path, file, create)
        if is_s3(self.filesystem):
            return _publish_on_s3(self.filesystem, path, file, create)
        file.seek(0)
        return self.publish(name, file.read(), create=create)

    def probe(self) -> None:
        """Check that this store keeps a create-only promise. Raises RequestError in one sentence."""
        name = f".atelier-probe-{uuid.uuid4().hex}"
        errors = storage_errors(self.filesystem)
        try:
            first, second = self.publish(name, b"1"), self.publish(name, b"2")
        except errors as error:
            raise RequestError(
                f"Nothing can be written under {self.uri} ({shorten_error(error)}): check its permissions, and the "
                "credentials and endpoint in the environment."
            ) from error
        finally:
            with suppress(*errors):
                self.delete(name)
        if not first or second:
            raise RequestError(
                f"{self.uri} lets a second writer replace an object that must be written once "
                "(it ignores If-None-Match): use a store that honours conditional writes."
            )


def _publish_locally(path: str, data: bytes | BinaryIO, create: bool) -> bool:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".tmp-{uuid.uuid4().hex}")
    try:
        with open(temporary, "wb") as file:
            shutil.copyfileobj(_rewound(data), file)
            file.flush()
            os.fsync(file.fileno())
        return _place(temporary, path, create)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        _sync_folder(folder)


def _place(temporary: str, path: str, create: bool) -> bool:
    """Give a finished file its name. A hard link is atomic and refuses an existing name; rename is not."""
    if not create:
        os.replace(temporary, path)
        return True
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: str) -> None:
    """Make a new name outlast a loss of power, as fsync does for what is in the file."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _publish_on_s3(filesystem: Any, path: str, data: bytes | BinaryIO, create: bool) -> bool:
    """One single-part PUT: conditional completions of multipart uploads race on real servers."""
    from botocore.exceptions import BotoCoreError

    for attempt in range(CONFLICT_TRIES):
        try:
            _put_on_s3(filesystem, path, data, create)
            return True
        except FileExistsError:
            return False
        except BotoCoreError as error:
            raise OSError(f"{type(error).__name__}: {hide_secrets(str(error))}") from error
        except OSError as error:
            # Servers disagree on the body of a 412, so s3fs does not always see a FileExistsError in it.
            code = _s3_code(error)
            if create and code in ("PreconditionFailed", "412"):
                return False
            if code != "ConditionalRequestConflict" or attempt == CONFLICT_TRIES - 1:
                raise
            time.sleep(CONFLICT_SECONDS * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _put_on_s3(filesystem: Any, path: str, data: bytes | BinaryIO, create: bool) -> None:
    bucket, key, _ = filesystem.split_path(path)
    condition = {"IfNoneMatch": "*"} if create else {}
    seconds = REQUEST_SECONDS + _size(data) // 2**20
    body = data if isinstance(data, bytes) else _rewound(data)
    put = {"Bucket": bucket, "Key": key, "Body": body, **condition}
    run_on_loop(filesystem.loop, filesystem._call_s3, "put_object", timeout=seconds, **put)


def _rewound(data: bytes | BinaryIO) -> BinaryIO:
    """What is to be written, from its beginning."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    return file


def _size(data: bytes | BinaryIO) -> int:
    return len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)


def _s3_code(error: OSError) -> str:
    """The error code of a store's answer, as s3fs keeps it in the cause."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_s3(filesystem: Any) -> bool:
    """Whether a filesystem is S3's, or speaks like it."""
    protocol = filesystem.protocol
    return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)


def _is_object(path: str, info: dict[str, Any]) -> bool:
    """Not a folder; S3 consoles make empty objects that stand for one."""
    return info["type"] == "file" and not path.endswith("/")


def is_temporary(name: str) -> bool:
    """Whether a name is that of a write that is not finished, or of a probe."""
    return posixpath.basename(name).startswith((".tmp-", ".atelier-probe-"))


def shorten_error(error: Exception) -> str:
    """What an error says, in one line: a system's own words without its number, or else the kind of error."""
    text = getattr(error, "strerror", None) or str(error)
    return hide_secrets((text.strip().splitlines() or [type(error).__name__])[0])[:200]
