"""A small table in WikiArt's schema, and nothing remembered of it from one test to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.labelled import rows
from tests.tasks.labelled.making import write_wikiart


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing remembered of another test's files."""
    fresh = rows.RowReader()
    for module in ("draw", "labels", "rows"):
        monkeypatch.setattr(f"tasks.labelled.{module}.ROWS", fresh)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wikiart(tmp_path_factory.mktemp("wikiart"))
