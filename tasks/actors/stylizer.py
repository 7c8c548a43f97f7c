"""The Ray actor: a process pinned to its share of a GPU that represents styles and stylizes shards."""

from __future__ import annotations

import os
from typing import Any

import ray
import torch

from tasks.actors.journal import JournalEntry
from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.shard import Note, rehearse_shard, stylize_shard
from tasks.dataset.footer import ShardFooter
from tasks.styles import PlannedStyle


@ray.remote
class Stylizer:
    """Loads each network once and keeps it; does one thing at a time."""

    def __init__(self, settings: ActorSettings, slot: int, journal: Any) -> None:
        _limit(settings)
        self._slot, self._journal = slot, journal
        self._node = ray.get_runtime_context().get_node_id()
        self._loaded = Loaded(settings)

    def describe(self) -> dict[str, object]:
        """Where this actor runs: process, node, and the ids of the GPUs it is pinned to."""
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        return {"pid": os.getpid(), "node": self._node, "gpus": gpus}

    def represent(self, styles: list[PlannedStyle]) -> int:
        """Compute what the store lacks of these styles; gives how many were computed here."""
        return self._loaded.represent(styles)

    def stylize(self, order: ShardOrder) -> ShardFooter:
        """Make and commit a shard; gives the footer that stands."""
        return stylize_shard(self._loaded, order, self._note(order))

    def rehearse(self, order: ShardOrder) -> None:
        """Do the work and throw it away."""
        rehearse_shard(self._loaded, order, self._note(order))

    def _note(self, order: ShardOrder) -> Note:
        shard = (order.plan, order.shard, order.attempt)

        def note(in_hand: list[str], rows: int) -> None:
            # Waited for: a note that is still on its way when the process dies says nothing.
            ray.get(self._journal.note.remote(self._slot, JournalEntry(shard, tuple(in_hand), self._node, rows)))

        note(["(starting)"], 0)
        return note


def _limit(settings: ActorSettings) -> None:
    """Keep to our share: Ray only counts it."""
    torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and 0 < settings.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(settings.gpu_share)
