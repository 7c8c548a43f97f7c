"""Orphans are found by what nobody needs, old enough, and data is never among them."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest

from pipelines.takedown_commands import parse_age
from tasks.dataset.gc import Orphan, delete_orphans, find_orphans
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.records import RequestError
from tasks.storage import Folder
from tests.tasks.dataset.making import finish, plan_something, styles, wanted

BOTH = styles("wave", "ink")
ORPHANS = {
    ".atelier-probe-1": "a write that was cut off",
    "data/.tmp-2": "a write that was cut off",
    "failures/00009-00000.parquet": "failures of a shard that no plan has",
    "plans/00002/pieces-0123456789abcdef.parquet": "pieces of a plan that was never made",
    "representations/adain/unused.safetensors": "no plan uses it",
    "representations/adain/unused.lease": "a lease that ran out",
    "representations/pictures/0123": "no plan uses it",
    "reports/00001/index.html": "a report older than the last 2",
}
KEPT = ["data/00009-00000.parquet", "notes.txt", "reports/00002/index.html", "reports/00003/index.html"]


def litter(folder: Folder) -> set[str]:
    """Leave orphans, and what looks like them; gives all names but the dataset's own."""
    used = [f"representations/adain/{style.representation}.safetensors" for style in BOTH]
    for name in (*ORPHANS, *KEPT, *used):
        folder.publish(name, b"12345")
    return {*KEPT, *used}


def find(folder: Folder, age: timedelta = timedelta(0)) -> list[Orphan]:
    return find_orphans(Ledger(folder), age, keep_reports=2)


def test_orphans_are_found_with_their_reasons_and_deleted(dataset: Folder) -> None:
    before = set(dataset.list(""))
    kept = litter(dataset)
    time.sleep(0.02)
    orphans = find(dataset)
    assert {one.name: one.why for one in orphans} == ORPHANS
    assert {one.bytes for one in orphans} == {5}
    delete_orphans(dataset, orphans)
    assert set(dataset.describe("", temporary=True)) == before | kept
    assert find(dataset) == []


def test_what_is_young_may_be_at_work(dataset: Folder) -> None:
    litter(dataset)
    old = Path(dataset.path) / "data/.tmp-2"
    os.utime(old, (time.time() - 7200,) * 2)
    assert [one.name for one in find(dataset, timedelta(hours=1))] == ["data/.tmp-2"]


def test_an_open_shards_failures_stay_for_it_writes_them_first(photos: Path, folder: Folder) -> None:
    plan_something(folder, wanted(photos, BOTH))
    folder.publish("failures/00001-00002.parquet", b"written, not yet committed")
    assert find(folder) == []


def test_on_s3_an_upload_that_was_never_completed_is_given_up(photos: Path, s3: str) -> None:
    folder = Folder(f"{s3}/out")
    plan_something(folder, wanted(photos, BOTH))
    finish(folder)
    kept = litter(folder)
    client = fsspec.filesystem("s3", use_listings_cache=False)
    bucket = s3.removeprefix("s3://")
    for key in ("out/data/torn.parquet", "other/data/torn.parquet"):
        client.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    time.sleep(1.1)  # times on S3 are whole seconds
    orphans = find(folder)
    upload = Orphan("data/torn.parquet", 0, orphans[-1].modified, "an upload that was never completed")
    assert {one.name: one.why for one in orphans} == ORPHANS | {upload.name: upload.why}
    delete_orphans(folder, orphans)
    assert kept <= set(folder.list(""))
    assert find(folder) == []
    left = client.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["other/data/torn.parquet"]
    assert not [problem for problem in verify(folder).problems if "00009" not in problem]


def test_ages_are_read_and_others_refused() -> None:
    assert parse_age("90m") == timedelta(minutes=90)
    assert parse_age("2w") == timedelta(days=14)
    for text in ("1", "d", "-1d", "1 d", "1d2h", ""):
        with pytest.raises(RequestError, match="is no age"):
            parse_age(text)
