"""A Ray that collects metrics, a shard on it, and what Prometheus would read then: JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

# Before Ray is imported, which reads them once.
os.environ |= {"RAY_enable_metrics_collection": "1", "RAY_metrics_report_interval_ms": "500"}

import ray

from tasks.actors.cluster import Share, start_local
from tasks.actors.metrics import METRICS
from tasks.actors.orders import ActorSettings
from tasks.actors.pool import open_pool
from tests.tasks.actors.making import damaged_files, make_order, plan_styles, write_photographs, write_style_pictures

SECONDS = 60.0


def main(folder: Path) -> None:
    """Stylize four photographs and fail five files, in two styles."""
    corpus, art = write_photographs(folder / "photos", 4), write_style_pictures(folder / "art")
    for name, (data, _) in damaged_files().items():
        (corpus / name).write_bytes(data)
    start_local(num_cpus=2)
    share = Share(actors=1, gpus=0.0, threads=1)
    settings = ActorSettings(output=str(folder / "out"), store=str(folder / "store"), clip="none")
    with open_pool(settings, share) as pool:
        given_up = pool.stylize([make_order(corpus, plan_styles(art))], lambda _: None, lambda _: None)
        sys.stdout.write(json.dumps({"given_up": len(given_up), "page": _scrape()}))
    ray.shutdown()


def _scrape() -> str:
    """Ray's page of metrics, once the last of ours has come to it."""
    (node,) = ray.nodes()
    page, end = "", time.monotonic() + SECONDS
    # The driver's own and the actor's come at different times, some of both under one name.
    wanted = [*(metric.exported for metric in METRICS if "device_memory" not in metric.name), "shards_given_up"]
    while not all(name in page for name in wanted) and time.monotonic() < end:
        time.sleep(0.5)
        with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as got:
            page = got.read().decode()
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
