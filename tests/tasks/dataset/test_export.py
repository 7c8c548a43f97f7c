"""An export holds every record once, completes after any interruption, and a compacted dataset is a dataset."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.dataset import writing
from tasks.dataset.chain import plan_retry
from tasks.dataset.export import ExportRequest, Format, PartDone, export
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.ledger import Ledger, pair_rows
from tasks.dataset.verify import verify
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.tasks.dataset.exporting import (
    BOTH,
    LAYOUTS,
    MORE,
    exporter,
    rows_of,
    run,
    standing_failures,
)
from tests.tasks.dataset.making import commit_shard, finish, plan, plan_something, wanted


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_a_compacted_dataset_holds_and_owns_the_same(
    busy: Folder, weeks: Path, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    target = Folder(str(tmp_path / "new") if place == "disk" else f"{request.getfixturevalue('s3')}/new")
    done = run(busy, target, "parquet")
    before, after = Ledger(busy), Ledger(target)
    assert done.records == len(rows_of(busy)) == verify(busy).records
    assert rows_of(target) == rows_of(busy)
    assert (
        standing_failures(target)
        == standing_failures(busy)
        == Counter({pair: 1 for table in before.failures() for pair in pair_rows(table)})
    )
    found = verify(target)
    assert (found.problems, found.open_shards, found.records) == ([], 0, done.records)
    assert [one.kind for one in after.chain] == ["wanted", "wanted", "retry", "retry"]
    # Of photographs in both styles, in mosaic, in all three; of tables; of retries in all three, in both, in all three.
    assert len(target.list("data")) == 7 < len(before.data)
    photos = weeks / "photos"
    assert plan(target, wanted(photos, MORE)) is not None  # what had been given up, as in the old one
    assert plan(busy, wanted(photos, MORE)) is not None
    latest = (Ledger(one).chain[-1] for one in (busy, target))
    assert len({one.pairs for one in latest}) == 1


def test_a_run_of_the_same_job_has_nothing_to_do(dataset: Folder, photos: Path, tmp_path: Path) -> None:
    target = Folder(str(tmp_path / "new"))
    assert run(dataset, target, "parquet").records == 12
    assert plan(target, wanted(photos, BOTH)) is None
    retried = plan_retry(target, lambda _: ShardSize())
    assert retried is not None
    assert retried.pairs == 2
    finish(target)
    assert verify(target).records == 14


def test_rows_of_a_compacted_shard_are_by_style_in_bounded_row_groups(
    busy: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 100)
    target = Folder(str(tmp_path / "new"))
    run(busy, target, "parquet")
    table = pq.ParquetFile(io.BytesIO(target.read("data/00001-00000.parquet")))
    names = table.read()["style"].to_pylist()
    assert names == ["wave"] * names.count("wave") + ["ink"] * names.count("ink")
    pictures = [
        table.read_row_group(group, columns=["image"])["image"].to_pylist() for group in range(table.num_row_groups)
    ]
    assert len(pictures) > 3
    assert all(100 <= sum(len(one["bytes"]) for one in group) < 150 for group in pictures[:-1])
    assert json.loads(table.schema_arrow.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}


def test_objects_are_bounded_by_bytes(busy: Folder, tmp_path: Path) -> None:
    sizes = Ledger(busy).data.values()
    limit = 2 * max(sizes)
    target = Folder(str(tmp_path / "new"))
    done = run(busy, target, "parquet", size=limit)
    assert 7 < done.objects < len(sizes)
    frozen = json.loads(target.read(".atelier-export/export.json"))
    for part in frozen["parts"]:
        assert sum(busy.list("data")[f"data/{seq:05d}-{shard:05d}.parquet"] for seq, shard in part) <= limit
    assert verify(target).problems == []


class Killed(BaseException):
    """The process ends here."""


@LAYOUTS
@pytest.mark.parametrize("after", [0, 1, 4])
def test_killed_and_run_again_it_completes_and_redoes_nothing(
    busy: Folder, tmp_path: Path, layout: Format, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.dataset.export.WORKERS", 1)
    whole, target = Folder(str(tmp_path / "whole")), Folder(str(tmp_path / "new"))
    request = ExportRequest(format=layout, object_bytes=60_000)
    expected = export(Ledger(busy), whole, request, exporter(busy, whole, request))
    dying = exporter(busy, target, request)
    make, left = dying.make, after

    def make_some(number: int, shards: Any) -> PartDone:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return make(number, shards)

    monkeypatch.setattr(dying, "make", make_some)
    with pytest.raises(Killed):
        export(Ledger(busy), target, request, dying)
    written = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "new").rglob("*") if path.suffix in (".tar", ".jpg")
    }
    written |= {path: path.stat().st_mtime_ns for path in (tmp_path / "new/data").rglob("*.parquet")}
    assert bool(written) == bool(after)
    done = export(Ledger(busy), target, request, exporter(busy, target, request))
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    assert (done.records, done.objects, done.bytes) == (expected.records, expected.objects, expected.bytes)
    assert done.made == expected.made - len(written)
    assert set(target.list("")) == set(whole.list(""))
    again = export(Ledger(busy), target, request, exporter(busy, target, request))
    assert (again.made, again.records) == (0, expected.records)
    if layout == "parquet":
        assert rows_of(target) == rows_of(whole)
    else:
        assert all(target.read(name) == whole.read(name) for name in target.list(""))


@LAYOUTS
def test_something_else_at_the_target_is_refused(dataset: Folder, tmp_path: Path, layout: Format) -> None:
    target = Folder(str(tmp_path / "new"))
    run(dataset, target, layout)
    with pytest.raises(RequestError, match="an export of something else"):
        run(dataset, target, layout, styles=("ink",))
    with pytest.raises(RequestError, match="There is something at"):
        run(dataset, dataset, layout)
    other = Folder(str(tmp_path / "other"))
    other.publish("mine.txt", b"mine")
    with pytest.raises(RequestError, match="There is something at"):
        run(dataset, other, layout)
    assert list(other.list("")) == ["mine.txt"]


@LAYOUTS
def test_what_is_not_committed_is_left_out_and_counted(
    photos: Path, folder: Folder, tmp_path: Path, layout: Format
) -> None:
    made = plan_something(folder, wanted(photos, BOTH))
    target = Folder(str(tmp_path / "new"))
    with pytest.raises(RequestError, match="nothing to export"):
        run(folder, target, layout)
    commit_shard(folder, made, 1)
    assert (run(folder, target, layout).records, run(folder, target, layout).left) == (6, 2)
    commit_shard(folder, made, 0)
    assert (run(folder, target, layout).records, run(folder, target, layout).left) == (6, 2)
    finish(folder)
    assert run(folder, target, layout).left == 2


@LAYOUTS
def test_a_damaged_shard_is_named_and_not_left_out(dataset: Folder, tmp_path: Path, layout: Format) -> None:
    dataset.publish("data/00001-00001.parquet", dataset.read("data/00001-00000.parquet"), create=False)
    target = Folder(str(tmp_path / "new"))
    with pytest.raises(RequestError, match=r"data/00001-00001\.parquet is not the shard that was planned"):
        run(dataset, target, layout)
    assert target.list("") == {}


def test_a_disk_on_which_two_names_are_one_loses_no_picture(dataset: Folder, tmp_path: Path) -> None:
    target = Folder(str(tmp_path / "new"))
    request = ExportRequest(format="imagefolder", object_bytes=10**9)
    making = exporter(dataset, target, request)
    target.publish("wave/000.jpg", b"another picture")
    with pytest.raises(RequestError, match=r"wave/000\.jpg is another record's"):
        making.make(0, [(1, 0)])


@LAYOUTS
def test_one_style_alone(busy: Folder, tmp_path: Path, layout: Format) -> None:
    target = Folder(str(tmp_path / "new"))
    expected = [row for row in rows_of(busy) if row["style"] == "mosaic"]
    assert run(busy, target, layout, styles=("mosaic",)).records == len(expected) > 10
    if layout == "parquet":
        assert rows_of(target) == expected
        assert verify(target).is_whole
    with pytest.raises(RequestError, match="no style 'mosaik'"):
        run(busy, Folder(str(tmp_path / "wrong")), layout, styles=("mosaik",))


def test_a_takedown_while_it_is_exported_reaches_the_new_dataset(dataset: Folder, tmp_path: Path) -> None:
    target = Folder(str(tmp_path / "new"))
    run(dataset, target, "parquet")
    carry_out(dataset, find_takedown(Ledger(dataset), ("001.jpg",), ()))
    run(dataset, target, "parquet")
    assert "run `atelier forget` again" in verify(target).problems[0]
    carry_out(target, find_takedown(Ledger(target), (), ()))
    assert verify(target).is_whole
    assert rows_of(target) == rows_of(dataset)
