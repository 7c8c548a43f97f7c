"""A shard becomes one object, once, that any reader of Parquet understands."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset import sink, writing
from tasks.dataset.footer import ShardFooter, read_footer
from tasks.dataset.ledger import Ledger
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.dataset.verify import verify
from tasks.records import failure_schema, record_schema
from tasks.storage import Folder
from tests.tasks.dataset.making import commit_shard, finish, plan_something, read_shard, styles, wanted, write_photos
from tests.tasks.fake_s3 import Answer, Request, forward, serve

BOTH = styles("wave", "ink")
SHARD = "00001-00000.parquet"


def row(**values: Any) -> dict[str, Any]:
    """A row with all that a record must have."""
    names = [field.name for field in record_schema(pa.schema([])) if not field.nullable]
    given = {"seed": 2**62, "plan": 1, "shard": 0, "attempt": 0, "seconds": 1.0} | values
    return {name: "text" for name in names} | given


def encode(spool: ShardSpool) -> tuple[bytes, ShardFooter]:
    return spool.write(ShardFooter(plan=1, shard=0, plan_digest="plan", token=new_token()))


def test_records_are_grouped_by_style_in_the_corpus_order(photos: Path, folder: Folder) -> None:
    plan_something(folder, wanted(photos, BOTH))
    commit_shard(folder, Ledger(folder).chain[0], 0)
    rows = read_shard(folder, 1, 0).to_pylist()
    assert [(r["style"], r["content_id"]) for r in rows] == [
        (style, f"{number:03d}.jpg") for style in ("wave", "ink") for number in range(3)
    ]
    assert [r["image"]["bytes"] for r in rows] == [
        f"picture of {r['content_id']} as {r['style']}".encode() for r in rows
    ]


def test_row_groups_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 1000)
    with ShardSpool(pa.schema([])) as spool:
        for number in range(10):
            spool.add_record((0, number), row(content_id=str(number)), b"x" * 400, "x")
        data, _ = encode(spool)
    metadata = pq.read_metadata(io.BytesIO(data))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 3, 1]
    assert pq.read_table(io.BytesIO(data))["content_id"].to_pylist() == [str(number) for number in range(10)]


def test_pictures_are_stored_plain_and_scalars_small() -> None:
    carried = pa.schema([("mask", pa.binary()), ("label", pa.string())])
    with ShardSpool(carried) as spool:
        for number in range(20):
            spool.add_record((0, number), row(mask=b"m" * 50, label="cat"), b"\xff\xd8picture", "x.jpg")
        data, _ = encode(spool)
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    image = columns.pop("image.bytes")
    assert (image.compression, image.statistics, image.has_dictionary_page) == ("UNCOMPRESSED", None, False)
    assert (columns["mask"].statistics, columns["mask"].has_dictionary_page) == (None, False)
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert columns["label"].has_dictionary_page
    assert columns["style"].statistics.min == "text"


def test_a_shard_describes_itself_to_hugging_face() -> None:
    with ShardSpool(pa.schema([("born", pa.date32())])) as spool:
        data, _ = encode(spool)
    features = json.loads(pq.read_schema(io.BytesIO(data)).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["born"] == {"_type": "Value", "dtype": "date32"}
    assert list(features) == record_schema(pa.schema([("born", pa.date32())])).names


def test_the_footer_is_read_back_from_storage(dataset: Folder) -> None:
    footer, rows = read_footer(dataset, f"data/00001-{1:05d}.parquet")
    assert footer is not None
    assert (footer.plan, footer.shard, footer.records, footer.failed, rows) == (1, 1, 4, 2, 4)
    assert footer.picture_bytes == sum(len(r["image"]["bytes"]) for r in read_shard(dataset, 1, 1).to_pylist())
    assert footer.plan_digest == Ledger(dataset).chain[0].digest
    assert footer.failure_table() == read_shard(dataset, 1, 1, "failures")


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no Parquet at all", b"PAR1" + b"\xff" * 40 + b"\x20\0\0\0PAR1"])
def test_an_object_that_is_no_shard_has_no_footer(folder: Folder, damage: bytes) -> None:
    folder.publish("data/x", damage)
    assert read_footer(folder, "data/x") == (None, -1)


def test_a_shard_with_failures_only_is_committed_too(photos: Path, folder: Folder) -> None:
    plan_something(folder, wanted(photos, BOTH), images=7)
    finish(folder, failing={f"{number:03d}.jpg" for number in range(7)})
    assert read_shard(folder, 1, 0).num_rows == 0
    assert read_shard(folder, 1, 0, "failures").num_rows == 14
    found = verify(folder)
    assert (found.records, found.failed, found.is_whole) == (0, 14, True)


def test_the_first_of_two_attempts_stands_and_its_failures_are_shown(photos: Path, folder: Folder) -> None:
    plan = plan_something(folder, wanted(photos, BOTH), images=7)
    first = commit_shard(folder, plan, 0, failing={"001.jpg"})
    before = folder.read(f"data/{SHARD}")
    second = commit_shard(folder, plan, 0, failing={"005.jpg"})
    assert second == first
    assert folder.read(f"data/{SHARD}") == before
    assert set(read_shard(folder, 1, 0, "failures")["content_id"].to_pylist()) == {"001.jpg"}
    assert verify(folder).is_whole


def test_an_attempt_that_loses_at_the_last_moment_shows_the_winners_failures(
    photos: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_something(folder, wanted(photos, BOTH), images=7)
    publish = sink.publish_shard

    def lose(*arguments: Any) -> bool:
        monkeypatch.setattr(sink, "publish_shard", publish)
        commit_shard(folder, plan, 0)
        return publish(*arguments)

    monkeypatch.setattr(sink, "publish_shard", lose)
    footer = commit_shard(folder, plan, 0, failing={"005.jpg"})
    assert (footer.records, footer.failed) == (14, 0)
    assert folder.list("failures") == {}
    assert verify(folder).is_whole


def test_failures_that_a_killed_attempt_left_are_healed_by_the_next(photos: Path, folder: Folder) -> None:
    plan = plan_something(folder, wanted(photos, BOTH), images=7)
    folder.publish(f"failures/{SHARD}", b"of an attempt that was killed before its commit")
    commit_shard(folder, plan, 0)
    assert folder.list("failures") == {}
    assert verify(folder).is_whole


def test_a_name_that_something_else_has_is_an_error_that_says_so(photos: Path, folder: Folder) -> None:
    plan = plan_something(folder, wanted(photos, BOTH))
    folder.publish(f"data/{SHARD}", b"what is this")
    with pytest.raises(RuntimeError, match=f"data/{SHARD} is taken by an object of another plan"):
        commit_shard(folder, plan, 0)
    assert folder.read(f"data/{SHARD}") == b"what is this"


def test_the_shard_of_a_dataset_that_was_begun_anew_is_not_taken_for_ours(photos: Path, folder: Folder) -> None:
    commit_shard(folder, plan_something(folder, wanted(photos, BOTH)), 0)
    for name in [*folder.list("plans"), "dataset.json"]:
        folder.delete(name)
    again = plan_something(folder, wanted(photos, styles("mosaic", "dots")))
    with pytest.raises(RuntimeError, match="another plan"):
        commit_shard(folder, again, 0)


def test_a_lost_answer_is_a_commit_all_the_same(photos: Path, s3: str, s3_endpoint: str) -> None:
    plan = plan_something(Folder(s3), wanted(photos, BOTH))
    cut: list[str] = []

    def answer(request: Request, headers: dict[str, str]) -> Answer:
        reply = forward(s3_endpoint, request, headers)
        reply.cut = request.is_conditional and "/data/" in request.path and not cut
        cut.extend([request.path] * reply.cut)
        return reply

    with serve(answer):
        footer = commit_shard(Folder(s3), plan, 0, failing={"001.jpg"})
    assert cut
    assert (footer.records, footer.failed) == (4, 2)
    standing, _ = read_footer(Folder(s3), f"data/{SHARD}")
    assert standing == footer
    finish(Folder(s3))
    found = verify(Folder(s3))
    assert (found.records, found.failed, found.is_whole) == (12, 2, True)


def test_a_corpus_keeps_its_columns_whatever_their_types(folder: Folder, tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 11, 21, 10, 30, tzinfo=datetime.UTC)
    carried = {
        "when": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
        "day": pa.array([moment.date(), None], pa.date32()),
        "boxes": pa.array([[[1.5, 2.5], []], None], pa.list_(pa.list_(pa.float32()))),
        "nested": pa.array([{"a": {"b": [1]}, "c": "x"}, None]),
        "mask": pa.array([b"\0\xff", None], pa.binary()),
        "price": pa.array([Decimal("1.25"), None], pa.decimal128(8, 2)),
        "half": pa.array([0.5, None], pa.float32()).cast(pa.float16()),
        "point": pa.array([[1, 2], None], pa.list_(pa.int16(), 2)),
        "class": pa.array(["cat", None]).dictionary_encode(),
        "big": pa.array(["x", None], pa.large_string()),
        "nothing": pa.nulls(2),
        "width": pa.array([7, None], pa.uint8()),
        "corpus_width": pa.array([8, None], pa.uint8()),
    }
    table = pa.table({"picture": pa.array([b"one", b"two"]), **carried})
    (tmp_path / "tables").mkdir()
    pq.write_table(table, tmp_path / "tables/a.parquet")
    plan_something(folder, wanted(tmp_path / "tables", styles("wave"), image="picture"), images=1)
    finish(folder, failing={"a.parquet#1"})
    assert verify(folder).is_whole
    row, failure = read_shard(folder, 1, 0).to_pylist()[0], read_shard(folder, 1, 1, "failures").to_pylist()[0]
    expected = table.to_pylist()[0]
    renamed = {"width": "corpus_width", "corpus_width": "corpus_corpus_width"}
    for name in carried:
        assert row[renamed.get(name, name)] == expected[name]
        assert failure[renamed.get(name, name)] is None
    assert read_shard(folder, 1, 0).schema.field("point").type == pa.list_(pa.int16(), 2)


def test_empty_objects_of_an_abandoned_plan_have_the_corpus_columns(folder: Folder, tmp_path: Path) -> None:
    from tasks.dataset.chain import abandon_plans

    (tmp_path / "tables").mkdir()
    table = pa.table({"picture": pa.array([b"1", b"2"]), "label": [1, 2]})
    pq.write_table(table, tmp_path / "tables/a.parquet")
    plan = plan_something(folder, wanted(tmp_path / "tables", styles("wave")), images=1)
    commit_shard(folder, plan, 0)
    abandon_plans(folder)
    assert read_shard(folder, 1, 1).schema == read_shard(folder, 1, 0).schema


def test_every_pair_has_a_file_name_of_its_own() -> None:
    contents = ["a/b.jpg", "a_b.jpg", "a/b.png", "t.parquet#1", "t.parquet#12", "x" * 500 + ".jpg", "雪" * 300]
    names = {picture_path(content, style, ".jpg") for content in contents for style in ("wave", "w/ve", "雪" * 200)}
    assert len(names) == len(contents) * 3
    assert all(len(name.encode()) <= 255 and "/" not in name and name.endswith(".jpg") for name in names)


def test_a_failure_has_what_a_record_has_but_for_the_picture() -> None:
    carried = pa.schema([("label", pa.int64())])
    records, failures = record_schema(carried), failure_schema(carried)
    assert set(failures.names) - set(records.names) == {"error_class", "error_message", "error_stage"}
    assert "label" in failures.names
    assert "image" not in failures.names


def test_a_commit_of_nothing_is_whole(folder: Folder) -> None:
    with ShardSpool(pa.schema([])) as spool:
        footer = commit(folder, spool, ShardFooter(plan=1, shard=0, plan_digest="plan", token=new_token()))
    assert (footer.records, footer.failed, list(folder.list("failures"))) == (0, 0, [])
    assert read_footer(folder, f"data/{SHARD}") == (footer, 0)


def test_photographs_may_be_added_while_a_plan_is_open(photos: Path, folder: Folder) -> None:
    plan_something(folder, wanted(photos, BOTH))
    write_photos(photos, [50])
    finish(folder)
    plan_something(folder, wanted(photos, BOTH))
    finish(folder)
    assert verify(folder).records == 16
