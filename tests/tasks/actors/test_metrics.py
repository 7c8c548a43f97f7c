"""Metrics as Prometheus reads them, from a Ray that collects them; and none where it does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.actors.cluster import LOCAL_RAY
from tasks.actors.metrics import METRICS, SWITCH, Meters
from tasks.dataset.footer import ShardFooter
from tests.tasks.actors.making import damaged_files


def read_page(page: str) -> dict[tuple[str, str], float]:
    """The values of a page, by name and the one label that is ours."""
    found = {}
    for name, labels, value in re.findall(r"^ray_(atelier_\w+)\{(.*)\} (\S+)$", page, re.MULTILINE):
        ours = re.search(r'\b(?:device|reason|stage|queue|kind|slot)="([^"]*)"', labels)
        found[name, ours[1] if ours else ""] = float(value)
    return found


@pytest.mark.ray
def test_a_shard_is_told_to_prometheus(tmp_path: Path) -> None:
    code = [sys.executable, "-m", "tests.tasks.actors.metered", str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=240, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["given_up"] == 0
    values = read_page(told["page"])
    assert values["atelier_images_total", "cpu"] == 4 * 2
    reasons = {reason: 2.0 for _, reason in damaged_files().values()}  # in two styles
    assert {label: value for (name, label), value in values.items() if name == "atelier_failures_total"} == reasons
    assert values["atelier_stage_seconds_total", "busy"] > values["atelier_stage_seconds_total", "render"] > 0
    assert values["atelier_source_bytes_total", ""] > 1000
    assert values["atelier_picture_bytes_total", ""] > 1000
    assert values["atelier_shard_seconds_count", ""] == 1
    assert 0 < values["atelier_batch_fill", "0"] <= 1
    assert {label for name, label in values if name == "atelier_queue_depth"} == {
        *("contents", "shards_waiting", "shards_out", "shards_given_up"),
    }
    assert values["atelier_process_memory_bytes", "0"] > 100e6
    names = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name, _ in values}
    # A CPU has no memory of its own; tests/infra compares the dashboard with the same list.
    assert names == {m.exported.removeprefix("ray_") for m in METRICS} - {"atelier_device_memory_bytes"}


@pytest.mark.parametrize("value", ["0", "false", "False"])
def test_where_ray_collects_none_there_are_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, value)
    made: list[object] = []
    monkeypatch.setattr("tasks.actors.metrics._make", made.append)
    meters = Meters(0)
    meters.add_shard(ShardFooter(plan=1, shard=0, plan_digest="", token="", records=3, device="cpu"))
    meters.show_contents(5)
    meters.show_shards({"shards_out": 1})
    assert made == []


def test_a_ray_of_our_own_collects_none() -> None:
    assert LOCAL_RAY[SWITCH] == "0"


def test_what_torch_says_of_a_gpus_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own answers are put in the place of a GPU's: no machine of CI has one."""
    told: dict[tuple[str, str], float] = {}

    class Gauge:
        def __init__(self, name: str) -> None:
            self.name = name

        def set(self, value: float, tags: dict[str, str]) -> None:
            told[self.name, next(iter(tags.values()))] = value

    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.setattr("tasks.actors.metrics._make", lambda metric: Gauge(metric.name))
    for name, value in {
        "is_available": True,
        "is_initialized": True,
        "memory_allocated": 3,
        "memory_reserved": 5,
    }.items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda value=value: value)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (11, 24))
    Meters(0).show_contents(2)
    gauge = "atelier_device_memory_bytes"
    assert {kind: told[gauge, kind] for kind in ("used", "reserved", "total")} == {
        "used": 3,
        "reserved": 5,
        "total": 24,
    }
    assert told["atelier_queue_depth", "contents"] == 2
