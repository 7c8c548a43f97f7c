"""The sink: a shard's rows, spooled to local disk, become one atomic object."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.dataset import writing
from tasks.dataset.footer import KEY, ShardFooter, pack_failures, parse_footer, read_footer
from tasks.dataset.forgotten import read_forgotten
from tasks.dataset.ledger import shard_name, tombstone
from tasks.dataset.rewriting import rewrite_shard
from tasks.dataset.writing import open_writer, write_failures
from tasks.records import failure_schema, record_schema
from tasks.storage import Folder


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
        with open_writer(sink, schema) as writer:
            for batch in self._row_groups(schema):
                writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
            writer.add_key_value_metadata({KEY.decode(): footer.to_json()})
        data = sink.getvalue()
        _check(data, footer)
        return data, footer

    def _row_groups(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        room = writing.ROW_GROUP_BYTES
        for _, row, start, size in sorted(self._records, key=lambda item: item[0]):
            self._file.seek(start)
            rows.append({**row, "image": {**row["image"], "bytes": self._file.read(size)}})
            room -= size
            if room <= 0:
                yield pa.RecordBatch.from_pylist(rows, schema=schema)
                rows, room = [], writing.ROW_GROUP_BYTES
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=schema)


class AbandonedError(RuntimeError):
    """The plan of a shard was abandoned while the shard was being made."""


def commit(folder: Folder, spool: ShardSpool, footer: ShardFooter) -> ShardFooter:
    """Publish a shard: failures first, then the one object that is its completion mark.

    Gives the footer that stands, ours or that of another attempt at the same shard; the copy in `failures/` is
    that one's. Raises AbandonedError where the plan was abandoned, RuntimeError where something else has the
    name, OSError where the store fails (the shard may be committed then: the next attempt finds out).
    """
    name = f"data/{shard_name(footer.plan, footer.shard)}"
    if folder.exists(name):
        return _settle(folder, name, footer)
    if folder.exists(tombstone(footer.plan)):
        raise AbandonedError(f"Plan {footer.plan} was abandoned.")
    data, footer = spool.write(footer)
    write_failures(folder, footer)
    standing = footer if publish_shard(folder, name, data) else _settle(folder, name, footer)
    # A takedown that was made meanwhile may have looked for this shard before it was there.
    forgotten = read_forgotten(folder)
    if forgotten and rewrite_shard(folder, footer.plan, footer.shard, forgotten):
        return read_footer(folder, name)[0] or standing
    return standing


def publish_shard(folder: Folder, name: str, data: bytes) -> bool:
    """One create-only PUT; a lost answer counts as a refusal where something stands there now."""
    try:
        return folder.publish(name, data)
    except OSError:
        if not folder.exists(name):
            raise
        return False


def _settle(folder: Folder, name: str, ours: ShardFooter) -> ShardFooter:
    """Footer of the object that stands in a shard's place, once its failures are the ones that are shown."""
    found, _ = read_footer(folder, name)
    if found is None or (found.plan_digest, found.shard) != (ours.plan_digest, ours.shard):
        raise RuntimeError(f"{folder.uri}/{name} is taken by an object of another plan: move it away.")
    if found.token != ours.token:
        write_failures(folder, found)
    if found.abandoned:
        raise AbandonedError(f"Plan {ours.plan} was abandoned.")
    return found


def abandon_shard(folder: Folder, footer: ShardFooter, carried: pa.Schema) -> None:
    """Close an open shard with an empty object, so that no late commit can land there; one that had stays."""
    with ShardSpool(carried) as spool:
        data, footer = spool.write(footer.model_copy(update={"abandoned": True}))
    if publish_shard(folder, f"data/{shard_name(footer.plan, footer.shard)}", data):
        write_failures(folder, footer)


def new_token() -> str:
    """A name for one attempt."""
    return uuid.uuid4().hex


def picture_path(content_id: str, style: str, suffix: str) -> str:
    """`image.path` of a record: a file name of its own for each content and style, safe on any disk."""
    # A row of a table, `file.parquet#12`, has no suffix to lose.
    stem = content_id if "#" in content_id else os.path.splitext(content_id)[0]
    digest = hashlib.sha256(json.dumps([content_id, style]).encode()).hexdigest()[:8]
    return f"{_plain(stem)}--{_plain(style)}--{digest}{suffix}"


def _plain(text: str) -> str:
    """The end of a text, without what means something to a shell or a disk, whose names hold 255 bytes."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in text)
    return plain.encode()[-100:].decode(errors="ignore")


def _check(data: bytes, footer: ShardFooter) -> None:
    """Read the footer back before anyone else can."""
    metadata = pq.read_metadata(io.BytesIO(data))
    if metadata.num_rows != footer.records or parse_footer(metadata.metadata) != footer:
        raise RuntimeError(f"Shard {footer.plan}-{footer.shard} was not encoded whole.")
