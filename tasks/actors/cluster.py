"""The Ray cluster: joined where one is configured, started on this machine where none is; what it can hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from tasks.actors.settings import ResourceSettings
from tasks.records import RequestError

CPU_BATCH_PIXELS = 2**19
GPU_BATCH_PIXELS = 16 * 2**20


@dataclass(frozen=True)
class Share:
    """What each actor takes, and how many there are."""

    actors: int
    gpus: float
    cpus: int
    batch_pixels: int

    @property
    def device(self) -> str:
        """The torch device of an actor."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Be a driver of the cluster at `address`, of the one this process is in, or of a local one."""
    if ray.is_initialized():
        yield
        return
    # Usage reports go to a public server; a Ray that starts here must not send any.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without this a CPU actor would see every GPU of its node.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    if address:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    else:
        ray.init(address="local", include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def divide(wanted: ResourceSettings, total: dict[str, float]) -> Share:
    """Divide a cluster's resources among actors. Raises RequestError where not even one actor fits.

    `total` is Ray's own count: {"CPU": 16.0, "GPU": 2.0}.
    """
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    share = (1.0 if gpus else 0.0) if wanted.gpus_per_actor == "auto" else wanted.gpus_per_actor
    by_gpu = int(gpus / share) if share else None
    # With a GPU the threads only feed it: they are not counted, so that a GPU never waits for a core's place.
    room = by_gpu if by_gpu is not None else int(cpus / wanted.cpus_per_actor)
    actors = max(room, 0) if wanted.actors == "auto" else wanted.actors
    if not actors or actors > room:
        raise RequestError(
            f"The cluster has {cpus:g} CPUs and {gpus:g} GPUs, room for {room} actors of {share:g} GPU and "
            f"{wanted.cpus_per_actor} CPU: ask for {(actors and room) or 'less'} under `resources`."
        )
    pixels = wanted.batch_megapixels
    automatic = GPU_BATCH_PIXELS if share else CPU_BATCH_PIXELS
    return Share(actors, share, wanted.cpus_per_actor, automatic if pixels == "auto" else int(pixels * 2**20))


def cluster_resources() -> dict[str, float]:
    """What the connected cluster has in all."""
    return dict(ray.cluster_resources())


def machine_resources() -> dict[str, float]:
    """What a Ray started on this machine would have; for forecasts, without starting one."""
    import torch  # slow to import, and only a forecast needs it

    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.cuda.device_count())}
