"""How a shard is laid out as Parquet, and the readable copy of its failures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.dataset.footer import KEY, ShardFooter
from tasks.dataset.ledger import shard_name
from tasks.storage import Folder

# Readers load a row group whole; the dataset viewer of Hugging Face refuses groups above 286 MiB.
ROW_GROUP_BYTES = 48 * 2**20


def open_writer(file: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of records. Each page has its checksum: a picture may be damaged and still decode."""
    return pq.ParquetWriter(file, schema, **_options(schema))


def write_failures(folder: Folder, footer: ShardFooter) -> None:
    """Write the readable copy of a shard's failures; without any, remove one that an attempt left."""
    name = f"failures/{shard_name(footer.plan, footer.shard)}"
    table = footer.failure_table()
    if table is None:
        folder.delete(name)
        return
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    folder.publish(name, sink.getvalue(), create=False)


def read_schema(folder: Folder, name: str) -> pa.Schema:
    """The schema of a shard."""
    with folder.open(name) as file:
        return plain_schema(pq.ParquetFile(file).schema_arrow)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a shard that was read, without the footer that came with it."""
    return schema.with_metadata({k: v for k, v in (schema.metadata or {}).items() if k != KEY})


def count_picture_bytes(table: pa.Table) -> int:
    """Bytes of the pictures of some records."""
    return pc.sum(pc.binary_length(pc.struct_field(table["image"], "bytes"))).as_py() or 0


def _options(schema: pa.Schema) -> Mapping[str, Any]:
    """Pictures are compressed already: plain. Bytes have no dictionary and no statistics. Scalars have, and zstd."""
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    columns = pq.read_metadata(sink).schema
    leaves = [columns.column(index) for index in range(len(columns))]
    scalars = [leaf.path for leaf in leaves if not _holds_bytes(leaf)]
    return {
        "compression": {leaf.path: "none" if leaf.path == "image.bytes" else "zstd" for leaf in leaves},
        "use_dictionary": scalars,
        "write_statistics": scalars,
        "write_page_index": True,
        "write_page_checksum": True,
    }


def _holds_bytes(leaf: pq.ColumnSchema) -> bool:
    return leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type == "NONE"
