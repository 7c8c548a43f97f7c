"""Rewriting a committed shard without what was taken down: the one exception to data that never changes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.dataset.footer import KEY, ShardFooter, pack_failures, parse_footer, read_footer
from tasks.dataset.forgotten import Forgotten, read_forgotten
from tasks.dataset.ledger import PAIR_COLUMNS, read_columns, shard_name
from tasks.dataset.writing import count_picture_bytes, open_writer, plain_schema, write_failures
from tasks.storage import Folder


@dataclass(frozen=True)
class Held:
    """What a shard still holds of what was taken down: rows, failures, and whether only their copy is stale."""

    records: int = 0
    failed: int = 0
    stale_copy: bool = False

    def __bool__(self) -> bool:
        return bool(self.records or self.failed or self.stale_copy)


def find_held(folder: Folder, seq: int, shard: int, forgotten: Forgotten) -> Held:
    """Look for what was taken down in a shard and in the copy of its failures; no picture is read."""
    name = shard_name(seq, shard)
    footer, _ = read_footer(folder, f"data/{name}")
    if footer is None or footer.abandoned:
        return Held()
    table = footer.failure_table()
    records = read_columns(folder, f"data/{name}", PAIR_COLUMNS)
    failed = 0 if table is None else forgotten.count(table)
    return Held(forgotten.count(records), failed, bool(failed) or _is_stale(folder, f"failures/{name}", forgotten))


def rewrite_shard(folder: Folder, seq: int, shard: int, forgotten: Forgotten) -> Held:
    """Take the pairs that were taken down out of a committed shard; gives what it held of them.

    The shard is replaced whole or not at all, on any store, without a condition. Whoever writes last looks for newer
    takedowns afterwards: one that is missed here has not looked at the shard yet, and will.
    """
    found = held = find_held(folder, seq, shard, forgotten)
    while held:
        if held.records or held.failed:
            _replace(folder, f"data/{shard_name(seq, shard)}", forgotten)
        footer, _ = read_footer(folder, f"data/{shard_name(seq, shard)}")
        if footer is not None:
            write_failures(folder, footer)
        newer = read_forgotten(folder)
        if newer == forgotten:
            break
        forgotten = newer
        held = find_held(folder, seq, shard, forgotten)
    return found


def _replace(folder: Folder, name: str, forgotten: Forgotten) -> None:
    with folder.open(name) as source, tempfile.TemporaryFile(prefix="atelier-spool-") as spool:
        _copy(pq.ParquetFile(source), spool, forgotten)
        folder.publish_file(name, spool, create=False)


def _copy(source: pq.ParquetFile, spool: BinaryIO, forgotten: Forgotten) -> None:
    """Write what remains of a shard, a row group at a time."""
    footer = parse_footer(source.metadata.metadata)
    assert footer is not None  # or else nothing was found in it
    records = picture_bytes = 0
    with open_writer(spool, plain_schema(source.schema_arrow)) as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, use_threads=False)
            kept = table.filter(pc.invert(forgotten.rows(table)))
            records += kept.num_rows
            picture_bytes += count_picture_bytes(kept)
            if kept.num_rows:
                writer.write_table(kept, row_group_size=kept.num_rows)
        footer = _without(footer, forgotten, records, picture_bytes)
        writer.add_key_value_metadata({KEY.decode(): footer.to_json()})


def _without(footer: ShardFooter, forgotten: Forgotten, records: int, picture_bytes: int) -> ShardFooter:
    table = footer.failure_table()
    kept = None if table is None else table.filter(pc.invert(forgotten.rows(table)))
    failed = 0 if kept is None else kept.num_rows
    gone = footer.records + footer.failed - records - failed
    return footer.model_copy(
        update={
            "records": records,
            "failed": failed,
            "forgotten": footer.forgotten + gone,
            "failures": "" if kept is None else pack_failures(kept),
            "picture_bytes": picture_bytes,
        }
    )


def _is_stale(folder: Folder, name: str, forgotten: Forgotten) -> bool:
    if not folder.exists(name):
        return False
    return bool(forgotten.count(read_columns(folder, name, PAIR_COLUMNS)))
