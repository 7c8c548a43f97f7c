"""A small world to break: Ray nodes, an S3 server behind a proxy, a Prefect server, and drivers."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import psutil
import pyarrow.parquet as pq
import yaml

from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import Verification, check
from tasks.storage import Folder
from tests.chaos.proxy import Proxy, Weather
from tests.chaos.slowly.sitecustomize import HANGS, KILLS
from tests.servers import MOTO, PREFECT, free_port, start_server, tool
from tests.tasks.actors.making import write_photographs, write_style_pictures

ROOT = Path(__file__).resolve().parents[2]
OBJECT_STORE_BYTES = 80 * 2**20
STALLED_SECONDS = 20
BUCKET = "chaos"
DISK_BYTES = 64 * 2**20  # for what actors and drivers spool
POISON = {"p90.jpg": KILLS, "p91.jpg": HANGS}
S3_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key-for-tests",
    "AWS_SECRET_ACCESS_KEY": "secret-for-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}
Pair = tuple[str, str]


class World:
    """Everything that a run needs, and everything that may go wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, f"ATELIER_CHAOS={uuid.uuid4().hex}"
        self._environment_before = dict(os.environ)
        self.s3 = start_server(MOTO)
        self.proxy = Proxy(("127.0.0.1", self.s3.port))
        self.disk, self.filler, self.small_device = folder / "disk", folder / "disk/filler", folder / "small-device"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.disk)]
        self.has_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        os.environ |= {**S3_SETTINGS, "AWS_ENDPOINT_URL": self.s3.url}
        self.prefect_port = free_port()
        self.start_prefect()
        with self._environment():
            self._start_ray()
            self._fork = multiprocessing.get_context("forkserver")
            self._fork.set_forkserver_preload(["tests.chaos.driving"])
            from tests.chaos.driving import drive

            self._drive: Callable[..., None] = drive
            warm_up = self._fork.Process(target=print)
            warm_up.start()
            warm_up.join()
        self._write_corpora()

    def close(self) -> None:
        self.cluster.shutdown()
        for server in (self.s3, self.prefect):
            server.process.kill()
            server.process.wait()
        self.proxy.close()
        for process in self.processes():
            process.kill()
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)
        os.environ.clear()
        os.environ.update(self._environment_before)

    # What runs

    def write_job(self, name: str, corpus: str, actors: int = 2) -> Path:
        """A job of six shards, or of seven with the poison."""
        job = {
            "corpus": f"s3://{BUCKET}/{corpus}",
            "styles": f"s3://{BUCKET}/art",
            "output": f"s3://{BUCKET}/{name}/out",
            "images": {"size": 64, "codec": "png"},
            "scores": {"clip": "none"},
            "resources": {"actors": actors, "gpus_per_actor": 0, "stalled_after": STALLED_SECONDS},
            "shard_images": 2,
            "max_failed": 1.0,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(job))
        return path

    def start_driver(self, job: Path) -> Any:
        """Start `atelier run JOB`; what it says is in a file beside the job."""
        driver = self._fork.Process(target=self._drive, args=(["run", str(job)], str(job.with_suffix(".log"))))
        driver.start()
        return driver

    def log(self, name: str) -> str:
        """What the drivers of a job said."""
        return (self.folder / f"{name}.log").read_text()

    def records(self, name: str) -> dict[Pair, str]:
        """Digest of the picture of every record; no pair may come twice."""
        folder, found = Folder(f"s3://{BUCKET}/{name}/out"), dict[Pair, str]()
        for path in folder.list("data"):
            for row in pq.read_table(BytesIO(folder.read(path))).to_pylist():
                pair = (row["content_id"], row["style"])
                assert pair not in found, f"{pair} is there twice"
                found[pair] = hashlib.sha256(row["image"]["bytes"]).hexdigest()
        return found

    def commits(self, name: str) -> int:
        """Number of shards that are committed."""
        return len(Folder(f"s3://{BUCKET}/{name}/out").list("data"))

    def failures(self, name: str) -> dict[Pair, str]:
        """Error class of every failed pair, as the footers have it."""
        tables = Ledger(Folder(f"s3://{BUCKET}/{name}/out")).failures()
        return {(row["content_id"], row["style"]): row["error_class"] for table in tables for row in table.to_pylist()}

    def verify(self, name: str) -> Verification:
        return check(Ledger(Folder(f"s3://{BUCKET}/{name}/out")))

    def remove(self, name: str) -> None:
        """Delete a dataset: the server keeps everything in memory."""
        folder = Folder(f"s3://{BUCKET}/{name}")
        for path in folder.list("out"):
            folder.delete(path)

    # What breaks

    def actors(self) -> list[psutil.Process]:
        """Processes of actors that are at work or starting."""
        return [process for process in self.processes() if title(process).startswith("ray::Stylizer")]

    def processes(self) -> list[psutil.Process]:
        """Every process that came of this world's cluster or drivers and still lives."""
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and self.mark.encode() in _environ(p.pid)]

    def lose_node(self, index: int) -> None:
        """SIGKILL a node with all its processes, as a lost machine would go; nothing says goodbye."""
        node = self.nodes.pop(index % len(self.nodes))
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        family = [raylet, *raylet.children(recursive=True)]
        for process in family:
            send(process, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def drain_node(self, index: int, seconds: float = 8.0) -> None:
        """Announce that a node goes, and after these seconds lose it."""
        node = self.nodes[index % len(self.nodes)]
        self.announce_drain(node, seconds)
        time.sleep(seconds)
        self.lose_node(self.nodes.index(node))

    def announce_drain(self, node: Any, seconds: float) -> None:
        """Say that a node goes in so many seconds, as an autoscaler does before it takes a spot machine away."""
        words = ["drain-node", "--address", self.cluster.address, "--node-id", node.node_id]
        why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot", "--deadline-remaining-seconds"]
        subprocess.run([tool("ray"), *words, *why, str(int(seconds))], check=True, capture_output=True)

    def node_of(self, process: psutil.Process) -> Any:
        """The node that a process runs on."""
        parents = {parent.pid for parent in process.parents()}
        return next(node for node in self.nodes if node.all_processes["raylet"][0].process.pid in parents)

    def fill_disk(self) -> None:
        """Leave no room where shards are spooled; nothing where this machine lets nobody mount a disk for it."""
        with suppress(OSError), self.filler.open("wb", buffering=0) as file:
            while self.has_disk:
                file.write(bytes(2**16))

    def shrink_device(self) -> None:
        """Leave memory for one picture at a time where networks run."""
        self.small_device.touch()

    def mend(self) -> None:
        """A clear sky, room on the disk and the device, two nodes, and a Prefect server."""
        self.proxy.weather = Weather()
        self.filler.unlink(missing_ok=True)
        self.small_device.unlink(missing_ok=True)
        with self._environment():
            while len(self.nodes) < 2:
                self._add_node()
        if self.prefect.process.poll() is not None:
            self.start_prefect()

    def start_prefect(self) -> None:
        home = {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        self.prefect = start_server(PREFECT, {**home, "DO_NOT_TRACK": "1"}, self.prefect_port)

    def kill_prefect(self) -> None:
        """SIGKILL the server and what it started; its database file is what it was at that moment."""
        server = psutil.Process(self.prefect.process.pid)
        for process in [server, *server.children(recursive=True)]:
            send(process, signal.SIGKILL)
        self.prefect.process.wait()

    def _start_ray(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        os.environ["RAY_ADDRESS"] = self.cluster.address
        self.nodes: list[Any] = []
        for _ in range(2):
            self._add_node()

    def _add_node(self) -> None:
        self.nodes.append(self.cluster.add_node(num_cpus=2, object_store_memory=OBJECT_STORE_BYTES))

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """What nodes and drivers see: the proxy in the place of the server, and a decoder that takes its time."""
        before = dict(os.environ)
        name, value = self.mark.split("=")
        os.environ |= {
            name: value,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.port}",
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.prefect_port}/api",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "slowly"), str(ROOT)]),
            "ATELIER_DECODING_SECONDS": "0.8",
            "ATELIER_SMALL_DEVICE": str(self.small_device),
            "TMPDIR": str(self.disk),
            "RAY_TMPDIR": tempfile.gettempdir(),  # its own files stay where they were
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # else whatever else runs on this machine comes first
            "RAY_enable_metrics_collection": "0",
            # A store that says nothing is given up sooner than users would want.
            "FSSPEC_S3": '{"config_kwargs": {"read_timeout": 3, "connect_timeout": 3}}',
        }
        try:
            yield
        finally:
            address = os.environ.get("RAY_ADDRESS")
            os.environ.clear()
            os.environ.update(before)
            if address:
                os.environ["RAY_ADDRESS"] = address

    def _write_corpora(self) -> None:
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        photos = write_photographs(self.folder / "photos", 12)
        poisoned = write_photographs(self.folder / "poisoned", 12)
        for name, mark in POISON.items():
            (poisoned / name).write_bytes((photos / "p00.jpg").read_bytes() + mark)
        for folder in (photos, poisoned, write_style_pictures(self.folder / "art")):
            self.upload(folder)

    def upload(self, folder: Path) -> None:
        """Put a folder's files on the server, under the folder's name."""
        client = boto3.client("s3")
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, f"{folder.name}/{path.name}")


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def send(process: psutil.Process, what: signal.Signals) -> None:
    """Send a signal to a process, which may be gone."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(what)
