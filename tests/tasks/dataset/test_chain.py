"""The chain of plans: what is wanted is planned once, whoever asks, whatever is given up or fails."""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.chain import abandon_plans, plan_retry, plan_wanted
from tasks.dataset.footer import KEY, pack_failures, read_footer
from tasks.dataset.ledger import Ledger, tombstone
from tasks.dataset.sink import AbandonedError
from tasks.dataset.verify import verify
from tasks.dataset.writing import open_writer
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.tasks.dataset.making import (
    commit_shard,
    finish,
    names_of,
    pairs_of,
    plan,
    plan_something,
    read_shard,
    recorded,
    styles,
    wanted,
    write_photos,
)

BOTH = styles("wave", "ink")


def retry(folder: Folder, images: int = 3) -> set[tuple[str, str]] | None:
    """Pairs of the retry plan that is made now, by content and style name."""
    made = plan_retry(folder, lambda _: ShardSize(images=images))
    return None if made is None else names_of(pairs_of(folder, made), made.styles)


def test_nothing_wanted_plans_nothing_and_asks_for_no_size(dataset: Folder, photos: Path) -> None:
    def size() -> ShardSize:
        raise AssertionError("asked for a size")

    assert plan_wanted(dataset, wanted(photos, BOTH), size) is None


def test_one_more_style_plans_that_style_only(dataset: Folder, photos: Path) -> None:
    more = styles("wave", "ink", "mosaic")
    made = plan_something(dataset, wanted(photos, more))
    pairs = pairs_of(dataset, made)
    assert names_of(pairs, more) == {(f"{i:03d}.jpg", "mosaic") for i in range(7)}
    assert len(pairs) == made.pairs == 7


def test_ten_more_contents_plan_those_only(dataset: Folder, photos: Path) -> None:
    write_photos(photos, range(7, 17))
    made = plan_something(dataset, wanted(photos, BOTH))
    pairs = pairs_of(dataset, made)
    assert {content for content, _, _ in pairs} == {f"{i:03d}.jpg" for i in range(7, 17)}
    assert len(pairs) == len(set(pairs)) == made.pairs == 20


def test_a_corpus_may_move(dataset: Folder, photos: Path, tmp_path: Path) -> None:
    shutil.move(photos, tmp_path / "elsewhere")
    assert plan(dataset, wanted(tmp_path / "elsewhere", BOTH)) is None


def test_a_changed_content_is_refused_kept_or_planned_as_the_job_says(dataset: Folder, photos: Path) -> None:
    (photos / "001.jpg").write_bytes(b"another picture")
    with pytest.raises(RequestError, match=r"001\.jpg has changed"):
        plan(dataset, wanted(photos, BOTH))
    assert plan(dataset, wanted(photos, BOTH, on_change="keep")) is None
    made = plan_something(dataset, wanted(photos, BOTH, on_change="version"))
    assert names_of(pairs_of(dataset, made), BOTH) == {("001.jpg", "wave"), ("001.jpg", "ink")}
    finish(dataset)
    assert verify(dataset).is_whole
    assert plan(dataset, wanted(photos, BOTH)) is None


def test_two_drivers_that_plan_at_once_never_plan_a_pair_twice(photos: Path, folder: Folder) -> None:
    jobs = [styles("wave", "ink"), styles("ink", "mosaic"), styles("mosaic", "wave"), styles("wave", "dots")]
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: plan(folder, wanted(photos, job)), jobs))
    chain = Ledger(folder).chain
    pairs = [pair for one in chain for pair in pairs_of(folder, one)]
    assert len(pairs) == len(set(pairs)) == 7 * 4
    assert [one.seq for one in chain] == list(range(1, len(chain) + 1))


def test_an_abandoned_plan_keeps_what_it_committed_and_frees_the_rest(photos: Path, folder: Folder) -> None:
    first = plan_something(folder, wanted(photos, BOTH))
    commit_shard(folder, first, 1, failing={"004.jpg"})
    assert abandon_plans(folder) == [1]
    assert abandon_plans(folder) == []
    found = verify(folder)
    assert (found.records, found.failed, found.open_shards, found.problems) == (4, 2, 0, [])
    second = plan_something(folder, wanted(photos, BOTH))
    assert {content for content, _, _ in pairs_of(folder, second)} == {f"{i:03d}.jpg" for i in (0, 1, 2, 6)}
    finish(folder)
    found = verify(folder)
    assert (found.records, found.failed, found.is_whole) == (12, 2, True)
    assert len(recorded(folder)) == len(set(recorded(folder))) == 12


def test_a_late_commit_of_an_abandoned_plan_cannot_land(photos: Path, folder: Folder) -> None:
    first = plan_something(folder, wanted(photos, BOTH))
    abandon_plans(folder)
    for shard in range(first.shards):
        with pytest.raises(AbandonedError):
            commit_shard(folder, first, shard, failing={"000.jpg"})
    # Nor one that had looked for the tombstone before there was one.
    folder.delete(tombstone(1))
    with pytest.raises(AbandonedError):
        commit_shard(folder, first, 0, failing={"000.jpg"})
    assert recorded(folder) == []
    assert folder.list("failures") == {}


def test_an_abandoning_that_was_killed_is_seen_and_finished(photos: Path, folder: Folder) -> None:
    first = plan_something(folder, wanted(photos, BOTH))
    folder.publish(tombstone(1), b"{}")
    assert len(verify(folder).problems) == first.shards
    assert "abandon" in verify(folder).problems[0]
    assert abandon_plans(folder) == [1]
    assert verify(folder).is_whole


