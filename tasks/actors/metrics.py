"""What Prometheus may know of a run: told through Ray's own endpoint, and nothing where Ray collects no metrics."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ray.util.metrics import Counter, Gauge, Histogram

from tasks.dataset.footer import ShardFooter

# Read by Ray, too: see LOCAL_RAY in tasks/actors/cluster.py.
SWITCH = "RAY_enable_metrics_collection"
OFF = ("0", "false")
# Seconds of a shard; about two minutes are planned.
SHARD_SECONDS = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0]


@dataclass(frozen=True)
class Metric:
    """A metric as it is made; Prometheus sees `ray_NAME`, of counters `ray_NAME_total`."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    says: str
    tags: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """Its name at Ray's endpoint; a histogram's ends in `_bucket`, `_sum` and `_count` there."""
        return f"ray_{self.name}{'_total' if self.kind == 'counter' else ''}"


METRICS = (
    Metric("counter", "atelier_images", "Stylized pictures committed.", ("device",)),
    Metric("counter", "atelier_failures", "Failed records committed, by the word for their reason.", ("reason",)),
    Metric("counter", "atelier_stage_seconds", "Seconds of actors' threads by stage, of committed shards.", ("stage",)),
    Metric("counter", "atelier_source_bytes", "Encoded bytes of the contents read, of committed shards."),
    Metric("counter", "atelier_picture_bytes", "Encoded bytes of the pictures committed."),
    Metric("histogram", "atelier_shard_seconds", "Wall seconds of a committed shard's attempt."),
    Metric("gauge", "atelier_batch_fill", "Mean share of the batch bound in use in the last shard, 0 to 1.", ("slot",)),
    Metric("gauge", "atelier_queue_depth", "Contents in an actor's hand; shards that wait or are out.", ("queue",)),
    Metric("gauge", "atelier_device_memory_bytes", "Memory of the actor's GPU: in use, kept by torch, all.", ("kind",)),
    Metric("gauge", "atelier_process_memory_bytes", "The most memory that the actor's process has held.", ("slot",)),
)


class Meters:
    """The metrics of one process; `slot` tells actors apart."""

    def __init__(self, slot: int | str) -> None:
        self._slot = str(slot)
        self._metrics = {metric.name: _make(metric) for metric in METRICS} if is_on() else {}

    def add_shard(self, footer: ShardFooter) -> None:
        """Count a committed shard."""
        if not self._metrics:
            return
        self._add("atelier_images", footer.records, device=footer.device)
        failures = footer.failure_table()
        for reason in failures["error_class"].to_pylist() if failures is not None else ():
            self._add("atelier_failures", 1, reason=reason)
        for stage, seconds in footer.seconds.items():
            self._add("atelier_stage_seconds", seconds, stage=stage)
        self._add("atelier_source_bytes", footer.source_bytes)
        self._add("atelier_picture_bytes", footer.picture_bytes)
        self._metrics["atelier_shard_seconds"].observe(footer.seconds.get("busy", 0.0))
        batches = sum(size.batches for size in footer.batches)
        if batches:
            fill = sum(size.fill * size.batches for size in footer.batches) / batches
            self._metrics["atelier_batch_fill"].set(fill, {"slot": self._slot})

    def show_contents(self, in_hand: int) -> None:
        """Tell how many contents an actor has in hand, and what memory it takes."""
        if self._metrics:
            self._show_depth("contents", in_hand)
            self._show_memory()

    def show_shards(self, depths: Mapping[str, int]) -> None:
        """Tell how many shards wait and are out; for the driver."""
        if self._metrics:
            for queue, depth in depths.items():
                self._show_depth(queue, depth)

    def _add(self, name: str, amount: float, **tags: str) -> None:
        if amount > 0:  # Ray takes nothing else for a counter
            self._metrics[name].inc(amount, tags)

    def _show_depth(self, queue: str, depth: int) -> None:
        self._metrics["atelier_queue_depth"].set(depth, {"queue": queue})

    def _show_memory(self) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._metrics["atelier_process_memory_bytes"].set(peak, {"slot": self._slot})
        torch = sys.modules.get("torch")  # a driver does without
        if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
            kinds = {
                "used": torch.cuda.memory_allocated(),
                "reserved": torch.cuda.memory_reserved(),
                "total": torch.cuda.mem_get_info()[1],
            }
            for kind, size in kinds.items():
                self._metrics["atelier_device_memory_bytes"].set(size, {"kind": kind})


def is_on() -> bool:
    """Whether Ray collects metrics here; a Ray that a run starts for itself does not, unless it is told to."""
    return os.environ.get(SWITCH, "1").lower() not in OFF


def _make(metric: Metric) -> Any:
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.says, boundaries=SHARD_SECONDS, tag_keys=metric.tags)
    return {"counter": Counter, "gauge": Gauge}[metric.kind](metric.name, metric.says, tag_keys=metric.tags)
