"""The Ray actor: a process pinned to its share of a GPU that represents styles and stylizes shards."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray

from tasks.actors.journal import JournalEntry, JournalWriter
from tasks.actors.leaving import leave_when_asked
from tasks.actors.metrics import Meters
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.banks.sources import BankOrder, BankPart
from tasks.dataset.footer import ShardFooter
from tasks.methods.bars import listening
from tasks.styles import PlannedStyle

if TYPE_CHECKING:
    from tasks.actors.loaded import Loaded
    from tasks.actors.shard import Note

# A process that is asked to end has seconds; its driver may be gone.
FAREWELL_SECONDS = 2.0


@ray.remote
class Stylizer:
    """Loads each network once and keeps it; does one thing at a time.

    What it works with is imported here, not by its driver, which does without torch.
    Nothing is opened while it is constructed: an error there would reach the driver as a death, without its cause.
    """

    def __init__(self, settings: ActorSettings, slot: int, journal: str) -> None:
        self._settings = settings
        self._loaded: Loaded | None = None
        self._meters = Meters(slot)
        self._journal = JournalWriter(ray.get_actor(journal), slot)
        self._node = ray.get_runtime_context().get_node_id()
        leave_when_asked(lambda: self._journal.leave(FAREWELL_SECONDS))

    def describe(self) -> dict[str, Any]:
        """Where this actor runs, ready for work: process, node, the ids of its GPUs, and the device it uses."""
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        return {"pid": os.getpid(), "node": self._node, "gpus": gpus, "device": self._load().settings.device}

    def represent(self, styles: list[PlannedStyle]) -> int:
        """Compute what the store lacks of these styles; gives how many were computed here."""
        with listening(self._journal.tell):
            computed = self._load().represent(styles)
        self._journal.tell("")
        return computed

    def represent_part(self, part: BankPart) -> int:
        """Represent a part of a bank, unless it is there; gives how many pictures were represented here."""
        from tasks.actors.banking import represent_part

        loaded = self._load()
        return represent_part(loaded.store.folder, loaded.open(part.method), part, loaded.settings.codec_threads)

    def pack_bank(self, order: BankOrder) -> str:
        """Put a bank together; gives its key."""
        from tasks.actors.banking import pack

        return pack(self._load().store, order)

    def stylize(self, order: ShardOrder) -> ShardFooter:
        """Make and commit a shard; gives the footer that stands, without the failures that it carries."""
        from tasks.actors.shard import stylize_shard

        with listening(self._journal.tell):
            footer = stylize_shard(self._load(), order, self._note(order))
        self._journal.tell("")
        self._meters.add_shard(footer)
        return footer.model_copy(update={"failures": ""})

    def rehearse(self, order: ShardOrder) -> None:
        """Do the work and throw it away."""
        from tasks.actors.shard import rehearse_shard

        with listening(self._journal.tell):
            rehearse_shard(self._load(), order, self._note(order))

    def _load(self) -> Loaded:
        from tasks.actors.loaded import Loaded

        if self._loaded is None:
            pa.array([])  # imports pandas where there is one, which is no part of publishing the first shard
            self._loaded = Loaded(_take_share(self._settings))
        return self._loaded

    def _note(self, order: ShardOrder) -> Note:
        shard = (*order.key, order.attempt)

        def note(in_hand: list[str], rows: int) -> None:
            self._journal.note(JournalEntry(shard, tuple(in_hand), self._node, rows))
            self._meters.show_contents(len(in_hand))

        note([], 0)
        return note


def _take_share(settings: ActorSettings) -> ActorSettings:
    """Keep to our share, which Ray only counts; where torch has no GPU, the device is the CPU, and says so."""
    import torch

    torch.set_num_threads(settings.threads)
    device = "cuda" if settings.gpu_share and torch.cuda.is_available() else "cpu"
    if device == "cuda" and settings.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(settings.gpu_share)
    return replace(settings, device=device)
