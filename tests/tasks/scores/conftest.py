"""A small CLIP model on disk, with a preparation of pictures of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tests.tasks.encoders.small_clip import save_small_clip


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    folder: Path = save_small_clip(tmp_path_factory.mktemp("models") / "small")
    return open_clip_model(f"local-dir:{folder}")
