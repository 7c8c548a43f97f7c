"""What feeding a pool with shards needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ray.exceptions import RayActorError

from tasks.actors.journal import JournalEntry
from tasks.actors.orders import ShardOrder


class Crew(Protocol):
    """What a shift needs of a pool. `places` says where each actor is."""

    actors: list[Any]
    places: list[dict[str, Any]]

    def entries(self) -> dict[int, JournalEntry]: ...

    def end_stalled(self, busy_since: Mapping[int, float]) -> list[int]: ...

    def end(self, slot: int) -> None: ...

    def replace(self, slot: int, error: RayActorError) -> None: ...

    def find_killers(self, slot: int, order: ShardOrder, suspects: set[str]) -> dict[str, str]: ...
