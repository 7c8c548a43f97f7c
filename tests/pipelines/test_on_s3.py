"""Everything on object storage: corpus, styles, store and output, and no secret in any object."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.pipelines.conftest import S3, SECRETS, Atelier
from tests.tasks.actors.making import write_photographs, write_style_pictures

pytestmark = [pytest.mark.ray, pytest.mark.prefect]


def write_s3_job(folder: Path, bucket: str) -> Path:
    job = {
        "corpus": f"s3://{bucket}/photos",
        "styles": f"s3://{bucket}/art",
        "output": f"s3://{bucket}/datasets/first",
        "store": f"s3://{bucket}/representations",
        "images": {"size": 64},
        "scores": {"clip": "none"},
        "resources": {"actors": 1, "gpus_per_actor": 0},
        "shard_images": 4,
        "max_failed": 0.5,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def test_a_run_on_object_storage(atelier: Atelier, s3_server: S3, tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 6)
    (photos / "empty.jpg").write_bytes(b"")
    s3_server.put(photos, "photos")
    s3_server.put(write_style_pictures(tmp_path / "art"), "art")
    job = write_s3_job(tmp_path, s3_server.bucket)

    outcome = atelier("run", job, "--json")
    assert outcome.code == 0, outcome.stderr
    assert (outcome.data["records"], outcome.data["failed"]) == (12, 2)
    objects = s3_server.objects()
    shards = [key for key in objects if key.startswith("datasets/first/data/")]
    rows = [row for key in shards for row in pq.read_table(BytesIO(objects[key])).to_pylist()]
    assert len({(row["content_id"], row["style"]) for row in rows}) == len(rows) == 12
    assert {row["content_uri"] for row in rows} == {f"s3://atelier-test/photos/p{i:02d}.jpg" for i in range(6)}
    assert len([key for key in objects if key.startswith("representations/adain/")]) == 2
    assert not any(key.startswith("datasets/first/representations") for key in objects)
    assert len([key for key in objects if key.startswith("datasets/first/failures/")]) == 1

    root = f"s3://{s3_server.bucket}/datasets/first"
    assert atelier("verify", root, "--json").data["whole"] is True
    again = atelier("run", job, "--json")
    assert (again.code, again.data["made"]) == (0, 0)
    assert json.loads(objects["datasets/first/dataset.json"])["seed"] == 0
    hidden = [*SECRETS.values(), s3_server.endpoint, s3_server.endpoint.removeprefix("http://")]
    assert [(key, secret) for key, data in objects.items() for secret in hidden if secret.encode() in data] == []
    assert not any(secret in outcome.stdout + outcome.stderr for secret in SECRETS.values())
