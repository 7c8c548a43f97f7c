"""Faults at seeded random moments, and what must hold after them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.proxy import Weather
from tests.chaos.world import World, send

RUN_SECONDS = 240
RUNS = 4  # of the same command after the faults; the first should be enough
# Faults come within so many seconds after a driver starts: runs take about as long.
WINDOW_SECONDS = 14.0
STORMS = {
    "slow": {"latency": 0.4},
    "throttled": {"throttle": 0.35},
    "reset": {"reset": 0.2},
    "lost answers": {"lost": 0.2},
    "cut uploads": {"cut_request": 0.2},
    "cut answers": {"cut_answer": 0.15},
    "silent": {"silence": 0.05},
    "stale lists": {"stale": 1.0},
    "down": {"reset": 1.0},
    "everything": {"latency": 0.1, "throttle": 0.08, "reset": 0.05, "lost": 0.05, "cut_answer": 0.05, "stale": 0.3},
}


@dataclass
class Outcome:
    """What a seed did, and how it ended."""

    seed: int
    faults: list[str]
    first: int | None = None  # exit code of the disturbed run; None where it had to be killed
    again: list[int | None] = field(default_factory=list)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Trial:
    """One run under the faults that a seed draws, and the same command again."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed, self.name = world, seed, f"seed-{seed}"
        self.random = random.Random(seed)
        self.drivers: list[Any] = []
        kinds = self.random.sample(sorted(FAULTS), k=self.random.choice([1, 1, 2, 2, 3]))
        self.plan = sorted((self.random.uniform(0, WINDOW_SECONDS), kind) for kind in kinds)
        self.is_poisoned = self.random.random() < 0.1
        corpus, actors = "poisoned" if self.is_poisoned else "photos", self.random.choice([1, 2])
        self.job = world.write_job(self.name, corpus, actors)

    def run(self, undisturbed: dict[tuple[str, str], str]) -> Outcome:
        outcome = Outcome(self.seed, [f"{kind} at {at:.1f} s" for at, kind in self.plan])
        outcome.faults += ["poison"] if self.is_poisoned else []
        started = time.monotonic()
        self.drivers.append(self.world.start_driver(self.job))
        for at, kind in self.plan:
            time.sleep(max(0.0, started + at - time.monotonic()))
            FAULTS[kind](self)
        # A storm that lasts for ever is no fault that a run can outlive.
        weather_until = started + WINDOW_SECONDS + 4.0
        time.sleep(max(0.0, min(weather_until - time.monotonic(), self._seconds_of_storm())))
        self.world.mend()
        codes = [_end(driver) for driver in self.drivers]
        outcome.first = codes[0]
        while len(outcome.again) < RUNS and (not outcome.again or outcome.again[-1] != 0):
            outcome.again.append(_end(self.world.start_driver(self.job)))
        outcome.problems = self._find_problems(undisturbed, outcome)
        outcome.seconds = time.monotonic() - started
        self.world.remove(self.name)
        return outcome

    def _seconds_of_storm(self) -> float:
        return WINDOW_SECONDS if self.world.proxy.weather != Weather() else 0.0

    def _find_problems(self, undisturbed: dict[tuple[str, str], str], outcome: Outcome) -> list[str]:
        problems = [] if outcome.again[-1] == 0 else [f"the same command does not complete: {outcome.again}"]
        problems += ["the disturbed run did not end"] if outcome.first is None else []
        found, records = self.world.verify(self.name), self.world.records(self.name)
        problems += found.problems + (["not whole"] if not found.is_whole else [])
        lost, strange = undisturbed.keys() - records.keys(), records.keys() - undisturbed.keys()
        changed = [pair for pair in records.keys() & undisturbed.keys() if records[pair] != undisturbed[pair]]
        for what, pairs in (("lost", lost), ("strange", strange), ("changed", changed)):
            problems += [f"{len(pairs)} pairs {what}: {sorted(pairs)[:2]}"] if pairs else []
        failures = Counter(self.world.failures(self.name).values())
        expected = {"process_died": 2, "process_hung": 2} if self.is_poisoned else {}
        return problems + ([f"failures: {dict(failures)}"] if failures != expected else [])

    # Faults, by what they do

    def send_to_an_actor(self, what: signal.Signals) -> None:
        actors = self.world.actors()
        if actors:
            send(self.random.choice(actors), what)

    def send_to_the_driver(self, what: signal.Signals) -> None:
        driver = self.drivers[0]
        if driver.is_alive():
            os.kill(driver.pid, what)

    def start_another_driver(self) -> None:
        self.drivers.append(self.world.start_driver(self.job))

    def change_weather(self, storm: str) -> None:
        self.world.proxy.weather = Weather(**STORMS[storm], seed=self.seed)

    def lose_a_node(self) -> None:
        self.world.lose_node(self.random.randrange(2))

    def drain_a_node(self) -> None:
        self.world.drain_node(self.random.randrange(2))

    def kill_prefect(self) -> None:
        self.world.kill_prefect()


def _storm(name: str) -> Callable[[Trial], None]:
    return lambda trial: trial.change_weather(name)


def _actor(what: signal.Signals) -> Callable[[Trial], None]:
    return lambda trial: trial.send_to_an_actor(what)


def _driver(what: signal.Signals) -> Callable[[Trial], None]:
    return lambda trial: trial.send_to_the_driver(what)


FAULTS: dict[str, Callable[[Trial], None]] = {
    "an actor is killed": _actor(signal.SIGKILL),
    "an actor is asked to end": _actor(signal.SIGTERM),
    "an actor hangs": _actor(signal.SIGSTOP),
    "the driver is killed": _driver(signal.SIGKILL),
    "the driver is asked to end": _driver(signal.SIGTERM),
    "the driver is interrupted": _driver(signal.SIGINT),
    "another driver starts": Trial.start_another_driver,
    "a node is lost": Trial.lose_a_node,
    "a node is drained": Trial.drain_a_node,
    "Prefect's server is killed": Trial.kill_prefect,
    **{f"storage: {name}": _storm(name) for name in STORMS},
}


def run_undisturbed(world: World) -> dict[tuple[str, str], str]:
    """Digests of what a run makes that nothing disturbs."""
    code = _end(world.start_driver(world.write_job("undisturbed", "photos")))
    assert code == 0, (world.folder / "undisturbed.log").read_text()
    records = world.records("undisturbed")
    assert len(records) == 24
    return records


def _end(driver: Any) -> int | None:
    """Exit code of a driver; None where it does not end and has to be killed."""
    driver.join(RUN_SECONDS)
    if driver.exitcode is None:
        driver.kill()
        driver.join()
        return None
    return int(driver.exitcode)
