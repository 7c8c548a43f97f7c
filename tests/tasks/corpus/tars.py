"""Tars made by Python's own tarfile, for tests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tests.tasks.corpus.conftest import picture

Members = Iterable[tuple[str, bytes]]


def write_tar(path: Path, members: Members, layout: int = tarfile.PAX_FORMAT, mode: Literal["w", "w:gz"] = "w") -> Path:
    """A tar with these members, one after another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=layout) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def sample(number: int, shade: int | None = None) -> list[tuple[str, bytes]]:
    """A picture with its class and what else is known of it."""
    said = json.dumps({"width": 8, "caption": f"picture {number}", "boxes": [[0, 1]]})
    return [
        (f"{number:05d}.png", picture(number % 256 if shade is None else shade)),
        (f"{number:05d}.cls", str(number).encode()),
        (f"{number:05d}.json", said.encode()),
    ]


def samples(numbers: Iterable[int]) -> list[tuple[str, bytes]]:
    return [member for number in numbers for member in sample(number)]


def append_member(path: Path, info: tarfile.TarInfo, data: bytes = b"") -> None:
    with tarfile.open(path, "a", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(data))
