"""The journal: which shard and which contents each actor has in hand, kept where a dying actor cannot lose it."""

from __future__ import annotations

from dataclasses import dataclass

import ray


@dataclass(frozen=True)
class JournalEntry:
    """What an actor last said: its shard (plan, shard, attempt), the contents in hand, its node, rows made."""

    shard: tuple[int, int, int]
    in_hand: tuple[str, ...]
    node: str
    rows: int


@ray.remote(num_cpus=0)
class Journal:
    """One small actor beside the driver; an actor writes before each batch, the driver reads after a death."""

    def __init__(self) -> None:
        self._entries: dict[int, JournalEntry] = {}

    def note(self, slot: int, entry: JournalEntry) -> None:
        """Replace what the actor in a slot said before."""
        self._entries[slot] = entry

    def read(self, slot: int) -> JournalEntry | None:
        """What the actor in a slot said last."""
        return self._entries.get(slot)

    def rows(self) -> int:
        """Rows made in shards that are in hand now."""
        return sum(entry.rows for entry in self._entries.values() if entry.in_hand)
