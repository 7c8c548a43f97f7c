"""A trained network as a file to ship: half-precision tensors, and a card that says where they come from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from tasks.records import RequestError
from tasks.training.history import LOSSES, read_losses
from tasks.training.loop import CHECKPOINT, strip

CURVE_POINTS = 25


def read_average(run: Path, part: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a run's checkpoint, float32, and its history.

    `part` takes those of one module of the network (`stylizer`), by their names within it. RequestError where the
    run or the part is not there.
    """
    history = read_history(run)
    with safe_open(run / CHECKPOINT, "pt") as file:
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118 (not a dict)
        tensors = {name: file.get_tensor(name) for name in names}
    tensors = strip(tensors, f"average.{part}." if part else "average.")
    if not tensors:
        raise RequestError(f"the network of {run} has no part {part!r}: name the run of another network")
    return tensors, history


def read_history(run: Path) -> dict[str, Any]:
    """The steps and phases of a run's checkpoint; no tensor is read. RequestError where there is none."""
    path = run / CHECKPOINT
    if not path.is_file():
        raise RequestError(f"{run} holds no {CHECKPOINT}: train first, or name the folder of a run")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    return {"steps": int(metadata["step"]), "phases": json.loads(metadata["phases"])}


def save_half(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors in half precision; whole numbers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    path.write_bytes(save({key: tensor.contiguous() for key, tensor in halves.items()}))


def write_card(run: Path, name: str, weights: Path, folder: Path, about: dict[str, Any]) -> None:
    """Write NAME.card.json: what the weights file is, `about`, and how the run that made it went."""
    data = weights.read_bytes()
    card = {
        "name": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "parameters": sum(tensor.numel() for tensor in load(data).values()),
        "precision": "float16",
        **about,
        "training": {**read_history(run), "torch": torch.__version__, "loss_curve": read_curve(run / LOSSES)},
    }
    (folder / f"{name}.card.json").write_text(json.dumps(card, indent=1) + "\n")


def read_curve(path: Path) -> list[dict[str, float]]:
    """A few evenly spaced lines of the log, the last among them."""
    lines = read_losses(path)
    every = max(1, len(lines) // CURVE_POINTS)
    return lines[::-1][::every][::-1]
