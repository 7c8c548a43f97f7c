"""A trained network as a file to ship: half-precision tensors, and a card that says where they come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tasks.records import RequestError
from tasks.training.history import LOSSES, read_losses
from tasks.training.loop import CHECKPOINT, strip

CURVE_POINTS = 25


def read_average(run: Path, part: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a run's checkpoint, float32, and its step and phases.

    `part` takes those of one module of the network (`stylizer`), by their names within it. RequestError where the
    run or the part is not there.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise RequestError(f"{run} holds no {CHECKPOINT}: train first, or name the folder of a run")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    history = {"steps": int(metadata["step"]), "phases": json.loads(metadata["phases"])}
    tensors = strip(tensors, f"average.{part}." if part else "average.")
    if not tensors:
        raise RequestError(f"the network of {run} has no part {part!r}: name the run of another network")
    return tensors, history


def export(run: Path, name: str, folder: Path, about: dict[str, Any], part: str = "") -> Path:
    """Write NAME.safetensors (half precision) and NAME.card.json; `about` goes on the card as it is.

    `part` is as for `read_average`.
    """
    tensors, _ = read_average(run, part)
    path = folder / f"{name}.safetensors"
    save_half(tensors, path)
    write_card(run, name, path, folder, about, part)
    return path


def save_half(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors in half precision; whole numbers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    path.write_bytes(save({key: tensor.contiguous() for key, tensor in halves.items()}))


def write_card(run: Path, name: str, weights: Path, folder: Path, about: dict[str, Any], part: str = "") -> None:
    """Write NAME.card.json: what the weights file is, `about`, and how the run that made it went."""
    data = weights.read_bytes()
    tensors, history = read_average(run, part)
    card = {
        "name": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "precision": "float16",
        **about,
        "training": {**history, "torch": torch.__version__, "loss_curve": read_curve(run / LOSSES)},
    }
    (folder / f"{name}.card.json").write_text(json.dumps(card, indent=1) + "\n")


def read_curve(path: Path) -> list[dict[str, float]]:
    """A few evenly spaced lines of the log, the last among them."""
    lines = read_losses(path)
    every = max(1, len(lines) // CURVE_POINTS)
    return lines[::-1][::every][::-1]
