"""A dataset that weeks left, and exports of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.archives import ArchiveExporter
from tasks.dataset.chain import abandon_plans, plan_retry
from tasks.dataset.compact import CompactExporter
from tasks.dataset.export import Exported, Exporter, ExportRequest, Format, export
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.ledger import Ledger, pair_rows
from tasks.dataset.trees import TreeExporter
from tasks.dataset.verify import verify
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.tasks.dataset.making import commit_shard, finish, plan_something, styles, wanted, write_photos

BOTH = styles("wave", "ink")
MORE = styles("wave", "ink", "mosaic")
EXPORTERS = {"parquet": CompactExporter, "webdataset": ArchiveExporter, "imagefolder": TreeExporter}
LAYOUTS = pytest.mark.parametrize("layout", EXPORTERS)


def exporter(folder: Folder, target: Folder, request: ExportRequest) -> Exporter:
    made: Exporter = EXPORTERS[request.format](Ledger(folder), target, request)
    return made


def run(folder: Folder, target: Folder, layout: Format, size: int = 10**9, **options: Any) -> Exported:
    request = ExportRequest(format=layout, object_bytes=size, **options)
    return export(Ledger(folder), target, request, exporter(folder, target, request))


def write_tables(folder: Path) -> None:
    """Eight rows with class numbers, in two files."""
    folder.mkdir()
    features = {"kind": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "image": {"_type": "Image"}}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    for number in range(2):
        rows = {
            "image": pa.array([b"row %d" % row for row in range(4)], pa.binary()),
            "kind": pa.array([0, 1, 1, None], pa.int64()),
            "split": ["train", "train", "test", "test"],
            "mask": pa.array([b"\xff\x00"] * 4, pa.binary()),
        }
        pq.write_table(pa.table(rows).replace_schema_metadata(described), folder / f"{number}.parquet")


def make_weeks(tmp_path: Path) -> None:
    """In a folder, what weeks leave: nights, a new style, another corpus, a plan given up, retries, a takedown."""
    folder, photos = Folder(str(tmp_path / "out")), tmp_path / "photos"
    for night in range(3):
        write_photos(photos, range(5 * night, 5 * night + 5))
        plan_something(folder, wanted(photos, BOTH), images=2)
        finish(folder, failing={"003.jpg", "007.jpg"})
    plan_something(folder, wanted(photos, MORE), images=4)
    finish(folder, failing={"003.jpg"})
    write_tables(tmp_path / "tables")
    plan_something(folder, wanted(tmp_path / "tables", BOTH, image="image"), images=3)
    finish(folder)
    for failing in ({"003.jpg"}, set[str]()):
        assert plan_retry(folder, lambda _: ShardSize(images=1)) is not None
        finish(folder, failing)
    write_photos(photos, range(15, 22))
    given_up = plan_something(folder, wanted(photos, MORE), images=2)
    commit_shard(folder, given_up, 1, failing={"017.jpg"})
    abandon_plans(folder)
    carry_out(folder, find_takedown(Ledger(folder), ("001.jpg", "0.parquet#2"), ()))
    assert verify(folder).is_whole


def rows_of(folder: Folder) -> list[dict[str, Any]]:
    """Every record, without where it lies."""
    tables = [pq.read_table(io.BytesIO(folder.read(name))) for name in folder.list("data")]
    rows = [row for table in tables for row in table.to_pylist()]
    place = ("plan", "shard")
    return sorted(
        ({k: v for k, v in row.items() if k not in place} for row in rows),
        key=lambda row: (row["content_id"], row["content_version"], row["style"]),
    )


def standing_failures(folder: Folder) -> Counter[tuple[str, str, str]]:
    return Counter(pair for table in Ledger(folder).failures() for pair in pair_rows(table))
