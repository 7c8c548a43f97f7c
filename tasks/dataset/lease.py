"""The run lease: one driver at a time works on a dataset, so that no GPU does what another does.

It saves work and nothing else: that no pair is ever made twice comes from the create-only plans and shards. The lease
is `lease.json`, create-only, with the holder's token and a heartbeat. One whose heartbeat is old, or whose process is
gone from this machine, is taken over; two that take it over at once leave one token, which both then read.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tasks.storage import Folder, storage_errors

NAME = "lease.json"
# A heartbeat is one small PUT. Six may be missed before a driver counts as gone; clocks must agree within that time.
BEAT_SECONDS = 10.0
TTL_SECONDS = 60.0
# How often one that waits looks, and how long one that takes over leaves others to do the same.
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 0.5


class LeaseLostError(Exception):
    """Another driver took the dataset over while this one was at work."""


class LeaseRecord(BaseModel):
    """Who works on a dataset. `machine` and `process` are digests and numbers, and name no host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    token: str = Field(min_length=1, max_length=64)
    holder: str = Field(max_length=300)
    started: AwareDatetime
    heartbeat: AwareDatetime
    machine: str = ""
    process: str = ""

    @property
    def is_over(self) -> bool:
        """Whether its driver has not been heard of for too long, or is known to be gone."""
        age = datetime.now(UTC) - self.heartbeat
        gone = bool(self.machine) and self.machine == _machine() and not _is_running(self.process)
        return gone or age > timedelta(seconds=TTL_SECONDS)

    def describe(self) -> str:
        """Who runs since when, in words."""
        return f"{self.holder}, at work since {self.started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def read_lease(folder: Folder) -> LeaseRecord | None:
    """Who works on the dataset; None where nobody does, or where what is there is no lease of ours."""
    data = folder.read_or_none(NAME)
    try:
        return LeaseRecord.model_validate_json(data) if data is not None else None
    except ValidationError:
        return None


class Lease:
    """A lease that this process holds, kept alive by a thread."""

    def __init__(self, folder: Folder, holder: str) -> None:
        now = datetime.now(UTC)
        self._folder = folder
        self._record = LeaseRecord(
            token=uuid.uuid4().hex,
            holder=holder,
            started=now,
            heartbeat=now,
            machine=_machine(),
            process=_this_process(),
        )
        self._taken_by: LeaseRecord | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back. Where that fails it ends by itself."""
        self._ended.set()
        self._thread.join()
        with suppress(*storage_errors(self._folder.filesystem)):
            if self._is_ours(read_lease(self._folder)):
                self._folder.delete(NAME)

    def check(self) -> None:
        """Raise LeaseLostError where another driver took the dataset over."""
        if self._taken_by is not None:
            raise LeaseLostError(f"The dataset was taken over by {self._taken_by.describe()}: this run let go of it.")

    def place(self) -> bool:
        """Take a lease that nobody has; whether we did, now or with an answer that was lost."""
        return self._folder.publish(NAME, self._data()) or self._is_ours(read_lease(self._folder))

    def take(self) -> bool:
        """Put ours in the place of one that is over; whether it stayed."""
        self._folder.publish(NAME, self._data(), create=False)
        time.sleep(SETTLE_SECONDS)
        return self._is_ours(read_lease(self._folder))

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # A store that fails now may be back at the next beat.
            with suppress(*storage_errors(self._folder.filesystem)):
                self._beat()

    def _beat(self) -> None:
        found = read_lease(self._folder)
        if found is not None and not self._is_ours(found):
            self._taken_by = found
            self._ended.set()
            return
        self._record = self._record.model_copy(update={"heartbeat": datetime.now(UTC)})
        self._folder.publish(NAME, self._data(), create=False)

    def _is_ours(self, found: LeaseRecord | None) -> bool:
        return found is not None and found.token == self._record.token

    def _data(self) -> bytes:
        return self._record.model_dump_json(indent=1).encode()


@contextmanager
def hold_lease(
    folder: Folder,
    holder: str,
    say: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
    take_over: bool = False,
) -> Iterator[Lease]:
    """Hold the lease of a dataset while the block runs, after waiting until nobody else does.

    `say` is told once whom it waits for; `check` is called about once a second while it waits, and may raise. With
    `take_over` nobody is waited for: whoever is at work finds out at the next heartbeat, and stops.
    """
    lease = Lease(folder, holder)
    told = ""
    while not lease.place():
        found = read_lease(folder)
        if (found is None or take_over or found.is_over) and lease.take():
            break
        if found is not None and found.token != told:
            told = found.token
            say(f"Another run works on {folder.uri} ({found.describe()}): waiting for it. `--take-over` does not wait.")
        check()
        time.sleep(LOOK_SECONDS)
    with lease:
        yield lease


def _machine() -> str:
    """A digest that two processes share only where they see each other's numbers; empty where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:16]


def _this_process() -> str:
    return f"{os.getpid()}-{_start_of(os.getpid())}"


def _is_running(process: str) -> bool:
    pid, _, start = process.partition("-")
    return pid.isdigit() and start != "" and _start_of(int(pid)) == start


def _start_of(pid: int) -> str:
    """When a process started, in ticks since boot (proc(5), field 22); empty where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
