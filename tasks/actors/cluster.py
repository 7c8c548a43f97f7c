"""The Ray cluster: joined where one is configured, started on this machine where none is; what it can hold."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import ray

from tasks.actors.settings import ResourceSettings
from tasks.records import RequestError

# Images never travel through Ray: its shared memory carries orders and footers. Ray takes no less than this.
OBJECT_STORE_BYTES = 80 * 2**20
# For a head's port to take a connection.
JOIN_SECONDS = 30
# More threads than this no longer speed up the codecs of one actor.
MAX_THREADS = 16
# Shares such as 0.1 have no exact binary form.
ROUNDING = 1e-6

# What Ray reads when it starts on this machine.
LOCAL_RAY = {
    # Usage reports go to a public server; a Ray that starts here must not send any.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Nobody reads the metrics of a Ray that lives as long as one run.
    "RAY_enable_metrics_collection": "0",
    # A process for each core would start at once, most of them never used.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # Without this a CPU actor would see every GPU of its node.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}

Node = Mapping[str, float]


@dataclass(frozen=True)
class Share:
    """What each actor takes, and how many there are. `batch_pixels` None: by the device."""

    actors: int
    gpus: float
    threads: int
    batch_pixels: int | None = None

    @property
    def cpus(self) -> int:
        """CPUs that Ray sets aside: none beside a GPU, where threads only feed it and must not hold it up."""
        return 0 if self.gpus else self.threads

    @property
    def device(self) -> str:
        """The torch device that an actor should have."""
        return "cuda" if self.gpus else "cpu"


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Be a driver of the cluster at `address`, or of a local one that ends with the block.

    A process that is a driver already stays what it is. Raises RequestError where nothing answers at `address`.
    """
    if ray.is_initialized():
        yield
        return
    # It says that token authentication is on, which is what everyone would want.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    with _keeping_sigterm():
        if address:
            _join(address)
        else:
            start_local()
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    """Left to itself, Ray asks a head that is gone for more than three minutes and then exits the process."""
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit() and "://" not in address:
            socket.create_connection((host.strip("[]"), int(port)), timeout=JOIN_SECONDS).close()
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except OSError as error:
        raise RequestError(
            f"No Ray cluster answers at {address}: start one there, or leave RAY_ADDRESS unset for a local one."
        ) from error


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Ray takes SIGTERM to abort the driver with a trace. Who had it before can tell a cancellation from a crash."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def start_local(num_cpus: int | None = None, num_gpus: int | None = None) -> None:
    """Start Ray on this machine, as little of it as there can be; None counts what there is.

    A machine may be so busy that Ray gives up after its 30 s, which cannot be set: then it is started once more.
    """
    for name, value in LOCAL_RAY.items():
        os.environ.setdefault(name, value)
    start = partial(
        ray.init,
        address="local",
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        logging_level=logging.WARNING,
        log_to_driver=False,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )
    try:
        start()
    except Exception as error:  # Ray has no class for it
        if "timed out during startup" not in str(error):
            raise
        # What was started of the first ends with this process.
        ray.shutdown()
        start()


def divide(wanted: ResourceSettings, nodes: Sequence[Node]) -> Share:
    """Divide the nodes of a cluster among actors. Raises RequestError where there is no room.

    A node is its resources as Ray counts them: {"CPU": 16.0, "GPU": 2.0}. Fractions of a GPU are packed on one
    GPU each, whole ones on one node each.
    """
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    share = (1.0 if gpus else 0.0) if wanted.gpus_per_actor == "auto" else wanted.gpus_per_actor
    threads = 1 if wanted.cpus_per_actor == "auto" else wanted.cpus_per_actor
    room = sum(_room_on_gpus(node, share) if share else int(node.get("CPU", 0.0) / threads) for node in nodes)
    actors = room if wanted.actors == "auto" else wanted.actors
    if not room or actors > room:
        each = f"{share:g} GPU" if share else f"{threads} CPU"
        raise RequestError(
            f"The cluster has {cpus:g} CPUs and {gpus:g} GPUs, room for {room} actors of {each}: "
            f"ask for {f'at most {room}' if room else 'less for each'} under `resources`."
        )
    if share and wanted.cpus_per_actor == "auto":
        threads = min(MAX_THREADS, max(1, int(cpus / actors)))
    pixels = wanted.batch_megapixels
    return Share(actors, share, threads, None if pixels == "auto" else int(pixels * 2**20))


def cluster_nodes() -> list[Node]:
    """What each node of the connected cluster has."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def machine_resources() -> list[Node]:
    """What a Ray started on this machine would have; for forecasts, without starting one."""
    import torch  # slow to import, and only a forecast needs it

    return [{"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.cuda.device_count())}]


def _room_on_gpus(node: Node, share: float) -> int:
    """Actors that fit on a node: a fraction never spans two GPUs."""
    gpus = node.get("GPU", 0.0)
    return int(gpus) * int(1 / share + ROUNDING) if share < 1 else int(gpus / share)
