"""The deep verification finds what the plain one cannot: bad pictures, flipped bits, rows that lie about their pair."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.dataset.deep import check_deeply
from tasks.dataset.footer import KEY, read_footer
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.dataset.writing import open_writer
from tasks.storage import Folder
from tests.tasks.dataset.making import read_shard

VERSION1 = Path(__file__).parent / "version1"
SHARD = "data/00001-00001.parquet"
Row = dict[str, Any]


@pytest.fixture
def recorded(tmp_path: Path) -> Folder:
    """What a real run left: 8 records in 3 shards, 24x16 PNG."""
    shutil.copytree(VERSION1, tmp_path / "recorded")
    return Folder(str(tmp_path / "recorded"))


def rewrite(folder: Folder, change: Callable[[Row], object]) -> Row:
    """Write a shard again with its first row changed, and all else as it was; gives that row as it was."""
    rows = read_shard(folder, 1, 1)
    footer, _ = read_footer(folder, SHARD)
    assert footer is not None
    values = rows.to_pylist()
    before = dict(values[0])
    change(values[0])
    sink = io.BytesIO()
    schema = rows.schema.with_metadata({b"huggingface": rows.schema.metadata[b"huggingface"]})
    with open_writer(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(values, schema))
        writer.add_key_value_metadata({KEY.decode(): footer.to_json()})
    folder.publish(SHARD, sink.getvalue(), create=False)
    return before


def picture(side: int, kind: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (side, 16)).save(sink, kind)
    return sink.getvalue()


def test_a_good_dataset_is_whole_and_every_picture_was_seen(recorded: Folder) -> None:
    seen: list[int] = []
    found = check_deeply(Ledger(recorded), seen.append)
    assert (found.pictures, found.problems, found.is_whole) == (8, [], True)
    assert sum(seen) == 8


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row["image"].update(bytes=row["image"]["bytes"][:200]), "the picture ends too early"),
        (lambda row: row["image"].update(bytes=None), "the file is empty"),
        (lambda row: row["image"].update(bytes=picture(24, "JPEG")), "the picture is jpeg, not png"),
        (lambda row: row["image"].update(bytes=picture(16, "PNG")), "the picture is 16x16, not 24x16"),
        (lambda row: row["image"].update(path="other.png"), "image.path is not that of its pair"),
        (lambda row: row.update(seed=1), "seed is not as planned"),
        (lambda row: row.update(method="adaattn", representation="x"), "representation, method are not as planned"),
        (lambda row: row.update(shard=2), "shard is not as planned"),
    ],
)
def test_a_bad_record_is_named(recorded: Folder, change: Callable[[Row], object], problem: str) -> None:
    before = rewrite(recorded, change)
    assert verify(recorded).is_whole
    found = check_deeply(Ledger(recorded))
    assert found.problems == [f"{SHARD}: {before['content_id']} as {before['style']}: {problem}"]
    assert (found.pictures, found.is_whole) == (7, False)


def test_a_flipped_bit_is_found_in_a_picture_that_still_decodes(recorded: Folder) -> None:
    rewrite(recorded, lambda row: row["image"].update(bytes=picture(24, "PNG") + b"after the end"))
    data = recorded.read(SHARD)
    assert check_deeply(Ledger(recorded)).is_whole
    recorded.publish(SHARD, data.replace(b"after the end", b"after tha end"), create=False)
    assert verify(recorded).is_whole
    (problem,) = check_deeply(Ledger(recorded)).problems
    assert problem.startswith(f"{SHARD}: row group 0 is damaged")
    assert "checksum" in problem


def test_of_many_bad_pictures_in_a_shard_a_few_are_named(recorded: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.dataset.deep.NAMED", 1)
    for name in recorded.list("data"):
        rows = pq.read_table(io.BytesIO(recorded.read(name)))
        footer, _ = read_footer(recorded, name)
        assert footer is not None
        values = [{**row, "seed": 1} for row in rows.to_pylist()]
        sink = io.BytesIO()
        with open_writer(sink, rows.schema.remove_metadata()) as writer:
            writer.write_table(pa.Table.from_pylist(values, rows.schema.remove_metadata()))
            writer.add_key_value_metadata({KEY.decode(): footer.to_json()})
        recorded.publish(name, sink.getvalue(), create=False)
    problems = check_deeply(Ledger(recorded)).problems
    assert (
        sorted(problem.split(": ")[-1] for problem in problems)
        == ["and 1 more", "and 1 more", "and 3 more"] + ["seed is not as planned"] * 3
    )


def test_what_a_takedown_leaves_is_whole_to_the_last_picture(recorded: Folder) -> None:
    carry_out(recorded, find_takedown(Ledger(recorded), ("p2.png",), ()))
    found = check_deeply(Ledger(recorded))
    assert (found.pictures, found.forgotten, found.problems) == (6, 2, [])
