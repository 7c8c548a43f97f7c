"""Object storage behind any fsspec URI: read, list, and publish (atomic, create-only)."""

from __future__ import annotations

import os
import posixpath
import uuid
from contextlib import suppress
from typing import Any

import fsspec
from fsspec.asyn import sync as run_on_loop
from fsspec.core import split_protocol
from fsspec.implementations.local import LocalFileSystem

from tasks.records import RequestError

# One request may take this long before it counts as lost; s3fs alone waits for ever on a stalled upload.
REQUEST_SECONDS = 120


def open_filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URI and the path inside it, without a trailing slash.

    Credentials and endpoints come from the environment, as each store's own tools read them; a URI that
    carries a password is refused, since URIs are written into plans. Raises RequestError.
    """
    if "@" in (split_protocol(uri)[1] if split_protocol(uri)[0] else ""):
        raise RequestError("A URI must not carry credentials: set them in the environment instead.")
    try:
        filesystem, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise RequestError(f"The storage of {uri!r} cannot be opened: {error}.") from error
    return filesystem, path.rstrip("/") or "/"


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
        try:
            found = self.filesystem.find(self.within(prefix), detail=True)
        except FileNotFoundError:
            return {}
        files = {path: info for path, info in found.items() if info["type"] == "file"}
        names = {posixpath.relpath(path, self.path): info["size"] for path, info in files.items()}
        return {name: size for name, size in sorted(names.items()) if not _is_temporary(name)}

    def read(self, name: str) -> bytes:
        """Content of an object. Raises FileNotFoundError."""
        return bytes(self.filesystem.cat_file(self.within(name)))

    def read_or_none(self, name: str) -> bytes | None:
        """Content of an object, or None where there is none."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> Any:
        """Open an object for reading, seekable."""
        return self.filesystem.open(self.within(name), "rb")

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(self.within(name))

    def publish(self, name: str, data: bytes, *, create: bool = True) -> bool:
        """Write an object whole or not at all; with `create`, only where none is. True if we wrote it.

        False means that an object was there (or that our own answer was lost: read it back to know).
        """
        path = self.within(name)
        if isinstance(self.filesystem, LocalFileSystem):
            return _publish_locally(path, data, create)
        if "s3" in _protocols(self.filesystem):
            return _publish_on_s3(self.filesystem, path, data, create)
        try:
            self.filesystem.pipe_file(path, data, mode="create" if create else "overwrite")
        except FileExistsError:
            return False
        return True

    def probe(self) -> None:
        """Check that this store keeps a create-only promise. Raises RequestError in one sentence."""
        name = f".atelier-probe-{uuid.uuid4().hex}"
        try:
            first, second = self.publish(name, b"1"), self.publish(name, b"2")
        except (OSError, ValueError) as error:
            raise RequestError(f"Nothing can be written under {self.uri}: {_short(error)}.") from error
        finally:
            with suppress(OSError, ValueError):
                self.delete(name)
        if not first or second:
            raise RequestError(
                f"{self.uri} lets a second writer replace an object that must be written once "
                "(it ignores If-None-Match): use a store that honours conditional writes."
            )


def _publish_locally(path: str, data: bytes, create: bool) -> bool:
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".tmp-{uuid.uuid4().hex}-{name}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _place(temporary, path, create)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


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


def _publish_on_s3(filesystem: Any, path: str, data: bytes, create: bool) -> bool:
    """One single-part PUT: conditional multipart completions race on real servers (facts/infra.md 1)."""
    bucket, key, _ = filesystem.split_path(path)
    condition = {"IfNoneMatch": "*"} if create else {}
    try:
        run_on_loop(
            filesystem.loop,
            filesystem._call_s3,
            "put_object",
            Bucket=bucket,
            Key=key,
            Body=data,
            timeout=REQUEST_SECONDS,
            **condition,
        )
    except FileExistsError:
        return False
    except OSError as error:
        # Servers disagree on the body of a 412, so s3fs does not always see a FileExistsError in it.
        if create and _says_exists(error):
            return False
        raise
    return True


def _says_exists(error: OSError) -> bool:
    text = f"{error} {error.__cause__}"
    return "PreconditionFailed" in text or "pre-conditions" in text or "412" in text


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _is_temporary(name: str) -> bool:
    return posixpath.basename(name).startswith((".tmp-", ".atelier-probe-"))


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
