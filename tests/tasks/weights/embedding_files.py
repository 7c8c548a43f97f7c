"""InST's `embeddings.pt` as its authors' code saves it, of any widths; and ways to make hostile ones of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.tasks.weights.snapshot_files import standing_in

WIDTH, INNER = 5, 3  # of the small one


class CrossAttention(nn.Module):
    """Stands for the authors', of its layers alone."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.scale, self.heads = 0.125, 8
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, inner, bias=False) for _ in "qkv")
        self.to_out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(0.05))


class Attentions(nn.Module):
    """Stands for the authors', of its layers alone."""

    def __init__(self, width: int = WIDTH, inner: int = INNER) -> None:
        super().__init__()
        self.attn1, self.attn2 = CrossAttention(width, inner), CrossAttention(width, inner)
        self.net = nn.Sequential(nn.Dropout(0.05), nn.Linear(width, width))


CLASSES: dict[Any, str] = {Attentions: "ldm.modules.embedding_manager", CrossAttention: "ldm.modules.attention"}


def make_attention(width: int = WIDTH, inner: int = INNER) -> Attentions:
    """The authors' module, with the same numbers each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Attentions(width, inner)


def write_embeddings(path: Path, protocol: int = 2, zipped: bool = True, **content: object) -> Path:
    """Write a file as the authors' `EmbeddingManager.save` does; `content` comes over what it holds."""
    token = torch.arange(77)[1]  # a view without dimensions, as theirs is
    saved = {"string_to_token": {"*": token}, "attention": make_attention(), **content}
    with standing_in(CLASSES):
        torch.save(saved, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return path


def load_as_the_authors_do(path: Path) -> None:
    """Run whatever is in a file."""
    with standing_in(CLASSES):
        torch.load(path, weights_only=False)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], compression: int = zipfile.ZIP_STORED) -> Path:
    """Change the entries of a file, by their names below its folder."""
    with zipfile.ZipFile(path) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return path


def replace(path: Path, old: bytes, new: bytes) -> Path:
    """Change the pickle of a file."""

    def change(entries: dict[str, bytes]) -> None:
        assert old in entries["data.pkl"]
        entries["data.pkl"] = entries["data.pkl"].replace(old, new)

    return rewrite(path, change)
