"""What a job wants is found out cheapest first, and pictures of tables are read once for all who share a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.job import load_job
from pipelines.plan import find_nothing_to_do, prepare_wanted
from tasks.dataset.chain import plan_wanted
from tasks.labelled import rows
from tasks.methods.adain.settings import AdainSettings
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.pipelines.conftest import write_job
from tests.tasks.actors.making import write_photographs
from tests.tasks.labelled.making import watch_groups, write_shard, write_wikiart

TABLE = {"table": "wikiart/data", "by": "artist", "pictures": 3}
PICTURE = {"image": "wikiart/data/train-00000-of-00003.parquet#row=1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 2)
    write_wikiart(tmp_path / "wikiart")
    return tmp_path


def start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process knows of tables, as another process would not know it."""
    fresh = rows.RowReader()
    for module in ("labelled.draw", "labelled.labels", "labelled.rows", "styles", "preflight", "expansion"):
        monkeypatch.setattr(f"tasks.{module}.ROWS", fresh)
    monkeypatch.setattr("pipelines.plan.ROWS", fresh)


def no_corpus(folder: Path) -> dict[str, Any]:
    return {"corpus": "nowhere"}


def no_photographs(folder: Path) -> dict[str, Any]:
    (folder / "words").mkdir()
    (folder / "words" / "a.txt").write_text("words")
    return {"corpus": "words"}


def no_output(folder: Path) -> dict[str, Any]:
    (folder / "file").write_text("")
    return {"output": "file/out"}


def no_weights(folder: Path) -> dict[str, Any]:
    return {"method": {"name": "adain", "weights": "nowhere.safetensors"}}


def no_clip(folder: Path) -> dict[str, Any]:
    return {"scores": {"clip": "embedded:none-such"}}


def no_clip_for_texts(folder: Path) -> dict[str, Any]:
    method = {"name": "adain", "texts": {"clip": "local-dir:none-such"}}
    return {"styles": {**TABLE, "text": "by {class}", "method": method}}


def no_masks(folder: Path) -> dict[str, Any]:
    masked = {"name": "two", "references": [PICTURE, PICTURE], "regions": {"masks": "no-masks"}}
    return {"styles": [TABLE, masked]}


WRONG: dict[Callable[[Path], dict[str, Any]], str] = {
    no_corpus: "does not exist",
    no_photographs: r"has no pictures \(1 other files\)",
    no_output: "Nothing can be written",
    no_weights: "nowhere.safetensors",
    no_clip: "none-such",
    no_clip_for_texts: "none-such",
    no_masks: "no-masks does not exist",
}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_what_is_cheap_to_know_is_known_before_a_picture_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], dict[str, Any]]
) -> None:
    read = watch_groups(monkeypatch)
    job = load_job(write_job(folder, **{"styles": [TABLE], **make(folder)}))
    with pytest.raises(RequestError, match=WRONG[make]):
        find_nothing_to_do(job)
    assert read == []


def test_a_table_with_words_needs_a_method_that_takes_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdainSettings, "accepts_texts", False)
    read = watch_groups(monkeypatch)
    job = load_job(write_job(folder, styles={**TABLE, "text": "by {class}"}))
    with pytest.raises(RequestError, match=r"The table .*data has a text, and the method 'adain' takes pictures only"):
        prepare_wanted(job)
    assert read == []


def test_a_plan_keeps_no_copies_and_a_run_does_for_all_who_share_its_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard, *_) = sorted((folder / "wikiart/data").glob("*"))
    broken = rows.pq.read_table(shard).to_pylist()
    for row in broken[::2]:
        row["image"]["bytes"] = b"words"
    write_shard(shard, broken)
    read = watch_groups(monkeypatch)
    job = load_job(write_job(folder, styles=[TABLE], store="store"))
    start_anew(monkeypatch)
    wanted = prepare_wanted(job)
    groups = len(read)
    assert groups > 0
    assert not (folder / "store").exists()

    start_anew(monkeypatch)
    assert find_nothing_to_do(job) is None
    assert len(read) == 2 * groups
    assert len(Folder(job.store_uri).list("pictures")) > 15, "the broken ones, too"
    plan_wanted(Folder(job.output), wanted, lambda: ShardSize(2, 10**9))

    other = load_job(write_job(folder, styles=[TABLE], store="store", output="other"))
    for again in (job, other):
        start_anew(monkeypatch)
        assert prepare_wanted(again).styles == wanted.styles
    assert len(read) == 2 * groups
