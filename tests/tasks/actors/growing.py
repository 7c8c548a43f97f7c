"""A cluster of one core that grows by another one while a driver waits for it: the shares that it finds, as JSON."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import ray
from ray.cluster_utils import Cluster

from tasks.actors.growth import find_share
from tasks.actors.settings import ResourceSettings
from tasks.records import RequestError


def main() -> None:
    """Two actors of a core each: refused at once, refused after a wait, and found once there is a second node."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, logging_level="ERROR")
    told: list[object] = []
    for minutes in (0, 0.05):
        started = time.monotonic()
        try:
            find_share(ResourceSettings(actors=2, gpus_per_actor=0, wait_minutes=minutes))
        except RequestError as error:
            told.append((str(error), time.monotonic() - started))
    with ThreadPoolExecutor(1) as waiting:
        found = waiting.submit(find_share, ResourceSettings(actors=2, gpus_per_actor=0, wait_minutes=3))
        cluster.add_node(num_cpus=1)
        told.append(found.result().actors)
    sys.stdout.write(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
