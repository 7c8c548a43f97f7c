"""A node that is announced to go: its shard moves while there is time, and nothing is lost when it has gone."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.chaos.world import World, title
from tests.pipelines.orchestra import wait_until
from tests.tasks.actors.making import write_photographs

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.prefect, pytest.mark.timeout(900)]

SECONDS = 120


def at_work(world: World) -> psutil.Process | None:
    """The actor that is at a shard."""
    return next((process for process in world.actors() if title(process).startswith("ray::Stylizer.stylize")), None)


def test_a_shard_of_a_node_that_will_go_moves_before_it_does(world: World, tmp_path: Path) -> None:
    world.upload(write_photographs(tmp_path / "many", 40))
    driver = world.start_driver(world.write_job("drained", "many", actors=1))
    wait = partial(wait_until, tell=lambda: world.log("drained"), seconds=SECONDS)
    wait(lambda: world.commits("drained"))
    node = world.node_of(wait(lambda: at_work(world)))
    world.announce_drain(node, SECONDS)
    announced = time.monotonic()
    moved = wait(lambda: (found := at_work(world)) and world.node_of(found) is not node and found)
    sys.stderr.write(f"from the announcement to a shard at work elsewhere: {time.monotonic() - announced:.1f} s\n")
    world.lose_node(world.nodes.index(node))
    assert moved.is_running()
    calm = world.start_driver(world.write_job("calm", "many", actors=1))
    for name, started in (("drained", driver), ("calm", calm)):
        started.join(SECONDS)
        assert started.exitcode == 0, world.log(name)
    assert world.records("drained") == world.records("calm")
    assert world.verify("drained").is_whole
