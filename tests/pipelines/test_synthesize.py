"""Training data from end to end: drawn on object storage by the command, then trained on from there."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tasks.corpus.settings import CorpusSettings
from tasks.images.settings import ImageSettings
from tests.pipelines.conftest import S3, Atelier
from tests.tasks.actors.making import encoded, photograph
from tests.tasks.actors.synthesis import Synthesis

SIDE = 48


def write_shapes(folder: Path, split: str, count: int) -> None:
    """Two classes that a small network tells apart in any style: a wide bar and a tall one."""
    for label, box in (("bar", (4, 18, 44, 30)), ("pole", (18, 4, 30, 44))):
        (folder / split / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = photograph(SIDE, SIDE, number)
            picture.paste(Image.new("RGB", (box[2] - box[0], box[3] - box[1]), "white"), box[:2])
            (folder / split / label / f"{number:02d}.jpg").write_bytes(encoded(picture, quality=95))


def write_bank(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in range(20):
        photograph(40, 40, 300 + number).save(folder / f"{number:02d}.png")
    return folder


def write_job(folder: Path, bucket: str, **draw: object) -> Path:
    job = {
        "corpus": {"uri": f"s3://{bucket}/shapes", "labels": "folder"},
        "styles": f"s3://{bucket}/bank",
        "output": f"s3://{bucket}/drawn",
        "store": f"s3://{bucket}/representations",
        "draw": {"styles": 1, "strength": [0.5, 1.0], "split": {"parts": {"train": 3, "test": 1}}, **draw},
        "images": {"size": SIDE},
        "scores": {"clip": "embedded:clip-small"},
        "resources": {"actors": 1, "gpus_per_actor": 0},
        "shard_images": 16,
        "max_failed": 0.0,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


@pytest.fixture(scope="module")
def job(s3_server: S3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job over 32 shapes and a bank of 20, all on object storage."""
    folder = tmp_path_factory.mktemp("synthesize")
    write_shapes(folder / "shapes", "train", 12)
    write_shapes(folder / "shapes", "test", 4)
    s3_server.put(folder / "shapes", "shapes")
    s3_server.put(write_bank(folder / "art"), "bank")
    return write_job(folder, s3_server.bucket)


@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(900)
def test_a_corpus_is_drawn_on_object_storage(atelier: Atelier, s3_server: S3, job: Path) -> None:
    atelier.environment["XDG_CACHE_HOME"] = str(job.parent / "cache")
    refused = atelier("run", job)
    assert refused.code == 2
    assert "run it with `atelier synthesize`" in refused.stderr
    made = atelier("synthesize", job, "--json")
    assert made.code == 0, made.stderr
    assert (made.data["records"], made.data["failed"], made.data["represented"]) == (32, 0, 20)
    assert atelier("verify", f"s3://{s3_server.bucket}/drawn", "--json").data["whole"] is True
    objects = s3_server.objects()
    shards = [key for key in objects if key.startswith("drawn/data/")]
    rows = [row for key in shards for row in pq.read_table(BytesIO(objects[key])).to_pylist()]
    assert all(row["content_id"].split("/")[1] == row["label"] for row in rows)
    assert all(row["clip_image"] is not None for row in rows)
    assert len(list((job.parent / "cache/atelier/banks").glob("*.arrow"))) == 1, "one copy on this node"
    assert json.loads(objects["drawn/datacard.json"])["splits"] == {"test": 8, "train": 24}
    assert b"| train | bar | 12 |" in objects["drawn/README.md"]
    again = atelier("synthesize", job, "--json")
    assert (again.code, again.data["made"], again.data["represented"]) == (0, 0, 0), again.stderr
    name = rows[0]["style"]
    taken = atelier("forget", f"s3://{s3_server.bucket}/drawn", "--style", name, "--yes", "--json")
    assert taken.data["records"] == sum(row["style"] == name for row in rows), taken.stderr
    assert atelier("verify", f"s3://{s3_server.bucket}/drawn", "--json").data["forgotten"] == taken.data["records"]
    assert json.loads(s3_server.objects()["drawn/datacard.json"])["records"] == 32 - taken.data["records"]


@pytest.mark.timeout(600)
def test_the_example_trains_on_object_storage(s3: str, tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", "train", 12)
    write_shapes(tmp_path / "shapes", "test", 6)
    art = write_bank(tmp_path / "art")
    corpus = CorpusSettings(uri=str(tmp_path / "shapes"), labels="folder")  # type: ignore[arg-type]
    synthesis = Synthesis(f"{s3}/drawn", corpus, ImageSettings(size=SIDE))
    rows = synthesis.make(str(art), strength=[0.5, 1.0], split={"parts": {"train": 3, "test": 1}})
    assert len(rows) == 36
    words = [f"{s3}/drawn", "--part", "train", "--test-part", "test", "--steps", "60", "--batch", "12", "--side", "32"]
    trained = subprocess.run(
        [sys.executable, "-m", "infra.examples.train_on_stylized", *words, "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert trained.returncode == 0, trained.stderr
    first, last = (float(part.split()[0]) for part in trained.stdout.split("loss ")[1].split(" at first, "))
    assert last < 0.5 * first, trained.stdout
    right = float(trained.stdout.rsplit("%", 1)[0].rsplit("\n", 1)[-1])
    assert right >= 75, trained.stdout


def test_workers_share_the_records_out_and_epochs_change_their_order(tmp_path: Path) -> None:
    from itertools import islice

    import pyarrow as pa
    import torch

    from infra.examples.train_on_stylized import StylizedRecords, find_classes

    (tmp_path / "data").mkdir()
    for shard in range(3):
        rows = [
            {
                "image": {"bytes": encoded(Image.new("RGB", (4, 4), (10 * shard + n, 0, 0)), "png")},
                "label": "even" if n % 2 == 0 else "odd",
                "bank_part": "train" if n < 8 else "test",
            }
            for n in range(10)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"data/{shard}.parquet", row_group_size=3)
    assert find_classes(str(tmp_path), "label") == ["even", "odd"]

    def passes(workers: int, epochs: int | None = 1) -> list[tuple[int, int]]:
        records = StylizedRecords(str(tmp_path), "label", ["even", "odd"], "train", 4, epochs)
        loader = torch.utils.data.DataLoader(records, batch_size=None, num_workers=workers)
        return [(round(float(image[0, 0, 0]) * 255), int(label)) for image, label in islice(loader, 48)]

    first = passes(0)
    assert sorted(first) == [(10 * shard + n, n % 2) for shard in range(3) for n in range(8)]
    assert passes(0) == first
    assert sorted(passes(2)) == sorted(first)
    second = passes(0, None)[24:]
    assert second != first
    assert sorted(second) == sorted(first)
    assert len(passes(0, None)) == 48
