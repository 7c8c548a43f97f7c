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
# A fault comes so many seconds after the driver starts, or after the first shard was committed.
STARTING_SECONDS, WORKING_SECONDS = 12.0, 4.0
# The last fault lasts so long, at most: a storm for ever is none that a run can outlive.
STORM_SECONDS = 8.0
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


@dataclass(frozen=True, order=True)
class Moment:
    """When a fault comes: seconds after the start, or after the first commit."""

    at_work: bool
    seconds: float
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {self.seconds:.1f} s after the {'first commit' if self.at_work else 'start'}"


class Trial:
    """One run under the faults that a seed draws, and the same command again."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed, self.name = world, seed, f"seed-{seed}"
        self.random = random.Random(seed)
        self.drivers: list[Any] = []
        kinds = self.random.sample(sorted(FAULTS), k=self.random.choice([1, 1, 2, 2, 3]))
        self.plan = sorted(self._draw_moment(kind) for kind in kinds)
        self.is_poisoned = self.random.random() < 0.1
        corpus, actors = "poisoned" if self.is_poisoned else "photos", self.random.choice([1, 2])
        self.job = world.write_job(self.name, corpus, actors)

    def run(self, undisturbed: dict[tuple[str, str], str]) -> Outcome:
        outcome = Outcome(self.seed, [str(moment) for moment in self.plan])
        outcome.faults += ["poison"] if self.is_poisoned else []
        started = time.monotonic()
        self.drivers.append(self.world.start_driver(self.job))
        working: float | None = None
        for moment in self.plan:
            if moment.at_work and working is None:
                working = self._wait_for_a_commit()
            since = working if working is not None and moment.at_work else started
            time.sleep(max(0.0, since + moment.seconds - time.monotonic()))
            FAULTS[moment.kind](self)
        time.sleep(self.random.uniform(1, STORM_SECONDS))
        self.world.mend()
        codes = [_end(driver) for driver in self.drivers]
        outcome.first = codes[0]
        while len(outcome.again) < RUNS and (not outcome.again or outcome.again[-1] != 0):
            outcome.again.append(_end(self.world.start_driver(self.job)))
        outcome.problems = self._find_problems(undisturbed, outcome)
        outcome.seconds = time.monotonic() - started
        self.world.remove(self.name)
        return outcome

    def _draw_moment(self, kind: str) -> Moment:
        at_work = self.random.random() < 0.6
        return Moment(at_work, self.random.uniform(0, WORKING_SECONDS if at_work else STARTING_SECONDS), kind)

    def _wait_for_a_commit(self) -> float:
        """The moment of the first commit, or when it is clear that none comes."""
        end = time.monotonic() + RUN_SECONDS / 2
        while self.drivers[0].is_alive() and time.monotonic() < end and not self.world.commits(self.name):
            time.sleep(0.1)
        return time.monotonic()

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

    def fill_disk(self) -> None:
        self.world.fill_disk()

    def shrink_device(self) -> None:
        self.world.shrink_device()


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
    "the disk is full": Trial.fill_disk,
    "the device's memory is full": Trial.shrink_device,
    **{f"storage: {name}": _storm(name) for name in STORMS},
}


def run_undisturbed(world: World) -> dict[tuple[str, str], str]:
    """Digests of what a run makes that nothing disturbs."""
    code = _end(world.start_driver(world.write_job("undisturbed", "photos")))
    assert code == 0, world.log("undisturbed")
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
