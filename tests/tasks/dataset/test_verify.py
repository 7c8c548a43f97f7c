"""Verify finds each kind of damage and names the object that it is about."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.footer import KEY
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import Verification, verify
from tasks.plan import pieces_to_parquet
from tasks.records import RequestError
from tasks.storage import Folder
from tests.tasks.dataset.making import finish, plan_something, read_shard, styles, wanted, write_photos

FIRST, FAILED = "00001-00000.parquet", "00001-00001.parquet"


def rewrite(folder: Folder, name: str, table: pa.Table, **footer: object) -> None:
    """Replace a shard, its footer kept but for what is given."""
    metadata = pq.read_metadata(io.BytesIO(folder.read(name))).metadata
    text = json.dumps(json.loads(metadata[KEY]) | footer)
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: text}), sink)
    folder.publish(name, sink.getvalue(), create=False)


def problem(folder: Folder) -> str:
    """The one problem that there is."""
    found = verify(folder)
    assert not found.is_whole
    assert len(found.problems) == 1, found.problems
    return found.problems[0]


def test_an_undamaged_dataset_is_whole(dataset: Folder) -> None:
    assert verify(dataset) == Verification(records=12, failed=2, open_shards=0, problems=[])
    assert verify(dataset).is_whole


def test_a_deleted_shard_is_an_open_one(dataset: Folder) -> None:
    dataset.delete(f"data/{FIRST}")
    found = verify(dataset)
    assert (found.records, found.failed, found.open_shards, found.problems) == (6, 2, 1, [])
    assert not found.is_whole
    finish(dataset)
    assert verify(dataset).records == 12


def test_lost_rows_are_counted(dataset: Folder) -> None:
    rewrite(dataset, f"data/{FIRST}", read_shard(dataset, 1, 0).slice(2))
    problems = verify(dataset).problems
    assert f"data/{FIRST}: the footer says 6 records, the file has 4, its rows name 4" in problems
    assert f"data/{FIRST}: 2 pairs lost, for one 000.jpg" in problems
    assert len(problems) == 2


def test_a_doubled_row_is_found_even_where_the_counts_agree(dataset: Folder) -> None:
    table = read_shard(dataset, 1, 0)
    rewrite(dataset, f"data/{FIRST}", pa.concat_tables([table.slice(1), table.slice(5)]))
    problems = verify(dataset).problems
    assert problems == [
        f"data/{FIRST}: 1 pairs lost, for one 000.jpg",
        f"data/{FIRST}: 1 pairs doubled, for one 002.jpg",
    ]


def test_a_row_that_nobody_planned_is_found(dataset: Folder) -> None:
    table = read_shard(dataset, 1, 0)
    stranger = table.slice(0, 1).set_column(0, table.schema.field(0), pa.array(["stranger.jpg"]))
    rewrite(dataset, f"data/{FIRST}", pa.concat_tables([table, stranger]), records=7)
    assert problem(dataset) == f"data/{FIRST}: 1 pairs not planned, for one stranger.jpg"


@pytest.mark.parametrize("footer", [{"plan_digest": "of another plan"}, {"shard": 2}])
def test_a_shard_of_another_plan_or_place_is_found(dataset: Folder, footer: dict[str, object]) -> None:
    rewrite(dataset, f"data/{FIRST}", read_shard(dataset, 1, 0), **footer)
    assert problem(dataset) == f"data/{FIRST}: not the shard that was planned"


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_cut_file_is_found(dataset: Folder, cut: int) -> None:
    dataset.publish(f"data/{FIRST}", dataset.read(f"data/{FIRST}")[:cut], create=False)
    assert problem(dataset) == f"data/{FIRST}: not the shard that was planned"


def test_rows_that_cannot_be_read_are_found(dataset: Folder) -> None:
    data = dataset.read(f"data/{FIRST}")
    column = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    damaged = data[:start] + b"\xff" * column.total_compressed_size + data[start + column.total_compressed_size :]
    dataset.publish(f"data/{FIRST}", damaged, create=False)
    assert problem(dataset).startswith(f"data/{FIRST}: cannot be read")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, name: folder.delete(name),
        lambda folder, name: folder.publish(name, b"no Parquet", create=False),
        lambda folder, name: rewrite_failures(folder, name),
    ],
)
def test_damaged_failures_are_found(dataset: Folder, damage: Callable[[Folder, str], None]) -> None:
    damage(dataset, f"failures/{FAILED}")
    assert problem(dataset).startswith(f"failures/{FAILED}: ")
    assert verify(dataset).failed == 2


def rewrite_failures(folder: Folder, name: str) -> None:
    sink = io.BytesIO()
    pq.write_table(read_shard(folder, 1, 1, "failures").slice(1), sink)
    folder.publish(name, sink.getvalue(), create=False)


def test_failures_without_a_failure_are_found(dataset: Folder) -> None:
    dataset.publish(f"failures/{FIRST}", dataset.read(f"failures/{FAILED}"))
    assert problem(dataset) == f"failures/{FIRST}: differs from the failures in the footer of its shard"


@pytest.mark.parametrize("name", ["data/notes.txt", "data/00009-00000.parquet", "failures/00001-00077.parquet"])
def test_a_stranger_is_found(dataset: Folder, name: str) -> None:
    dataset.publish(name, b"hello")
    assert problem(dataset) == f"{name}: no plan expects it"


def test_a_failure_count_that_lies_is_found(dataset: Folder) -> None:
    rewrite(dataset, f"data/{FAILED}", read_shard(dataset, 1, 1), failed=1)
    assert problem(dataset) == f"data/{FAILED}: the footer says 1 failures and holds 2"


def test_the_same_pair_in_two_plans_is_found(dataset: Folder) -> None:
    ledger = Ledger(dataset)
    copy = ledger.chain[0].model_copy(update={"seq": 2})
    dataset.publish(f"plans/00002/{copy.pieces}", pieces_to_parquet(ledger.pieces(ledger.chain[0])))
    dataset.publish("plans/00002/plan.json", copy.model_dump_json().encode())
    finish(dataset)
    assert "plan 2: 7 of its pieces are in an earlier plan too" in problem(dataset)
    assert verify(dataset).records == 26


def test_a_retry_of_what_had_not_failed_is_found(dataset: Folder) -> None:
    ledger = Ledger(dataset)
    copy = ledger.chain[0].model_copy(update={"seq": 2, "kind": "retry"})
    dataset.publish(f"plans/00002/{copy.pieces}", pieces_to_parquet(ledger.pieces(ledger.chain[0])))
    dataset.publish("plans/00002/plan.json", copy.model_dump_json().encode())
    finish(dataset)
    assert sum("had not failed" in text for text in verify(dataset).problems) == 3


def test_damaged_pieces_are_found_and_named(dataset: Folder) -> None:
    plan = Ledger(dataset).chain[0]
    dataset.publish(f"plans/00001/{plan.pieces}", b"damaged", create=False)
    assert "plans/00001/pieces-" in problem(dataset)


def test_a_lost_or_damaged_identity_is_found(dataset: Folder) -> None:
    dataset.publish("dataset.json", b"{}", create=False)
    assert "dataset.json" in problem(dataset)
    dataset.delete("dataset.json")
    assert problem(dataset) == "dataset.json: is missing"


def test_a_hole_in_the_chain_is_refused(dataset: Folder, photos: Path) -> None:
    write_photos(photos, [40])
    plan_something(dataset, wanted(photos, styles("wave", "ink")))
    dataset.delete("plans/00001/plan.json")
    with pytest.raises(RequestError, match="hole"):
        verify(dataset)


def test_nan_in_a_failures_own_columns_is_no_damage(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    table = pa.table({"picture": pa.array([b"1"]), "depth": [float("nan")]})
    pq.write_table(table, tmp_path / "tables/a.parquet")
    plan_something(folder, wanted(tmp_path / "tables", styles("wave")))
    finish(folder, failing={"a.parquet#0"})
    assert verify(folder) == Verification(failed=1)


def test_an_empty_place_is_whole(folder: Folder) -> None:
    assert verify(folder) == Verification()
