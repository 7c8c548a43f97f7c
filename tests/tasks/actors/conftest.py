"""Corpora, styles and shards made small enough for a CPU; one local Ray for all tests that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.styles import PlannedStyle
from tests.tasks.actors.making import plan_styles, write_photographs, write_style_pictures


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good photographs of three sizes."""
    return write_photographs(tmp_path_factory.mktemp("corpus") / "photos", 6)


@pytest.fixture(scope="session")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two style pictures."""
    return write_style_pictures(tmp_path_factory.mktemp("styles") / "art")


@pytest.fixture(scope="session")
def styles(art: Path) -> tuple[PlannedStyle, ...]:
    """A style for each of the two pictures."""
    return plan_styles(art)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray that believes in two GPUs; its workers die of marked pictures (see crashing/sitecustomize.py)."""
    import ray

    from tasks.actors.cluster import start_local

    kept = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent / "crashing"), kept or ""])
    os.environ.setdefault("RAY_worker_niceness", "0")  # a busy machine would starve actors
    start_local(num_cpus=4, num_gpus=2)
    yield
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    if kept is not None:
        os.environ["PYTHONPATH"] = kept
