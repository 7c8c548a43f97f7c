"""A cluster that is still growing: its autoscaler is asked for room, and waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ray.autoscaler.sdk import request_resources

from tasks.actors.cluster import Share, cluster_nodes, divide
from tasks.actors.settings import ResourceSettings
from tasks.records import RequestError

POLL_SECONDS = 2.0


def find_share(wanted: ResourceSettings) -> Share:
    """Divide the connected cluster, once it has room for what is wanted. Raises RequestError where it gets none.

    With `actors: auto` the first room is taken as it is; with a number it is waited for that many.
    """
    end = time.monotonic() + 60 * wanted.wait_minutes
    with _asking(wanted):
        while True:
            try:
                return divide(wanted, cluster_nodes())
            except RequestError as error:
                if time.monotonic() >= end:
                    waited = f" after {wanted.wait_minutes:g} minutes" if wanted.wait_minutes else ""
                    raise RequestError(f"{str(error).removesuffix('.')}{waited}.") from error
            time.sleep(POLL_SECONDS)


@contextmanager
def _asking(wanted: ResourceSettings) -> Iterator[None]:
    """Ask the autoscaler, where there is one; what was asked for stays asked for until it is taken back."""
    if not wanted.wait_minutes:
        yield
        return
    request_resources(bundles=_bundles(wanted))
    try:
        yield
    finally:
        request_resources(bundles=[])


def _bundles(wanted: ResourceSettings) -> list[dict[str, float]]:
    """What each actor takes, as Ray counts it."""
    actors = 1 if wanted.actors == "auto" else wanted.actors
    gpus = 1.0 if wanted.gpus_per_actor == "auto" else wanted.gpus_per_actor
    cpus = 1 if wanted.cpus_per_actor == "auto" else wanted.cpus_per_actor
    return [{"GPU": gpus} if gpus else {"CPU": float(cpus)}] * actors