def test_a_name_of_an_abandoned_plan_is_free_unless_it_has_records(photos: Path, folder: Folder) -> None:
    first = plan_something(folder, wanted(photos, BOTH))
    abandon_plans(folder)
    redrawn = (BOTH[0].model_copy(update={"digest": "f" * 32}), BOTH[1])
    second = plan_something(folder, wanted(photos, redrawn))
    assert second.pairs == first.pairs
    commit_shard(folder, second, 0)
    abandon_plans(folder)
    with pytest.raises(RequestError, match="'wave' is in the dataset with other"):
        plan(folder, wanted(photos, BOTH))


def test_a_retry_plans_the_failed_pairs_and_no_others(dataset: Folder) -> None:
    assert retry(dataset) == {("003.jpg", "wave"), ("003.jpg", "ink")}
    finish(dataset)
    found = verify(dataset)
    assert (found.records, found.failed, found.is_whole) == (14, 0, True)
    assert retry(dataset) is None


def test_a_pair_that_fails_again_counts_once(dataset: Folder) -> None:
    for _ in range(3):
        assert retry(dataset) == {("003.jpg", "wave"), ("003.jpg", "ink")}
        finish(dataset, failing={"003.jpg"})
        found = verify(dataset)
        assert (found.records, found.failed, found.is_whole) == (12, 2, True)
        assert sum(table.num_rows for table in Ledger(dataset).failures()) == 2


def test_one_retry_takes_up_the_failures_of_every_night(dataset: Folder, photos: Path) -> None:
    write_photos(photos, range(7, 10))
    plan_something(dataset, wanted(photos, BOTH))
    finish(dataset, failing={"008.jpg"})
    assert retry(dataset) == {(c, s) for c in ("003.jpg", "008.jpg") for s in ("wave", "ink")}


def test_failures_of_another_corpus_come_with_the_next_retry(dataset: Folder, tmp_path: Path) -> None:
    write_photos(tmp_path / "more", range(20, 22))
    plan_something(dataset, wanted(tmp_path / "more", BOTH))
    finish(dataset, failing={"021.jpg"})
    assert {content for content, _ in retry(dataset) or ()} == {"003.jpg"}
    finish(dataset, failing={"003.jpg"})
    assert {content for content, _ in retry(dataset) or ()} == {"021.jpg"}


def test_a_failure_stands_until_its_retry_is_committed(dataset: Folder) -> None:
    retry(dataset)
    assert sum(table.num_rows for table in Ledger(dataset).failures()) == verify(dataset).failed == 2
    with pytest.raises(RequestError, match="open plan"):
        retry(dataset)
    abandon_plans(dataset)
    assert verify(dataset).is_whole
    assert retry(dataset) == {("003.jpg", "wave"), ("003.jpg", "ink")}


def test_failed_rows_of_a_table_are_retried_row_by_row(folder: Folder, tmp_path: Path) -> None:
    table = pa.table({"picture": pa.array([b"%d" % i for i in range(10)]), "label": list(range(10))})
    (tmp_path / "tables").mkdir()
    pq.write_table(table, tmp_path / "tables/a.parquet", row_group_size=5)
    plan_something(folder, wanted(tmp_path / "tables", BOTH), images=4)
    finish(folder, failing={"a.parquet#3", "a.parquet#7"})
    assert retry(folder, images=1) == {(f"a.parquet#{row}", s) for row in (3, 7) for s in ("wave", "ink")}
    finish(folder, failing={"a.parquet#7"})
    found = verify(folder)
    assert (found.records, found.failed, found.is_whole) == (18, 2, True)


def test_a_size_of_two_images_makes_shards_of_two(photos: Path, folder: Folder) -> None:
    assert plan_something(folder, wanted(photos, BOTH), images=2).shards == 4


def test_a_retry_of_no_dataset_plans_nothing(folder: Folder) -> None:
    assert retry(folder) is None


def test_a_retry_may_be_of_some_reasons_only(dataset: Folder) -> None:
    def size(_: object) -> ShardSize:
        return ShardSize()

    with pytest.raises(RequestError, match="No pair failed for the reason 'tired', only for: truncated"):
        plan_retry(dataset, size, frozenset({"tired", "truncated"}))
    assert len(Ledger(dataset).chain) == 1
    made = plan_retry(dataset, size, frozenset({"truncated"}))
    assert made is not None
    assert made.pairs == 2


def test_a_retry_leaves_failures_of_other_reasons(dataset: Folder) -> None:
    name = "data/00001-00001.parquet"
    footer, _ = read_footer(dataset, name)
    assert footer is not None
    failures = footer.failure_table()
    assert failures is not None
    changed = failures.set_column(
        failures.schema.get_field_index("error_class"), "error_class", pa.array(["truncated", "process_died"])
    )
    rows = read_shard(dataset, 1, 1).replace_schema_metadata()
    sink = io.BytesIO()
    with open_writer(sink, rows.schema) as writer:
        writer.write_table(rows)
        told = footer.model_copy(update={"failures": pack_failures(changed)})
        writer.add_key_value_metadata({KEY.decode(): told.to_json()})
    dataset.publish(name, sink.getvalue(), create=False)
    made = plan_retry(dataset, lambda _: ShardSize(), frozenset({"process_died"}))
    assert made is not None
    assert names_of(pairs_of(dataset, made), BOTH) == {("003.jpg", changed["style"].to_pylist()[1])}


def test_one_of_several_open_plans_is_given_up(photos: Path, folder: Folder) -> None:
    plan_something(folder, wanted(photos, BOTH))
    write_photos(photos, [20])
    plan_something(folder, wanted(photos, BOTH))
    with pytest.raises(RequestError, match="Plan 3 is not open"):
        abandon_plans(folder, 3)
    assert abandon_plans(folder, 2) == [2]
    assert [one.seq for one in Ledger(folder).open_plans()] == [1]
    with pytest.raises(RequestError, match="Plan 2 is not open"):
        abandon_plans(folder, 2)
