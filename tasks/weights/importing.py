"""A snapshot's generator written once as safetensors, with a card that says where it is from."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tasks.records import RequestError
from tasks.weights.catalog import CHECKPOINTS
from tasks.weights.snapshots import Generator, read_generator
from tasks.weights.storages import Numbers

CODE_LICENCE = (
    "the code the snapshot carries is under the NVIDIA Source Code License for StyleGAN3, non-commercial; "
    "none of it was run or kept"
)
# Of the one snapshot that we know; of others we do not know what their authors state.
WIKIART = "stylegan3-wikiart-1024"


@dataclass(frozen=True)
class Imported:
    """Where an imported generator is, and what its card says."""

    weights: Path
    card: Path
    facts: dict[str, Any]


def import_snapshot(path: Path, output: Path | None = None) -> Imported:
    """Write the generator of a StyleGAN3 snapshot as float32 safetensors, and its card beside it.

    `output` is the snapshot's name with `.safetensors` by default. The same snapshot gives the same bytes.
    Raises RequestError where the snapshot is refused, or another file is in the way; then nothing is written.
    """
    weights = output or path.with_suffix(".safetensors")
    card = weights.with_name(f"{weights.name}.card.json")
    generator = read_generator(path)
    digest, size = _measure(_serialize(generator, path.name))
    facts = _facts(generator, path.name, weights.stem, digest, size)
    text = (json.dumps(facts, indent=1) + "\n").encode()
    missing = [_is_missing(weights, digest), _is_missing(card, _measure([text])[0])]
    for target, chunks, wanted in zip(
        (weights, card), (_serialize(generator, path.name), [text]), missing, strict=True
    ):
        if wanted:
            _write(target, chunks)
    return Imported(weights, card, facts)


def _serialize(generator: Generator, file: str) -> Iterator[bytes]:
    """A safetensors file in pieces; `safetensors` itself writes metadata in an order that changes."""
    metadata = {
        "imported_by": f"atelier {version('atelier')}",
        "init_kwargs": json.dumps(generator.arguments),
        "source": f"{file}, SHA-256 {generator.digest}",
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in sorted(generator.tensors.items()):
        start, end = end, end + 4 * tensor.size
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight bytes
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in sorted(generator.tensors.items()):
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


def _facts(generator: Generator, file: str, name: str, digest: str, size: int) -> dict[str, Any]:
    """The card."""
    known = CHECKPOINTS[WIKIART]
    is_known = file == known.file
    resolution = generator.arguments.get("img_resolution")
    stated = "no licence is stated by their author" if is_known else "see what their author states"
    return {
        "name": name,
        "sha256": digest,
        "bytes": size,
        "tensors": len(generator.tensors),
        "parameters": generator.parameters,
        "precision": "float32",
        "network": f"StyleGAN3 generator (G_ema), config {_config(generator.arguments)}",
        "resolution": resolution,
        "init_kwargs": generator.arguments,
        "licence": f"weights: {stated}; {CODE_LICENCE}",
        "source": {
            "file": file,
            "sha256": generator.digest,
            "from": f"by its file name: {known.source}" if is_known else "not known",
        },
        "imported_by": f"atelier {version('atelier')}",
    }


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
