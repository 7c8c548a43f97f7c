"""Cases run in processes of their own, with bounds on time and memory; what breaks a bound or promise is a finding."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

# Of address space for one case, beside what the process had mapped before: the largest picture that is let in
# (2^27 pixels) takes four copies of 4 bytes a pixel on its way to RGB, 2 GiB.
MEMORY_BYTES = 3 * 2**30
CASE_SECONDS = 60.0  # for one case; the slowest that are let in take under 5 s on an idle core, and cores get busy
START_SECONDS = 120.0

# Gives what became of a case, in a word; raises what no reader should.
Check = Callable[[int], str]
# Made in the process that runs the cases.
Prepare = Callable[[], Check]


@dataclass(frozen=True)
class Finding:
    """A case that broke a promise: `crash`, `hang`, or `wrong` (an exception that nobody is ready for)."""

    case: int
    kind: str
    detail: str


@dataclass
class Tally:
    """What became of many cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    peak_bytes: int = 0
    seconds: float = 0.0

    def counts(self) -> dict[str, int]:
        """Findings of each kind."""
        return {kind: sum(one.kind == kind for one in self.findings) for kind in ("crash", "hang", "wrong")}


def run_cases(prepare: Prepare, cases: Sequence[int], seconds: float = CASE_SECONDS) -> Tally:
    """Run cases one after another; a process that dies or hangs is replaced, and the rest goes on."""
    tally, waiting, started = Tally(), list(cases), time.monotonic()
    while waiting:
        waiting = waiting[_run_until_broken(prepare, waiting, seconds, tally) :]
    tally.seconds = time.monotonic() - started
    return tally


def _run_until_broken(prepare: Prepare, cases: list[int], seconds: float, tally: Tally) -> int:
    """Run cases in one process until they are done or it breaks; gives how many were."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(prepare, cases, there), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(START_SECONDS) or here.recv() != "ready":
            raise RuntimeError("the process that runs the cases did not start")
        for done, case in enumerate(cases):
            broken = _await(here, process, case, seconds, tally)
            if broken is not None:
                tally.findings.append(broken)
                return done + 1
        return len(cases)
    finally:
        process.kill()
        process.join()


def _await(here: Connection, process: Any, case: int, seconds: float, tally: Tally) -> Finding | None:
    """Take one case's outcome; a Finding where none came."""
    if not here.poll(seconds):
        return Finding(case, "hang", f"longer than {seconds:g} s")
    try:
        outcome, detail, took, peak = here.recv()
    except EOFError:
        process.join()
        return Finding(case, "crash", f"the process ended with {process.exitcode}")
    tally.outcomes[outcome] += 1
    tally.slowest = max(tally.slowest, (took, case))
    tally.peak_bytes = max(tally.peak_bytes, peak)
    if outcome == "wrong":
        tally.findings.append(Finding(case, "wrong", detail))
    return None


def _work(prepare: Prepare, cases: Sequence[int], there: Connection) -> None:
    """What the process does: outcomes over the pipe, anything printed nowhere."""
    _be_silent()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check = prepare()
        _bound_memory()
        there.send("ready")
        for case in cases:
            there.send(_run_one(check, case))


def _run_one(check: Check, case: int) -> tuple[str, str, float, int]:
    started = time.perf_counter()
    try:
        outcome, detail = check(case), ""
    except BaseException:  # noqa: BLE001 (a reader may raise anything, and all but its own errors are findings)
        outcome, detail = "wrong", traceback.format_exc(limit=-4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return outcome, detail, time.perf_counter() - started, peak


def _bound_memory() -> None:
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, resource.RLIM_INFINITY))


def _be_silent() -> None:
    """Decoders in C write to the process's own streams."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
