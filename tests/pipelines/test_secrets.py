"""Secrets planted in the environment: after a run nobody finds them, wherever something was written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.pipelines.conftest import S3, SECRETS, Atelier
from tests.tasks.actors.making import write_photographs, write_style_pictures

PLANTED = {
    **SECRETS,
    "AWS_SESSION_TOKEN": "planted-session-token-0001",
    "HF_TOKEN": "hf_plantedHubToken0002",
    "DB_PASSWORD": "planted-database-password-0003",
}
URI = "planted-in-a-uri-0004"


@pytest.fixture
def watched(tmp_path: Path, s3_server: S3) -> Iterator[tuple[Atelier, Path]]:
    """The command line with secrets in its environment, Prefect's files and Ray's logs where they can be read."""
    ray = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets lie in it
    prefect = tmp_path / "prefect"
    atelier = Atelier(prefect)
    places = {"RAY_TMPDIR": str(ray), "AWS_ENDPOINT_URL": s3_server.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    atelier.environment.update(PLANTED, **places, BUCKET=s3_server.bucket)
    yield atelier, ray
    shutil.rmtree(ray)


def write_job(folder: Path, **content: object) -> Path:
    job = {
        "corpus": "s3://${BUCKET}/secret-photos",
        "styles": "s3://${BUCKET}/secret-art",
        "output": "s3://${BUCKET}/secret-free",
        "images": {"size": 64},
        "scores": {"clip": "none"},
        "resources": {"actors": 1, "gpus_per_actor": 0},
        "max_failed": 1.0,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job | content))
    return path


def find(secrets: dict[str, str], files: dict[str, bytes]) -> list[tuple[str, str]]:
    return [(place, name) for place, data in files.items() for name, value in secrets.items() if value.encode() in data]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def prefect_parameters(home: Path) -> str:
    """What Prefect's API tells of the runs."""
    with sqlite3.connect(home / "prefect.db") as database:
        return str(database.execute("select name, parameters from flow_run").fetchall())


@pytest.mark.ray
@pytest.mark.prefect
def test_a_run_writes_no_secret_down(watched: tuple[Atelier, Path], s3_server: S3, tmp_path: Path) -> None:
    atelier, ray = watched
    photos = write_photographs(tmp_path / "photos", 3)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    s3_server.put(photos, "secret-photos")
    s3_server.put(write_style_pictures(tmp_path / "art"), "secret-art")

    done = atelier("run", write_job(tmp_path), "--json")
    assert done.code == 0, done.stderr
    assert (done.data["records"], done.data["failed"]) == (6, 2)
    told = prefect_parameters(tmp_path / "prefect")
    assert f"s3://{s3_server.bucket}/secret-free" in told  # the job is there, and so would its secrets be

    objects = {key: data for key, data in s3_server.objects().items() if key.startswith("secret-free/")}
    assert {key.split("/")[1] for key in objects} >= {"dataset.json", "plans", "data", "failures", "reports"}
    logs, prefect = files_below(ray), files_below(tmp_path / "prefect")
    assert len(logs) > 5
    assert len(prefect) >= 1
    said = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode(), "parameters": told.encode()}
    assert find(PLANTED, {**objects, **logs, **prefect, **said}) == []


@pytest.mark.prefect
@pytest.mark.parametrize(
    "content",
    [
        {"corpus": "s3://me:${DB_PASSWORD}@${BUCKET}/photos"},
        {"corpus": f"s3://me:{URI}@bucket/photos"},
        {"output": f"https://example.com/out?X-Amz-Signature={URI}"},
        {"store": f"simplecache::https://example.com/out?token={URI}"},
        {"method": {"name": "adain", "weights": f"https://{URI}@example.com/w.safetensors"}},
        {"styles": [{"name": "a", "references": [{"image": f"https://example.com/a.jpg?api_key={URI}"}]}]},
        {"styles": [{"name": "a", "references": [{"text": "in the manner of ${HF_TOKEN}"}]}]},
        {"styles": [{"name": PLANTED["DB_PASSWORD"], "references": [{"image": "a.jpg"}]}]},
        {"scores": {"clip": PLANTED["AWS_SECRET_ACCESS_KEY"]}},
    ],
)
def test_a_job_that_would_write_one_down_is_refused_without_it(
    content: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.job import load_job
    from tasks.records import RequestError

    for name, value in {**PLANTED, "BUCKET": "bucket"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="finds its credentials in the environment by itself") as caught:
        load_job(write_job(tmp_path, **content))
    assert find({**PLANTED, "URI": URI}, {"sentence": str(caught.value).encode()}) == []


@pytest.mark.prefect
def test_a_store_that_cannot_be_reached_tells_no_secret(watched: tuple[Atelier, Path], tmp_path: Path) -> None:
    atelier, _ = watched
    atelier.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"  # nobody listens there
    done = atelier("run", write_job(tmp_path))
    assert done.code == 2
    assert "credentials and endpoint in the environment" in done.stderr
    assert find(PLANTED, {"stderr": done.stderr.encode(), "stdout": done.stdout.encode()}) == []
