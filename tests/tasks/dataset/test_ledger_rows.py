"""Some rows of a shard: the right ones, and no row group read that holds none of them."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.ledger import read_rows
from tasks.storage import Folder


@pytest.fixture
def shard(tmp_path: Path) -> Folder:
    """Twelve rows in four row groups."""
    table = pa.table({"number": list(range(12)), "image": [bytes([n]) * 5000 for n in range(12)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=3, compression="none", use_dictionary=False)
    folder = Folder(str(tmp_path))
    folder.publish("a.parquet", sink.getvalue())
    return folder


def test_rows_come_in_their_order_whatever_order_they_are_asked_in(shard: Folder) -> None:
    rows = read_rows(shard, "a.parquet", {10, 4, 3}, ["number", "image"]).to_pylist()
    assert rows == [{"number": n, "image": bytes([n]) * 5000} for n in (3, 4, 10)]


def test_a_row_group_without_a_wanted_row_is_not_read(shard: Folder) -> None:
    path = Path(shard.uri) / "a.parquet"
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(0)
    data[column.data_page_offset : column.data_page_offset + 16] = b"\xff" * 16
    path.write_bytes(data)
    assert read_rows(shard, "a.parquet", {0, 8}, ["number"])["number"].to_pylist() == [0, 8]
    with pytest.raises(OSError):  # noqa: PT011 - its words are Thrift's
        read_rows(shard, "a.parquet", {0, 4, 8}, ["number"])
