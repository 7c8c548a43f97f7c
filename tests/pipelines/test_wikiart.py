"""A WikiArt table as the styles of a job: planned, run, resumed and reported, from disk and from object storage."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.pipelines.conftest import S3, Atelier, read_images, write_job
from tests.tasks.actors.making import write_photographs
from tests.tasks.labelled.making import GARBLED, write_shard, write_wikiart

pytestmark = [pytest.mark.ray, pytest.mark.prefect]

ARTISTS = ["boris-kustodiev", "camille-pissarro", "claude-monet", GARBLED, "vincent-van-gogh"]


def truncate_pictures(shard: Path) -> None:
    rows = pq.read_table(shard).to_pylist()
    for row in rows[::3]:
        row["image"]["bytes"] = row["image"]["bytes"][:300]
    write_shard(shard, rows, None)


def read_reference_images(plan: Path) -> set[str]:
    styles = json.loads(plan.read_text())["styles"]
    return {reference["image"] for style in styles for reference in style["references"]}


def test_a_job_takes_its_styles_from_wikiart(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    table = write_wikiart(tmp_path / "wikiart", described="infos")
    truncate_pictures(min(table.iterdir()))
    styles = {"table": "wikiart/data", "by": "artist", "pictures": 4}
    job = write_job(tmp_path, styles=styles, scores={"clip": "embedded:clip-small"})

    plan = atelier("plan", job, "--json")
    assert (plan.code, plan.data["records"]) == (0, 15), plan.stderr
    assert "5 styles of 20 pictures by artist: boris-kustodiev (" in plan.stderr
    assert "is no usable picture (the picture ends too early)" in plan.stderr

    run = atelier("run", job, "--json")
    assert (run.code, run.data["records"], run.data["failed"]) == (0, 15, 0), run.stderr
    assert {style for _, style in read_images(tmp_path / "out")} == set(ARTISTS)
    images = read_reference_images(tmp_path / "out/plans/00001/plan.json")
    assert len(images) == 20
    assert all(image.startswith(f"{table}/train-0000") and ".parquet#row=" in image for image in images)
    copied = list((tmp_path / "out/representations/pictures").iterdir())
    assert len(copied) >= 20 + plan.stderr.count("is no usable picture")
    scores = pq.read_table(tmp_path / "out/data", columns=["clip_image"])["clip_image"]
    assert scores.null_count == 0
    report = (tmp_path / "out/reports/00001/index.html").read_text()
    assert "claude-monet" in report
    assert all(image.rpartition("/")[2].partition("&")[0] in report for image in images)

    again = atelier("run", job, "--json")
    assert (again.code, again.data["made"]) == (0, 0), again.stderr
    more = atelier("run", write_job(tmp_path, styles=[styles, {**styles, "by": "style"}]), "--json")
    assert (more.code, more.data["made"]) == (0, 9), more.stderr
    assert atelier("verify", tmp_path / "out", "--json").data["whole"] is True


def test_a_class_that_is_not_there_is_refused_with_its_neighbours(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 1)
    write_wikiart(tmp_path / "wikiart")
    table = {"table": "wikiart/data", "by": "artist"}
    job = write_job(tmp_path, styles=[{**table, "min_pictures": 25}, {**table, "classes": ["Claude Monnet"]}])
    outcome = atelier("represent", job)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "left out for fewer than 25 pictures: " in outcome.stderr, "what is found is told while it is found"
    assert 'has no artist "Claude Monnet": did you mean "claude-monet"?' in outcome.stderr


@pytest.mark.slow
def test_wikiart_on_object_storage(atelier: Atelier, s3_server: S3, tmp_path: Path) -> None:
    s3_server.put(write_photographs(tmp_path / "photos", 2), "photos")
    write_wikiart(tmp_path / "wikiart", described="infos")
    s3_server.put(tmp_path / "wikiart", "wikiart")
    root = f"s3://{s3_server.bucket}"
    job = {
        "corpus": f"{root}/photos",
        "styles": {"table": f"{root}/wikiart/data", "by": "style", "where": {"genre": "landscape"}, "pictures": 2},
        "output": f"{root}/painted",
        "images": {"size": 64, "codec": "png"},
        "scores": {"clip": "none"},
        "resources": {"actors": 1, "gpus_per_actor": 0},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    run = atelier("run", tmp_path / "job.yaml", "--json")
    assert (run.code, run.data["records"]) == (0, 6), run.stderr
    shards = [data for key, data in s3_server.objects().items() if key.startswith("painted/data/")]
    styles = {row["style"] for data in shards for row in pq.read_table(BytesIO(data)).to_pylist()}
    assert styles == {"Impressionism", "Post_Impressionism", "Ukiyo_e"}
    again = atelier("run", tmp_path / "job.yaml", "--json")
    assert (again.code, again.data["made"]) == (0, 0), again.stderr
