"""Where weights are: from a reference in a job file to a local file and its digest.

A reference is `embedded:NAME`, `hf:OWNER/REPO/FILE@REVISION`, a catalog name, a path, or an fsspec URI.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.records import RequestError
from tasks.storage import open_filesystem
from tasks.weights.catalog import CHECKPOINTS, EMBEDDED, Checkpoint, embedded_names, how_to_get

HUB_REFERENCE = re.compile(r"hf:(?P<repo>[^/@]+/[^/@]+)/(?P<file>[^@]+)@(?P<revision>[^@]+)")


def is_path(reference: str) -> bool:
    """Whether a reference is a path, relative or absolute, rather than a name or a URI."""
    named = reference.startswith(("embedded:", "hf:")) or reference in CHECKPOINTS
    return not named and "://" not in reference


def resolve(reference: str) -> Path:
    """The local file of a reference; one from elsewhere is fetched once and kept.

    Raises RequestError, in one sentence that says what to do, where it names nothing or cannot be had.
    """
    if reference.startswith("embedded:"):
        return _find_embedded(reference)
    if reference.startswith("hf:"):
        return _fetch_from_hub(reference)
    if reference in CHECKPOINTS:
        return _fetch_known(CHECKPOINTS[reference])
    if not is_path(reference):
        return _fetch(reference)
    path = Path(reference).expanduser()
    if not path.is_file():
        raise RequestError(f"There is no weights file at {reference}{how_to_get(path.name)}.")
    return path


def digest(reference: str) -> str:
    """SHA-256 of the referenced file, in hexadecimal; read again only where its size or time changed."""
    path = resolve(reference)
    status = path.stat()
    return _digest_file(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_file(path: str, _size: int, _time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_embedded(reference: str) -> Path:
    name = reference.removeprefix("embedded:")
    if name not in embedded_names():
        names = ", ".join(embedded_names()) or "none"
        raise RequestError(f"There is no {reference}; the embedded weights are: {names}.")
    alone, in_folder = EMBEDDED / f"{name}.safetensors", EMBEDDED / name / "open_clip_model.safetensors"
    return alone if alone.exists() else in_folder  # CLIP models are folders, as open_clip saves them


def _fetch_from_hub(reference: str) -> Path:
    match = HUB_REFERENCE.fullmatch(reference)
    if match is None:
        raise RequestError(f"Write {reference} as hf:OWNER/REPO/FILE@REVISION: a revision makes a run repeatable.")
    from huggingface_hub import hf_hub_download  # slow to import, and few jobs name the hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(match["repo"], match["file"], revision=match["revision"]))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = type(error).__name__
        raise RequestError(f"{reference} cannot be fetched ({reason}): check its name and the network.") from error


def _fetch_known(checkpoint: Checkpoint) -> Path:
    if checkpoint.uri is None:
        raise RequestError(
            f"{checkpoint.name} cannot be fetched by itself: get {checkpoint.file} out of {checkpoint.source}, "
            "and name its path."
        )
    return _fetch(checkpoint.uri)


def _fetch(uri: str) -> Path:
    """Copy a remote file to the cache, under a name that its URI and its version give."""
    filesystem, path = open_filesystem(uri)
    name = Path(path).name
    try:
        version = hashlib.sha256(f"{uri} {filesystem.ukey(path)}".encode()).hexdigest()
        kept = cache_folder() / f"{version}-{name}"
        if not kept.exists():
            _keep(filesystem, path, kept)
    except (OSError, ValueError) as error:
        reason = type(error).__name__
        raise RequestError(
            f"Weights {uri} cannot be read ({reason}): check the address and the network, or give a local path."
        ) from error
    return kept


def _keep(filesystem: Any, path: str, kept: Path) -> None:
    """Copy a file under its name at once, so that another process never sees half of it."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with filesystem.open(path, "rb") as source, open(partial, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        os.replace(partial, kept)
    finally:
        partial.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where fetched weights are kept, as the XDG base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier" / "weights"
