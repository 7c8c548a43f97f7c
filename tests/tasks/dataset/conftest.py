"""A dataset of seven photographs in two styles, planned and made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.storage import Folder
from tests.tasks.dataset.exporting import make_weeks
from tests.tasks.dataset.making import finish, plan_something, styles, wanted, write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven files, 000.jpg to 006.jpg."""
    write_photos(tmp_path / "photos", range(7))
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Where the dataset goes."""
    return Folder(str(tmp_path / "out"))


@pytest.fixture
def dataset(photos: Path, folder: Folder) -> Folder:
    """Seven photographs in two styles, of which 003.jpg failed: 12 records and 2 failures in 3 shards."""
    plan_something(folder, wanted(photos, styles("wave", "ink")))
    finish(folder, failing={"003.jpg"})
    return folder


@pytest.fixture(scope="session")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dataset that weeks left, in `out`."""
    tmp_path = tmp_path_factory.mktemp("weeks")
    make_weeks(tmp_path)
    return tmp_path


@pytest.fixture
def busy(weeks: Path, tmp_path: Path) -> Folder:
    """That dataset, for one test."""
    shutil.copytree(weeks / "out", tmp_path / "out")
    return Folder(str(tmp_path / "out"))
