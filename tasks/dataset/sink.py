"""The sink: a shard's rows, spooled to local disk, become one atomic object."""

from __future__ import annotations

import io
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.dataset.footer import KEY, ShardFooter, pack_failures, parse_footer, read_footer
from tasks.dataset.ledger import shard_name, tombstone
from tasks.records import failure_schema, record_schema
from tasks.storage import Folder

# Readers load a row group whole; the dataset viewer of Hugging Face refuses groups above 286 MiB.
ROW_GROUP_BYTES = 48 * 2**20


class ShardSpool:
    """Rows of a shard on local disk, in any order; records come out grouped by style, in the corpus's order."""

    def __init__(self, carried: pa.Schema) -> None:
        self._records: list[tuple[tuple[int, int], dict[str, Any], int, int]] = []
        self._failures: list[tuple[tuple[int, int], dict[str, Any]]] = []
        self._carried = carried
        self.bytes = 0

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile(prefix="atelier-spool-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add_record(self, order: tuple[int, int], row: dict[str, Any], picture: bytes, path: str) -> None:
        """Spool a record; `order` is (style, content)."""
        row["image"] = {"bytes": None, "path": path}
        self._records.append((order, row, self.bytes, len(picture)))
        self._file.write(picture)
        self.bytes += len(picture)

    def add_failure(self, order: tuple[int, int], row: dict[str, Any]) -> None:
        """Spool a failed record."""
        self._failures.append((order, row))

    def failures(self) -> pa.Table:
        """The failed records."""
        rows = [row for _, row in sorted(self._failures, key=lambda item: item[0])]
        return pa.Table.from_pylist(rows, schema=failure_schema(self._carried))

    def write(self, footer: ShardFooter) -> tuple[bytes, ShardFooter]:
        """The shard as Parquet with its footer, and the footer with its counts. Checked by reading it back."""
        failures = self.failures()
        footer = footer.model_copy(
            update={
                "records": len(self._records),
                "failed": failures.num_rows,
                "failures": pack_failures(failures),
                "picture_bytes": self.bytes,
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        schema = record_schema(self._carried)
        sink = io.BytesIO()
        with pq.ParquetWriter(sink, schema, **_writer_options(schema)) as writer:
            for batch in self._row_groups(schema):
                writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
            writer.add_key_value_metadata({KEY.decode(): footer.model_dump_json()})
        data = sink.getvalue()
        _check(data, footer)
        return data, footer

    def _row_groups(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        room = ROW_GROUP_BYTES
        for _, row, start, size in sorted(self._records, key=lambda item: item[0]):
            self._file.seek(start)
            rows.append({**row, "image": {**row["image"], "bytes": self._file.read(size)}})
            room -= size
            if room <= 0:
                yield pa.RecordBatch.from_pylist(rows, schema=schema)
                rows, room = [], ROW_GROUP_BYTES
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)


def commit(folder: Folder, spool: ShardSpool, footer: ShardFooter) -> ShardFooter:
    """Publish a shard: failures first, then the one object that is its completion mark.

    Gives the footer that stands, ours or that of another attempt at the same shard. Raises RuntimeError where
    the plan was abandoned or the name is taken by something else.
    """
    if folder.read_or_none(tombstone(footer.plan)) is not None:
        raise AbandonedError(f"Plan {footer.plan} was abandoned.")
    data, footer = spool.write(footer)
    write_failures(folder, footer)
    if publish_shard(folder, footer, data):
        return footer
    standing = read_standing(folder, footer)
    if standing.token != footer.token:
        write_failures(folder, standing)
    return standing


class AbandonedError(RuntimeError):
    """The plan of a shard was abandoned while the shard was being made."""


def publish_shard(folder: Folder, footer: ShardFooter, data: bytes) -> bool:
    """One create-only PUT; a lost answer counts as a refusal, since what stands is read back then."""
    name = f"data/{shard_name(footer.plan, footer.shard)}"
    try:
        return folder.publish(name, data)
    except (OSError, TimeoutError):
        if read_footer_or_none(folder, name) is None:
            raise
        return False


def read_standing(folder: Folder, ours: ShardFooter) -> ShardFooter:
    """Footer of the object that stands in a shard's place. Raises RuntimeError where it is not that shard."""
    name = f"data/{shard_name(ours.plan, ours.shard)}"
    found, _ = read_footer(folder, name)
    if found is None or (found.plan_digest, found.shard) != (ours.plan_digest, ours.shard):
        raise RuntimeError(f"{folder.uri}/{name} is taken by an object of another plan: move it away.")
    if found.abandoned:
        raise AbandonedError(f"Plan {ours.plan} was abandoned.")
    return found


def read_footer_or_none(folder: Folder, name: str) -> ShardFooter | None:
    """Footer of an object, or None where there is no such object."""
    try:
        return read_footer(folder, name)[0]
    except FileNotFoundError:
        return None


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


def abandon_shard(folder: Folder, seq: int, shard: int, plan_digest: str) -> bool:
    """Close an open shard with an empty object, so that no late commit can land there. False where one had."""
    footer = ShardFooter(plan=seq, shard=shard, plan_digest=plan_digest, token=new_token(), abandoned=True)
    with ShardSpool(pa.schema([])) as spool:
        data, footer = spool.write(footer)
    return publish_shard(folder, footer, data)


def new_token() -> str:
    """A name for one attempt."""
    return uuid.uuid4().hex


def picture_path(content_id: str, style: str, suffix: str) -> str:
    """`image.path` of a record: a file name that tells content and style apart, safe on any disk."""
    stem = os.path.splitext(content_id)[0]
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{stem}--{style}") + suffix


def _check(data: bytes, footer: ShardFooter) -> None:
    """Read the footer back before anyone else can."""
    metadata = pq.read_metadata(io.BytesIO(data))
    if metadata.num_rows != footer.records or parse_footer(metadata.metadata) != footer:
        raise RuntimeError(f"Shard {footer.plan}-{footer.shard} was not encoded whole.")


def _writer_options(schema: pa.Schema) -> Mapping[str, Any]:
    """Pictures are compressed already: plain, no dictionary, no statistics. Scalars: zstd, dictionaries."""
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    parquet = pq.read_metadata(sink).schema
    leaves = [parquet.column(i).path for i in range(len(parquet))]
    scalars = [leaf for leaf in leaves if leaf != "image.bytes"]
    return {
        "compression": {leaf: "none" if leaf == "image.bytes" else "zstd" for leaf in leaves},
        "use_dictionary": scalars,
        "write_statistics": scalars,
        "write_page_index": True,
    }
