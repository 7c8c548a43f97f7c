"""Reading weights without running anything in them: safetensors, or torch's weights-only reader."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tasks.records import RequestError

# What torch's weights-only reader raises on a hostile, a broken or an unrelated file.
REFUSED = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    struct.error,
)

IMPORTED = {".pkl": "a training snapshot", ".pt": "InST's embeddings"}  # by how their authors name them


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, on the CPU; half precision becomes float32.

    Takes safetensors, and torch files of tensors alone: whatever else a pickle holds is refused, never run.
    Raises RequestError.
    """
    try:
        tensors = _read(path)
    except SafetensorError as error:
        raise RequestError(f"{path.name} is not a whole safetensors file: get it again.") from error
    except REFUSED as error:
        raise RequestError(_refusal(path)) from error
    if not isinstance(tensors, Mapping) or not all(_is_named_tensor(*item) for item in tensors.items()):
        raise RequestError(_refusal(path))
    return {name: _as_float32(tensor.detach()) for name, tensor in tensors.items()}


def read_metadata(data: bytes) -> dict[str, str]:
    """Metadata of a safetensors file's bytes, which `safetensors.torch.load` has accepted."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__") or {}


def layout_of(tensors: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Names and shapes of tensors."""
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def match_layout(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Sequence[int]],
    what: str,
    ignored: Collection[str] = (),
) -> None:
    """Check that tensors are those of a network: `expected` gives names and shapes, `ignored` may be there.

    Raises RequestError that names the first tensor missing, mis-shaped or unexpected.
    """
    for name, shape in expected.items():
        if name not in tensors:
            raise RequestError(f"These are not the weights of {what}: the tensor {name} is missing.")
        if list(tensors[name].shape) != list(shape):
            raise RequestError(
                f"These are not the weights of {what}: the tensor {name} has shape "
                f"{list(tensors[name].shape)} where {list(shape)} is expected."
            )
    for name in tensors:
        if name not in expected and name not in ignored:
            raise RequestError(f"These are not the weights of {what}: the tensor {name} is unexpected.")


def _read(path: Path) -> object:
    """A safetensors file is eight bytes and a JSON object; the rest goes to torch's strict reader."""
    with open(path, "rb") as file:
        if file.read(9)[8:] == b"{":
            return load_file(path)
        file.seek(0)
        # A file, since of a path torch reads the format off the name.
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:  # of a place before the file's start, which a broken zip names
            raise EOFError from error


def _is_named_tensor(name: object, tensor: object) -> bool:
    return isinstance(name, str) and isinstance(tensor, Tensor)


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _refusal(path: Path) -> str:
    if path.suffix in IMPORTED:
        return (
            f"{path.name} is refused: if it is {IMPORTED[path.suffix]}, run `atelier models import {path}` once and "
            "name the file that it writes; nothing but named tensors is read of a pickle, and nothing is ever run."
        )
    return (
        f"{path.name} is refused: weights are read only from safetensors or from a torch file that holds "
        "nothing but named tensors, and nothing else in a file is ever run."
    )
