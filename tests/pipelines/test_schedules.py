"""Deployments on a Prefect server: a worker really does what they say, and lets go when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from tests.pipelines.conftest import Atelier, read_images, write_job
from tests.pipelines.orchestra import ROOT, Orchestra, actor_processes, open_orchestra, read_settings, wait_until
from tests.servers import stop
from tests.tasks.actors.making import write_photographs, write_style_pictures

LATER = "2100-01-01T00:00:00Z"
WORKER_SECONDS = 15.0  # to end in, where it ends
SERVE_SECONDS = 60.0


def write_slow_job(folder: Path, photographs: int) -> Path:
    """A job that one actor makes in many small shards."""
    write_photographs(folder / "photos", photographs)
    write_style_pictures(folder / "art")
    slowly = {"actors": 1, "gpus_per_actor": 0, "batch_megapixels": 0.001}
    return write_job(folder, shard_images=2, resources=slowly, images={"size": "keep", "codec": "png"})


def write_quick_job(folder: Path) -> Path:
    """A job over three photographs in two styles."""
    write_photographs(folder / "photos", 3)
    write_style_pictures(folder / "art")
    return write_job(folder)


class Webhook:
    """What was posted to an HTTP server of the test."""

    def __init__(self) -> None:
        self.told: list[str] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
                self.send_response(200)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def webhook(deployed: Orchestra) -> Iterator[Webhook]:
    """A webhook that the automations of infra/automations.yaml tell."""
    made = Webhook()
    url = f"http://127.0.0.1:{made.server.server_port}/secret-path"
    command = [sys.executable, "-m", "infra.automate"]
    environment = deployed.environment | {"ATELIER_WEBHOOK": url}
    for _ in range(2):  # the second time it replaces them
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["atelier-failed", "atelier-late", "atelier-zombie"]
    held = deployed.ask("POST", "/automations/filter")
    assert sorted(one["name"] for one in held) == ["atelier-failed", "atelier-late", "atelier-zombie"]
    assert "secret-path" not in json.dumps(deployed.ask("POST", "/block_documents/filter"))
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def deployed(atelier: Atelier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestra]:
    """A server with the deployments of infra/prefect.yaml, and nobody who runs them."""
    with open_orchestra(atelier, tmp_path_factory.mktemp("orchestra")) as made:
        made.environment |= read_settings()
        made.ask("POST", "/work_pools/", name="atelier", type="process")
        deploy = ["--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
        made.prefect(*deploy, ATELIER_JOB="/nowhere/job.yaml")
        yield made


@pytest.fixture
def orchestra(deployed: Orchestra, atelier: Atelier) -> Iterator[Orchestra]:
    """The same with a worker. Prefect's own may never end when it is asked to, idle or not; what it ran has ended."""
    worker = deployed.start("worker", "start", "--pool", "atelier")
    yield deployed
    wait_until(lambda: not psutil.Process(worker.pid).children(), deployed.said)
    assert stop(worker, WORKER_SECONDS) in (0, -signal.SIGKILL), deployed.said()
    assert actor_processes(atelier) == []


