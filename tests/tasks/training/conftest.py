"""Small pictures and a small perceptual network to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "photos", count=4, seed=0)


@pytest.fixture
def art(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "art", count=4, seed=1)


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    """Random weights of a student's layout up to relu4_1."""
    path = tmp_path / "student.safetensors"
    save_file(random_student(), path)
    return path


def write_pictures(folder: Path, count: int, seed: int) -> Path:
    """Stripes of random colours and widths: pictures that differ in palette and in texture."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for index in range(count):
        palette = generator.integers(0, 256, (3, 3))
        stripes = np.arange(60)[:, None] // (index + 2) + np.arange(72)[None] // 9
        Image.fromarray(palette[stripes % 3].astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def random_student() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    widths = {"11": 4, "12": 4, "21": 6, "22": 6, "31": 8, "32": 8, "33": 8, "34": 8, "41": 8}
    tensors, channels = {"conv0.weight": torch.eye(3).reshape(3, 3, 1, 1), "conv0.bias": torch.zeros(3)}, 3
    for name, width in widths.items():
        scale = (2 / (9 * channels)) ** 0.5
        tensors[f"conv{name}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * scale
        tensors[f"conv{name}.bias"] = torch.zeros(width)
        channels = width
    return tensors
