"""A dataset that version 1 left is read as it is, and migrated by the first takedown alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.dataset.forgotten import read_forgotten
from tasks.dataset.identity import read_identity
from tasks.dataset.ledger import shard_name
from tasks.dataset.verify import verify
from tasks.storage import Folder
from tests.tasks.dataset.making import (
    take_down,
)

VERSION1 = Path(__file__).parent / "version1"


@pytest.fixture
def version1(tmp_path: Path) -> Folder:
    """A dataset that a run of version 1 left, moved from where it was made: 8 records, 2 failures, 3 shards."""
    shutil.copytree(VERSION1, tmp_path / "recorded")
    return Folder(str(tmp_path / "recorded"))


def test_a_dataset_of_version_1_is_read_as_it_is(version1: Folder) -> None:
    identity = read_identity(version1)
    assert identity is not None
    assert identity.schema_version == 1
    before = {name: version1.read(name) for name in version1.list("")}
    found = verify(version1)
    assert (found.records, found.failed, found.forgotten, found.is_whole) == (8, 2, 0, True)
    assert {name: version1.read(name) for name in version1.list("")} == before


def test_a_takedown_migrates_a_dataset_of_version_1(version1: Folder) -> None:
    take_down(version1, ("p1.png", "broken.png"), ("wave",))
    identity = read_identity(version1)
    assert identity is not None
    assert (identity.schema_version, identity.images.size, identity.seed) == (2, 24, 0)
    found = verify(version1)
    assert (found.records, found.failed, found.forgotten, found.problems) == (3, 0, 7, [])
    names = {shard_name(1, shard) for shard in range(3)}
    assert {name.removeprefix("data/") for name in version1.list("data")} == names
    assert read_forgotten(version1).has_content("p1.png")


def test_footers_of_version_1_say_nothing_that_version_1_does_not_know(dataset: Folder) -> None:
    assert b'"forgotten"' not in dataset.read("data/00001-00000.parquet")