@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_worker_makes_the_nightly_run_and_the_weekly_one_finds_it_whole(orchestra: Orchestra, tmp_path: Path) -> None:
    job = write_quick_job(tmp_path)
    orchestra.wait(orchestra.run("nightly/nightly", job=str(job)), "COMPLETED")
    assert len(read_images(tmp_path / "out")) == 6

    orchestra.wait(orchestra.run("weekly/weekly", job=str(job)), "COMPLETED")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_worker_backfills_by_partition_and_makes_training_data_on_demand(
    orchestra: Orchestra, atelier: Atelier, tmp_path: Path
) -> None:
    for number, split in enumerate(("train", "test")):
        write_photographs(tmp_path / "photos" / split, 3, first=3 * number)
    write_style_pictures(tmp_path / "art")
    job = write_job(tmp_path)
    orchestra.wait(orchestra.run("backfill/backfill", job=str(job), limit=1), "COMPLETED")
    assert len({content.split("/")[0] for content, _ in read_images(tmp_path / "out")}) == 1
    orchestra.wait(orchestra.run("backfill/backfill", job=str(job)), "COMPLETED")
    assert len(read_images(tmp_path / "out")) == 12
    drawing = write_job(tmp_path, output="drawn", draw={"styles": 1}, method={"name": "adain"})
    orchestra.wait(orchestra.run("synthesis/synthesis", job=str(drawing)), "COMPLETED")
    assert len(read_images(tmp_path / "drawn")) == 6
    assert (tmp_path / "drawn/datacard.json").exists()
    for place in ("out", "drawn"):
        assert atelier("verify", tmp_path / place).code == 0


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_weekly_run_that_finds_damage_fails_and_a_webhook_is_told(
    orchestra: Orchestra, atelier: Atelier, tmp_path: Path, webhook: Webhook
) -> None:
    job = write_quick_job(tmp_path)
    assert atelier("run", job).code == 0
    shard = sorted((tmp_path / "out/data").glob("*.parquet"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    failed = orchestra.wait(orchestra.run("weekly/weekly", job=str(job)), "FAILED", "COMPLETED")
    assert failed["type"] == "FAILED"
    assert shard.name in failed["message"]
    wait_until(lambda: any("is Failed" in told and shard.name in told for told in webhook.told), orchestra.said)


@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_run_whose_heartbeats_end_is_called_crashed_and_told_of_and_so_is_a_late_one(
    deployed: Orchestra, webhook: Webhook
) -> None:
    """Without a worker: its reports are made here as a run and a worker make them."""
    crashed, late = deployed.run("weekly/weekly"), deployed.run("weekly/weekly")
    deployed.set_state(late, "SCHEDULED", "Late")
    wait_until(lambda: any("is Late" in told for told in webhook.told), deployed.said)
    deployed.set_state(crashed, "PENDING")
    deployed.set_state(crashed, "RUNNING")
    beat = (
        "from prefect.events import emit_event; from prefect.events.worker import EventsWorker; "
        "emit_event('prefect.flow-run.heartbeat', resource={'prefect.resource.id': 'prefect.flow-run.%s'}, "
        "related=[{'prefect.resource.id': 'prefect.tag.atelier', 'prefect.resource.role': 'tag'}]); "
        "EventsWorker.drain_all()"
    )
    command = [sys.executable, "-c", beat % crashed]
    subprocess.run(command, env=deployed.environment, check=True, timeout=180)
    assert deployed.wait(crashed, "CRASHED")["message"] == "No heartbeat for two minutes."
    wait_until(lambda: any("is Crashed" in told for told in webhook.told), deployed.said)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_run_that_is_paused_suspended_and_cancelled_lets_go_in_seconds_and_loses_nothing(
    orchestra: Orchestra, atelier: Atelier, tmp_path: Path
) -> None:
    job = write_slow_job(tmp_path, photographs=120)
    data = tmp_path / "out" / "data"

    def committed() -> list[str]:
        return sorted(path.name for path in data.glob("*.parquet"))

    def let_go() -> list[str]:
        """Wait until no actor is left, then a little longer: nothing may be committed any more."""
        wait_until(lambda: not actor_processes(atelier), orchestra.said, seconds=20)
        held = committed()
        with pytest.raises(AssertionError):
            wait_until(lambda: committed() != held, str, seconds=4)
        return held

    def go_on(held: list[str]) -> None:
        orchestra.ask("POST", f"/flow_runs/{run}/resume")
        wait_until(lambda: len(committed()) > len(held) + 1, orchestra.said)

    run = orchestra.run("nightly/nightly", job=str(job))
    wait_until(lambda: len(committed()) > 2, orchestra.said)
    orchestra.set_state(run, "PAUSED", pause_timeout=LATER)
    go_on(let_go())
    orchestra.set_state(run, "PAUSED", "Suspended", pause_reschedule=True, pause_timeout=LATER)
    held = let_go()
    assert not (tmp_path / "out/lease.json").exists()
    go_on(held)
    orchestra.set_state(run, "CANCELLING")
    assert len(let_go()) < 60
    assert orchestra.wait(run, "CANCELLED", "COMPLETED", "FAILED", "CRASHED")["type"] == "CANCELLED"

    orchestra.wait(orchestra.run("nightly/nightly", job=str(job)), "COMPLETED")
    assert len(read_images(tmp_path / "out")) == 240
    assert atelier("verify", tmp_path / "out").code == 0


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_run_of_the_command_line_is_cancelled_by_way_of_the_server(
    orchestra: Orchestra, atelier: Atelier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_slow_job(tmp_path, photographs=120)
    monkeypatch.setitem(atelier.environment, "PREFECT_API_URL", orchestra.api)
    process = atelier.start("run", job)
    wait_until(lambda: list((tmp_path / "out/data").glob("*.parquet")), orchestra.said)
    (found,) = orchestra.ask("POST", "/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["RUNNING"]}}})
    orchestra.set_state(found["id"], "CANCELLING")
    wait_until(lambda: not actor_processes(atelier), orchestra.said, seconds=20)
    outcome = atelier.finish(process)
    assert outcome.code == 3, outcome.stderr
    assert "Cancelled: the same job again goes on where this run stopped." in outcome.stderr
    assert orchestra.state(found["id"])["type"] == "CANCELLED"
    assert 0 < len(list((tmp_path / "out/data").glob("*.parquet"))) < 60


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_jobs_are_served_on_a_schedule_until_sigterm(orchestra: Orchestra, atelier: Atelier, tmp_path: Path) -> None:
    job = write_quick_job(tmp_path).rename(tmp_path / "served.yaml")

    def count_completed() -> int:
        deployments = {"name": {"any_": ["served"]}}
        runs = {"state": {"type": {"any_": ["COMPLETED"]}}}
        return len(orchestra.ask("POST", "/flow_runs/filter", flow_runs=runs, deployments=deployments))

    for number in (1, 2):  # again after a stop, which pauses what it served
        served = orchestra.start("serve", job, "--cron", "* * * * *", module="pipelines.cli")
        wait_until(partial(lambda least: count_completed() >= least, number), orchestra.said)
        assert stop(served, SERVE_SECONDS) == 0, orchestra.said()
        assert "never awaited" not in orchestra.said()
        assert actor_processes(atelier) == []
    assert len(read_images(tmp_path / "out")) == 6
