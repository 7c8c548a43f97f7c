"""The folder of numbers recorded from the published implementations, and the recipe of their weights."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

DEFAULT_FOLDER = Path(__file__).parents[3] / "shared" / "golden"


@dataclass(frozen=True)
class Fixture:
    """One file of recorded tensors. `numbers` reads its metadata, whose values are JSON or plain text."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    def number(self, name: str) -> Any:
        try:
            return json.loads(self.metadata[name])
        except json.JSONDecodeError:
            return self.metadata[name]


class Golden:
    """Reads fixtures, and makes the weights that they were recorded with from names and shapes alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = _import(folder / "golden_weights.py")

    def fixture(self, name: str) -> Fixture:
        with safe_open(self.folder / f"{name}.safetensors", "pt") as file:
            return Fixture({key: file.get_tensor(key) for key in file.keys()}, file.metadata())  # noqa: SIM118

    def layout(self, name: str, checkpoint: str) -> dict[str, Any]:
        """Names, shapes and probes of a checkpoint's tensors."""
        layout: dict[str, Any] = json.loads((self.folder / f"{name}.keys.json").read_text())[checkpoint]
        return layout

    def weights(self, layout: dict[str, Any], namespace: str) -> dict[str, Tensor]:
        shapes = {name: entry["shape"] for name, entry in layout["tensors"].items()}
        weights: dict[str, Tensor] = self.recipe.make_state_dict(shapes, namespace)
        return weights


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden() -> Golden:
    folder = Path(os.environ.get("ATELIER_GOLDEN", DEFAULT_FOLDER))
    if not folder.is_dir():
        pytest.skip(f"no recorded numbers at {folder}: set ATELIER_GOLDEN to their folder")
    return Golden(folder)


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, dict[str, Tensor]], Path]:
    """Write a checkpoint as its authors publish it."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def save(name: str, tensors: dict[str, Tensor]) -> Path:
        torch.save(tensors, folder / name)
        return folder / name

    return save
