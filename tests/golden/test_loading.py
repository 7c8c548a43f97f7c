"""Hostile checkpoints made by others: weights are never read by running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.records import RequestError
from tasks.weights.loading import load_tensors
from tests.golden.conftest import Golden


def test_hostile_pickles_are_refused_and_never_run(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where they would create `pwned`
    hostile = sorted(golden.folder.glob("*malicious*.pkl"))
    assert hostile
    for path in hostile:
        with pytest.raises(RequestError, match="is refused"):
            load_tensors(path)
    assert not list(tmp_path.iterdir())
