"""For every test: this repository's own code, nothing phones home, and an S3 server over a real socket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

# Before anything is imported that would read them.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}

import fsspec
import pytest

import tasks

assert Path(tasks.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[1]), "another checkout's tasks"

# Files and folders whose tests take most of the time of those that start neither Ray nor Prefect.
HEAVY = (
    "chaos",
    "fuzz",
    "golden",
    "pipelines/test_models_command.py",
    "pipelines/test_regions.py",
    "pipelines/test_synthesize.py",
    "pipelines/test_verbs.py",
    "tasks/actors",
    "tasks/encoders",
    "tasks/losses",
    "tasks/methods",
    "tasks/training",
)

# Minutes each: CI runs them, `make test` does not. Of LONG_RUNS only those tests that start Ray or Prefect.
LONG = (
    "fuzz",
    "tasks/encoders/stylegan3/test_fused.py",
    "tasks/methods/clipstyler/test_optimize.py",
    "tasks/methods/inst/test_effects.py",
    "tasks/methods/mmist/test_paths.py",
    "tasks/training/test_training_runs.py",
)
LONG_RUNS = (
    "pipelines/test_clipstyler.py",
    "pipelines/test_corpora.py",
    "pipelines/test_inst.py",
    "pipelines/test_mmist.py",
    "pipelines/test_prompts.py",
    "pipelines/test_schedules.py",
    "pipelines/test_secrets.py",
    "pipelines/test_train_command.py",
    "pipelines/test_wikiart.py",
    "test_readme.py",
)

S3_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key-for-tests",
    "AWS_SECRET_ACCESS_KEY": "secret-for-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _lies_in(item.path, HEAVY):
            item.add_marker("heavy")
        is_a_run = any(item.get_closest_marker(name) for name in ("ray", "prefect"))
        if _lies_in(item.path, LONG) or (is_a_run and _lies_in(item.path, LONG_RUNS)):
            item.add_marker("long")


def _lies_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(Path(__file__).parent / place) for place in places)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A moto server on a free port; for the rest of the session, every S3 client finds it by the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    before = {name: os.environ.get(name) for name in (*S3_SETTINGS, "AWS_ENDPOINT_URL")}
    os.environ |= {**S3_SETTINGS, "AWS_ENDPOINT_URL": endpoint}
    yield endpoint
    server.stop()
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


@pytest.fixture
def s3(s3_endpoint: str) -> str:
    """URI of a fresh, empty bucket."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(bucket)
    return f"s3://{bucket}"
