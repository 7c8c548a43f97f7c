"""Weights of other formats written once as safetensors, with a card that says where they are from."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.records import RequestError
from tasks.weights.catalog import CHECKPOINTS
from tasks.weights.embeddings import Attention, is_archive, read_attention
from tasks.weights.snapshots import Generator, read_generator
from tasks.weights.storages import Numbers

CODE_LICENCE = (
    "the code the snapshot carries is under the NVIDIA Source Code License for StyleGAN3, non-commercial; "
    "none of it was run or kept"
)
# Of the one snapshot that we know; of others we do not know what their authors state.
WIKIART = "stylegan3-wikiart-1024"

Kind = Literal["generator", "attention"]


@dataclass(frozen=True)
class Imported:
    """Where imported weights are, what they are, and what their card says."""

    weights: Path
    card: Path
    kind: Kind
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Found:
    """What was read of a file: what is to be written, and what its card says of it."""

    kind: Kind
    tensors: Mapping[str, Numbers]
    digest: str
    metadata: dict[str, str]
    facts: dict[str, Any]
    origin: str  # of the file


def import_weights(path: Path, output: Path | None = None) -> Imported:
    """Write the generator of a StyleGAN3 snapshot, or the attention of InST's `embeddings.pt`, as safetensors.

    Which of them a file is, is seen by looking into it: InST's is a zip. `output`, results and errors are those of
    `import_snapshot`.
    """
    return import_embeddings(path, output) if is_archive(path) else import_snapshot(path, output)


def import_snapshot(path: Path, output: Path | None = None) -> Imported:
    """Write the generator of a StyleGAN3 snapshot as float32 safetensors, and its card beside it.

    `output` is the snapshot's name with `.safetensors` by default. The same snapshot gives the same bytes.
    Raises RequestError where the snapshot is refused, or another file is in the way; then nothing is written.
    """
    return _publish(path, output, _describe_generator(read_generator(path), path.name))


def import_embeddings(path: Path, output: Path | None = None) -> Imported:
    """Write the attention of InST's `embeddings.pt` as float32 safetensors, and its card, as `import_snapshot` does."""
    return _publish(path, output, _describe_attention(read_attention(path)))


def _publish(path: Path, output: Path | None, found: _Found) -> Imported:
    weights = output or path.with_suffix(".safetensors")
    card = weights.with_name(f"{weights.name}.card.json")
    digest, size = _measure(_serialize(found, path.name))
    facts = _card(found, path.name, {"name": weights.stem, "sha256": digest, "bytes": size})
    text = (json.dumps(facts, indent=1) + "\n").encode()
    missing = [_is_missing(weights, digest), _is_missing(card, _measure([text])[0])]
    for target, chunks, wanted in zip((weights, card), (_serialize(found, path.name), [text]), missing, strict=True):
        if wanted:
            _write(target, chunks)
    return Imported(weights, card, found.kind, facts)


def _describe_generator(generator: Generator, file: str) -> _Found:
    known = CHECKPOINTS[WIKIART]
    is_known = file == known.file
    stated = "no licence is stated by their author" if is_known else "see what their author states"
    facts = {
        "parameters": generator.parameters,
        "precision": "float32",
        "network": f"StyleGAN3 generator (G_ema), config {_config(generator.arguments)}",
        "resolution": generator.arguments.get("img_resolution"),
        "init_kwargs": generator.arguments,
        "licence": f"weights: {stated}; {CODE_LICENCE}",
    }
    metadata = {"init_kwargs": json.dumps(generator.arguments)}
    origin = f"by its file name: {known.source}" if is_known else "not known"
    return _Found("generator", generator.tensors, generator.digest, metadata, facts, origin)


def _describe_attention(attention: Attention) -> _Found:
    facts = {
        "parameters": sum(tensor.size for tensor in attention.tensors.values()),
        "precision": "float32",
        "network": "InST's attention, of a painting's CLIP embedding to a word",
        "width": attention.width,
        "licence": "weights: see what their author states; the classes the file names are InST's, Apache-2.0, and "
        "none of them was run",
    }
    return _Found("attention", attention.tensors, attention.digest, {}, facts, "not known")


def _card(found: _Found, file: str, written: dict[str, Any]) -> dict[str, Any]:
    return {
        **written,
        "tensors": len(found.tensors),
        **found.facts,
        "source": {"file": file, "sha256": found.digest, "from": found.origin},
        "imported_by": f"atelier {version('atelier')}",
    }


def _serialize(found: _Found, file: str) -> Iterator[bytes]:
    """A safetensors file in pieces; `safetensors` itself writes metadata in an order that changes."""
    imported_by, source = f"atelier {version('atelier')}", f"{file}, SHA-256 {found.digest}"
    header: dict[str, Any] = {"__metadata__": {"imported_by": imported_by, **found.metadata, "source": source}}
    end = 0
    for name, tensor in sorted(found.tensors.items()):
        start, end = end, end + 4 * tensor.size
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight bytes
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in sorted(found.tensors.items()):
        yield _as_bytes(tensor)


def _as_bytes(tensor: Numbers) -> bytes:
    return np.asarray(tensor, "<f4").tobytes()


def _measure(chunks: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 and bytes."""
    hashed, size = hashlib.sha256(), 0
    for chunk in chunks:
        hashed.update(chunk)
        size += len(chunk)
    return hashed.hexdigest(), size


def _config(arguments: dict[str, Any]) -> str:
    """The published configurations: R, of rotations, has kernels of one pixel and radial filters; T has neither."""
    return "R" if arguments.get("conv_kernel") == 1 or arguments.get("use_radial_filters") else "T"


def _is_missing(path: Path, digest: str) -> bool:
    """Whether a file has yet to be written. Raises RequestError where another one is there."""
    if not path.exists():
        return True
    if path.is_file() and _digest(path) == digest:
        return False
    raise RequestError(f"{path} is already there, and is something else: name another --output.")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file under its name at once, so that no other process sees half of it."""
    partial = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.writelines(chunks)
        os.replace(partial, path)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):  # it is gone, or its folder never was
            partial.unlink()
