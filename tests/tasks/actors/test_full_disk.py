"""A full disk, below the spool or below the dataset: the shard fails whole, and is made once there is room."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.styles import PlannedStyle
from tests.tasks.actors.making import load, make_order, pixels, records, stylize

KILOBYTES = 64


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that holds next to nothing; where this machine lets nobody mount one there is no test."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def make_room(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)


def test_a_full_disk_below_the_dataset_leaves_nothing_half_written(
    small_disk: Path, tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    out, order = small_disk / "out", make_order(photos, styles)
    store = str(tmp_path / "representations")
    with pytest.raises(OSError) as raised:  # noqa: PT011  # by its number
        stylize(load(out, store=store), order)
    assert raised.value.errno == errno.ENOSPC
    assert [path for path in out.rglob("*") if path.is_file()] == []
    make_room(small_disk)
    assert stylize(load(out, store=store), order).records == len(records(out)) == 12


def test_a_full_disk_below_the_spool_fails_the_shard_and_no_picture(
    small_disk: Path,
    tmp_path: Path,
    photos: Path,
    styles: tuple[PlannedStyle, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = make_order(photos, styles)
    stylize(load(tmp_path / "undisturbed"), order)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(OSError) as raised:  # noqa: PT011  # by its number
        stylize(load(tmp_path / "out"), order)
    assert raised.value.errno == errno.ENOSPC
    assert not (tmp_path / "out" / "data").exists()
    make_room(small_disk)
    assert stylize(load(tmp_path / "out"), order).failed == 0
    ours, theirs = pixels(tmp_path / "out"), pixels(tmp_path / "undisturbed")
    assert ours.keys() == theirs.keys()
    assert all((ours[pair] == theirs[pair]).all() for pair in ours)
