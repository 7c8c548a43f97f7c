"""A world to break, a module each, and what a run makes of it undisturbed; the command line of tests of pipelines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import run_undisturbed
from tests.chaos.world import Pair, World
from tests.pipelines.conftest import atelier

__all__ = ["atelier"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("chaos"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(world: World) -> dict[Pair, str]:
    return run_undisturbed(world)
