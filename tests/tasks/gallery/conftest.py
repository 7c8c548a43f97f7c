"""A scored dataset, and the two CLIP models that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.dataset.ledger import Ledger
from tasks.storage import Folder
from tests.tasks.encoders.small_clip import PREPROCESS, save_small_clip
from tests.tasks.gallery.making import draw, make


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local-dir:{save_small_clip(tmp_path_factory.mktemp('models') / 'scorer')}"


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same network, which sees pictures in other colours."""
    preprocess = {**PREPROCESS, "mean": [0.1, 0.5, 0.9]}
    return f"local-dir:{save_small_clip(tmp_path_factory.mktemp('models') / 'judge', preprocess)}"


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory, clip: str, judge: str) -> Path:
    """Seven photographs in two styles, then a third style: three shards, then three more; 21 records."""
    folder = tmp_path_factory.mktemp("scored")
    for seed in range(7):
        draw(folder / f"photos/{seed}.png", seed, (40, 32 + 8 * seed))
    draw(folder / "art/one.png", 10, (4, 4))
    draw(folder / "art/two.png", 11, (90, 80))
    make(folder, clip=clip, judge=judge)
    draw(folder / "art/three.png", 12, (2, 9))
    make(folder, clip=clip, judge=judge)
    return folder


@pytest.fixture
def ledger(scored: Path) -> Ledger:
    return Ledger(Folder(str(scored / "out")))
