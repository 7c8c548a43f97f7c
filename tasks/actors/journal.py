"""The journal: which shard and which contents each actor has in hand, kept where a dying actor cannot lose it."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class JournalEntry:
    """What an actor last said: its shard (plan, shard, attempt), the contents in hand, its node, rows made.

    `left`: its process was asked to end, and did.
    """

    shard: tuple[int, int, int]
    in_hand: tuple[str, ...]
    node: str
    rows: int
    left: bool = False


@ray.remote(num_cpus=0)
class Journal:
    """The latest entry of each slot; an actor writes before it touches a content, the driver reads."""

    def __init__(self) -> None:
        self._entries: dict[int, JournalEntry] = {}
        self._told: dict[int, str] = {}
        self._heard: dict[int, float] = {}

    def note(self, slot: int, entry: JournalEntry) -> None:
        """Replace what the actor in a slot said before."""
        self._entries[slot] = entry
        self._heard[slot] = time.monotonic()

    def forget(self, slot: int) -> None:
        """Forget what was said in a slot: whoever works there next has said nothing yet."""
        self._entries.pop(slot, None)
        self._heard.pop(slot, None)

    def leave(self, slot: int) -> None:
        """The process in a slot ends because it was asked to: whatever it has in hand is not to blame."""
        if slot in self._entries:
            self._entries[slot] = replace(self._entries[slot], left=True)

    def entries(self) -> dict[int, JournalEntry]:
        """What the actor in each slot said last."""
        return self._entries

    def tell(self, slot: int, text: str) -> None:
        """What the actor in a slot is at, in words; empty where it is at nothing that takes long."""
        self._told[slot] = text
        self._heard[slot] = time.monotonic()

    def silences(self) -> dict[int, float]:
        """Seconds since the actor in each slot last said anything."""
        now = time.monotonic()
        return {slot: now - heard for slot, heard in self._heard.items()}

    def told(self) -> list[str]:
        """What the actors are at."""
        return [self._told[slot] for slot in sorted(self._told) if self._told[slot]]


class JournalWriter:
    """What the actor in a slot writes by, from any of its threads."""

    def __init__(self, journal: Any, slot: int) -> None:
        self._journal, self._slot = journal, slot
        self._writing = threading.Lock()

    def note(self, entry: JournalEntry) -> None:
        """Write an entry, and wait for it: one still on its way when the process dies says nothing."""
        with self._writing:
            ray.get(self._journal.note.remote(self._slot, entry))

    def tell(self, text: str) -> None:
        """Say what the actor is at, in words."""
        self._journal.tell.remote(self._slot, text)

    def leave(self, seconds: float) -> None:
        """Say, for at most `seconds`, that the process ends because it was asked to. Nothing is noted after this."""
        self._writing.acquire(timeout=seconds)  # for good: an entry that came later would take the word back
        ray.get(self._journal.leave.remote(self._slot), timeout=seconds)


def open_journal() -> tuple[str, Any]:
    """A journal on the driver's own node, so that it is lost only with the driver; gives its name and handle.

    Actors are given the name: a handle among their constructor's arguments could be gone when they restart.
    """
    name = f"journal-{uuid.uuid4().hex}"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return name, Journal.options(name=name, scheduling_strategy=here).remote()  # type: ignore[attr-defined]
