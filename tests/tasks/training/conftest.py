"""Small pictures, their renders, and a small perceptual network to train on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from tasks.training.data import load_pictures
from tasks.training.renders import Renders, RenderSettings, open_renders


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Threads that have to wait for each other on a busy machine made small networks ten times as slow."""
    torch.set_num_threads(1)


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


@dataclass(frozen=True)
class Drawn:
    """Folders of two photographs, one with a label, and a work of art; and their renders with those of textures."""

    photos: Path
    art: Path
    folder: Path
    settings: RenderSettings
    renders: Renders


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Drawn once, and by one process: each takes seconds to start."""
    root = tmp_path_factory.mktemp("drawn")
    photos = write_blocks(root / "photos", ["n01443537-goldfish.png", "unlabelled.png"], seed=0)
    art, folder = write_blocks(root / "art", ["n02113712-poodle.png"], seed=1), root / "renders"
    settings = RenderSettings(views=6, side=40, texture_rows=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        renders = open_renders(load_pictures([photos]), load_pictures([art]), settings, folder)
    return Drawn(photos, art, folder, settings, renders)


def write_blocks(folder: Path, names: list[str], seed: int) -> Path:
    """Large blocks of random colours, wider than high."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for name in names:
        blocks = generator.integers(0, 256, (4, 6, 3)).astype(np.uint8)
        Image.fromarray(blocks.repeat(12, 0).repeat(12, 1)).save(folder / name)
    return folder


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
