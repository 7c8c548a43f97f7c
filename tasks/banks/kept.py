"""Banks in a store and on a node: one object, copied to each node once, and mapped by every actor there."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from tasks.banks.packed import Bank, map_table, read_table, table_key, without_tensors
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.weights.references import cache_folder

COPY_BYTES = 2**23
# A node's copy of a bank that nobody opened for so long goes when another one comes.
UNUSED_SECONDS = 30 * 24 * 3600


def bank_name(method: str, key: str) -> str:
    """Name of a bank's object in a store."""
    return f"banks/{method}/{key}.arrow"


def parts_folder(method: str) -> str:
    """Where a store keeps the parts that banks of a method are packed from."""
    return f"banks/{method}/parts"


def source_name(method: str, key: str) -> str:
    """Name of the object that says which bank was made of a source."""
    return f"banks/{method}/sources/{key}.json"


def manifest_name(key: str) -> str:
    """Name of what a dataset keeps of a bank: all but the tensors."""
    return f"banks/{key}.parquet"


def find_bank(store: Folder, method: str, source: str) -> str | None:
    """Key of the bank that was made of a source, where it is in the store."""
    data = store.read_or_none(source_name(method, source))
    key = None if data is None else str(json.loads(data)["bank"])
    return key if key and store.exists(bank_name(method, key)) else None


def open_bank(store: Folder, method: str, key: str) -> Bank:
    """Map a bank into memory, from the store's own disk or from this node's copy.

    Raises RequestError where it is not in the store, or is another one.
    """
    try:
        path = _local_file(store, method, key)
        table = map_table(path)
    except FileNotFoundError as error:
        raise RequestError(
            f"The bank {key} is not in {store.uri}: run `atelier synthesize` with its job, which makes it again."
        ) from error
    except pa.ArrowInvalid as error:
        raise RequestError(
            f"{store.uri}/{bank_name(method, key)} is damaged: delete it, and it is made again."
        ) from error
    if table_key(table) != key:
        raise RequestError(f"{store.uri}/{bank_name(method, key)} is another bank: delete it, and it is made again.")
    return Bank(table)


def _local_file(store: Folder, method: str, key: str) -> str:
    """Path of a bank on this machine; a remote one is copied by one process while the others of the node wait."""
    name = bank_name(method, key)
    if isinstance(store.filesystem, LocalFileSystem):
        return store.within(name)
    kept = cache_folder().parent / "banks" / f"{key}.arrow"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with _locked(kept):
        if not kept.exists():
            _delete_unused(kept.parent)
            _copy(store, name, kept)
        os.utime(kept)
    return str(kept)


def _delete_unused(folder: Path) -> None:
    """Delete copies that nobody opened for long; whoever has one mapped keeps it."""
    for kept in folder.glob("*.arrow"):
        with _locked(kept, wait=False) as is_free:
            # Whoever had the lock before may have deleted it.
            if is_free and kept.exists() and time.time() - kept.stat().st_mtime > UNUSED_SECONDS:
                kept.unlink()


@contextmanager
def _locked(kept: Path, wait: bool = True) -> Iterator[bool]:
    """Alone with a copy, among the processes of this node; false where that would take a wait, and none is wanted."""
    with open(kept.with_suffix(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _copy(store: Folder, name: str, kept: Path) -> None:
    partial = kept.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with store.open(name) as source, open(partial, "wb") as target:
            shutil.copyfileobj(source, target, COPY_BYTES)
        os.replace(partial, kept)
    finally:
        partial.unlink(missing_ok=True)


def keep_manifest(output: Folder, key: str, bank: Bank) -> None:
    """Keep a bank's texts beside the dataset, once: with them alone `verify` knows what was drawn."""
    sink = io.BytesIO()
    pq.write_table(without_tensors(bank.table), sink, compression="zstd")
    output.publish(manifest_name(key), sink.getvalue())


def read_manifest(output: Folder, key: str) -> Bank:
    """What a dataset keeps of a bank. Raises RequestError where it is missing or damaged."""
    data = output.read_or_none(manifest_name(key))
    try:
        table = None if data is None else pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError):  # of bytes in memory: damaged
        table = None
    if table is None or table_key(table) != key:
        raise RequestError(
            f"{output.uri}/{manifest_name(key)} is missing or damaged: run `atelier synthesize` with its job again."
        )
    return Bank(table)


def read_parts(store: Folder, names: Sequence[str]) -> list[pa.Table]:
    """Tables of a bank's parts. Raises FileNotFoundError."""
    return [read_table(store.read(name)) for name in names]
