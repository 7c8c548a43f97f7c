"""A record as a sample of its own: its plain values, and names that are safe on any disk and in any tar."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.records import OWN_NAMES, RequestError

# Names on disks hold 255 bytes; the digest and the ending want theirs.
NAME_BYTES = 160
KEY_BYTES = 60
SAFE = frozenset("-_. +@,()=~")
DIGEST = 16  # hexadecimal digits, 64 bits: of 10 million samples two meet once in 400,000 exports


def plain_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record without its picture, as JSON has values: what is not a number is null, bytes are base64."""
    return {name: _plain(value) for name, value in row.items() if name != "image"}


def digest_pair(row: Mapping[str, Any]) -> str:
    """A short digest of a pair, versions apart."""
    what = json.dumps([row["content_id"], row["content_version"], row["style_digest"]])
    return hashlib.sha256(what.encode()).hexdigest()[:DIGEST]


def sample_key(row: Mapping[str, Any]) -> str:
    """Key of a sample in a tar: its readers end it at the first dot, and some know ASCII only."""
    content = row["content_id"]
    stem = content if "#" in content else posixpath.splitext(content)[0]
    return f"{_ascii(stem)}--{_ascii(row['style'])}--{digest_pair(row)}"


def tree_path(row: Mapping[str, Any], suffix: str, several_versions: bool = False) -> str:
    """Where a picture goes in a tree: `<style>/<path of its content>`, with a digest where that alone would not do.

    It would not where the path has other letters than disks like, leads elsewhere, ends otherwise than the picture's
    codec, or stands for several versions of a content.
    """
    parts = row["content_id"].split("/")
    safe = [_name(part) for part in parts]
    folders = [part + "_" if part.endswith(suffix) else part for part in safe[:-1]]
    stem, ending = posixpath.splitext(safe[-1])
    if [*folders, safe[-1]] != parts or ending != suffix or several_versions:
        safe[-1] = f"{_cut(stem if ending == suffix else safe[-1], NAME_BYTES)}--{digest_pair(row)}{suffix}"
    return posixpath.join(style_folder(row["style"]), *folders, safe[-1])


def style_folder(style: str) -> str:
    """Folder of a style: its name, with a digest where disks would not like it."""
    name = _name(style)
    if name == style and not name.endswith(".jsonl"):
        return name
    return f"{name}--{hashlib.sha256(style.encode()).hexdigest()[:DIGEST]}"


def find_labels(schemas: Mapping[int, pa.Schema], wanted: str | None) -> dict[int, str | None]:
    """The column of class numbers by plan: the wanted one, or the one that the corpus says it is, or `label`.

    Raises RequestError where the wanted one holds whole numbers nowhere.
    """
    numbers = {seq: _number_columns(schema) for seq, schema in schemas.items()}
    if wanted is None:
        return {seq: _guess_label(schema, numbers[seq]) for seq, schema in schemas.items()}
    if not any(wanted in names for names in numbers.values()):
        known = ", ".join(sorted({name for names in numbers.values() for name in names})) or "none"
        raise RequestError(f"{wanted!r} is no column of class numbers; of whole numbers are: {known}.")
    return {seq: wanted if wanted in names else None for seq, names in numbers.items()}


def _number_columns(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_integer(field.type) and field.name not in OWN_NAMES]


def _guess_label(schema: pa.Schema, numbers: Sequence[str]) -> str | None:
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    classes = [name for name in numbers if features.get(name, {}).get("_type") == "ClassLabel"]
    return classes[0] if len(classes) == 1 else "label" if "label" in numbers else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _name(part: str) -> str:
    """One name of a path, without what means something to a shell or a disk."""
    plain = "".join(c if c.isalnum() or c in SAFE else "_" for c in part)
    plain = _cut(plain, NAME_BYTES).strip(" ")
    # A name that begins with a dot is hidden from readers of folders; one that ends with it is lost on some disks.
    return plain if plain and plain == plain.strip(".") else f"_{plain.strip('.')}"


def _cut(text: str, room: int) -> str:
    return text.encode()[-room:].decode(errors="ignore")


def _ascii(text: str) -> str:
    plain = "".join(c if (c.isascii() and c.isalnum()) or c in "-_" else "_" for c in text)
    return plain[-KEY_BYTES:]
