from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one that hostile files would write to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
