"""Chaos: runs under seeded random faults on a real cluster; then the same command completes, with the same pixels."""

from __future__ import annotations

import pytest

from tests.chaos.faults import Trial
from tests.chaos.world import Pair, World

pytestmark = [pytest.mark.ray, pytest.mark.prefect, pytest.mark.timeout(1500)]

ALWAYS = (4,)  # a world takes a minute to start, and a run half of one
SEEDS = [seed if seed in ALWAYS else pytest.param(seed, marks=pytest.mark.slow) for seed in range(110)]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_torn(world: World, undisturbed: dict[Pair, str], seed: int) -> None:
    outcome = Trial(world, seed).run(undisturbed)
    assert outcome.problems == [], (outcome, world.log(f"seed-{seed}"))
