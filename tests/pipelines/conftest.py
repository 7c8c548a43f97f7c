"""The command line in processes of its own: jobs, runs, kills, and an S3 server beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.servers import MOTO, PREFECT, start_server

RUN_SECONDS = 240
Pair = tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        return json.loads(self.stdout)


class Atelier:
    """Starts `atelier` in a session of its own, with Prefect's files in `home`, a folder of the tests."""

    def __init__(self, home: Path) -> None:
        self.mark = f"ATELIER_TEST={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        quiet = {"PREFECT_HOME": str(home), "OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
        self.environment = {**os.environ, **quiet, name: value}

    def start(self, *words: object, code: str = "from pipelines.cli import main; main()") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Outcome:
        stdout, stderr = process.communicate(timeout=RUN_SECONDS)
        return Outcome(process.returncode, stdout, stderr)

    def __call__(self, *words: object, **options: str) -> Outcome:
        return self.finish(self.start(*words, **options))

    def processes(self) -> list[int]:
        """Every process that came of these commands and still lives, Ray's among them."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self.mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]

    def wait_until_quiet(self, seconds: float = 60) -> list[int]:
        """Wait until none of them is left; gives those that will not go."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.2)
        return left


@pytest.fixture(scope="session")
def atelier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atelier]:
    """The command line; where a test wants Prefect one server is beside it, or each would start its own for 10 s."""
    home = tmp_path_factory.mktemp("prefect")
    made = Atelier(home)
    wants_prefect = any(item.get_closest_marker("prefect") for item in request.session.items)
    server = start_server(PREFECT, {"PREFECT_HOME": str(home)}, log=home / "server.log") if wants_prefect else None
    if server:
        made.environment["PREFECT_API_URL"] = f"{server.url}/api"
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)
    if server:
        server.stop()


def write_job(folder: Path, **content: object) -> Path:
    """A job for one actor over `photos/` and `art/` beside it, with lossless pictures; `content` comes over it."""
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "corpus": "photos",
        "styles": "art",
        "output": "out",
        "images": {"size": 64, "codec": "png"},
        "scores": {"clip": "none"},
        "resources": {"actors": 1, "gpus_per_actor": 0},
        "max_failed": 0.0,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump({**job, **content}))
    return path


def read_images(root: Path) -> dict[Pair, bytes]:
    """The picture of every record of a dataset; no pair may come twice."""
    found: dict[Pair, bytes] = {}
    for path in sorted((root / "data").glob("*.parquet")):
        for row in pq.read_table(path, columns=["content_id", "style", "image"]).to_pylist():
            pair = (row["content_id"], row["style"])
            assert pair not in found, f"{pair} is there twice"
            found[pair] = row["image"]["bytes"]
    return found


def wait_for(condition: Callable[[], object], process: subprocess.Popen[Any]) -> None:
    """Wait for what a process will do; fail with what it said where it ends without."""
    end = time.monotonic() + RUN_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@dataclass(frozen=True)
class S3:
    """An S3 server in a process of its own, with one bucket."""

    endpoint: str
    bucket: str
    client: Any

    def put(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                self.client.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())

    def objects(self) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}


SECRETS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLEATELIER", "AWS_SECRET_ACCESS_KEY": "wJalrEXAMPLEatelierSECRET"}


@pytest.fixture(scope="module")
def s3_server(atelier: Atelier) -> Iterator[S3]:
    import boto3

    server = start_server(MOTO)
    try:
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=SECRETS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=SECRETS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket="atelier-test")
        atelier.environment.update(SECRETS, AWS_ENDPOINT_URL=server.url, AWS_DEFAULT_REGION="us-east-1")
        yield S3(server.url, "atelier-test", client)
    finally:
        server.stop()
