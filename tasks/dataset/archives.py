"""Export as WebDataset: tars of bounded size; a sample is a picture, its record, and its class if there is one."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from tasks.dataset.export import FOLDER, ExportRequest, FrozenExport, Key, PartDone, committed, group_by_bytes, select
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.samples import find_labels, plain_values, sample_key
from tasks.dataset.selection import Selection
from tasks.dataset.writing import read_schema
from tasks.images.encoding import suffix
from tasks.storage import Folder

# Rows that are Python's at once; their pictures are.
ROWS = 64


def read_rows(ledger: Ledger, selection: Selection, shards: Sequence[Key]) -> Iterator[dict[str, Any]]:
    """Records of some shards, one after another, as Python has them."""
    for key in shards:
        for table in selection.read(ledger.folder, f"data/{shard_name(*key)}"):
            for batch in table.to_batches(max_chunksize=ROWS):
                yield from batch.to_pylist()


def cut_records(ledger: Ledger, limit: int) -> list[list[Key]]:
    """Parts of about so many bytes, of shards that have records."""
    keys = [key for key in committed(ledger) if ledger.footers[key][1] > 0]
    return list(group_by_bytes(keys, ledger.data, limit))


class ArchiveExporter:
    """A tar a part. What a part came to is noted beside it, for a part without a record has no tar."""

    def __init__(self, ledger: Ledger, target: Folder, request: ExportRequest) -> None:
        self._ledger, self._target, self._request = ledger, target, request
        self._selection = select(ledger, request)
        self._made = target.list(FOLDER)
        self._suffix = suffix(ledger.chain[-1].images) if ledger.chain else ""

    def cut(self) -> tuple[list[list[Key]], list[int]]:
        """Parts by bytes."""
        return cut_records(self._ledger, self._request.object_bytes), []

    def begin(self, frozen: FrozenExport) -> None:
        """Find the column of classes of each plan; a wrong one is said before a tar is written."""
        firsts = {key[0]: key for part in reversed(frozen.parts) for key in reversed(part)}
        schemas = {seq: read_schema(self._ledger.folder, f"data/{shard_name(*key)}") for seq, key in firsts.items()}
        self._labels = find_labels(schemas, self._request.label)

    def make(self, number: int, shards: Sequence[Key]) -> PartDone:
        """Write a tar, then the note that it is there."""
        note = f"{FOLDER}/{number:06d}.json"
        if note in self._made:
            records, size = json.loads(self._target.read(note))
            return PartDone(records, objects=int(records > 0), bytes=size, before=True)
        with tempfile.TemporaryFile(prefix="atelier-spool-") as spool:
            records = 0
            with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for key in shards:
                    label = self._labels[key[0]]
                    for row in read_rows(self._ledger, self._selection, [key]):
                        self._add_sample(tar, row, label)
                        records += 1
            size = spool.tell() if records else 0
            if records:
                self._target.publish_file(f"{number:06d}.tar", spool)
        self._target.publish(note, json.dumps([records, size]).encode())
        return PartDone(records, objects=int(records > 0), bytes=size)

    def end(self) -> None:
        """Tars need nothing after them."""

    def _add_sample(self, tar: tarfile.TarFile, row: dict[str, Any], label: str | None) -> None:
        key = sample_key(row)
        members = {self._suffix: row["image"]["bytes"], ".json": json.dumps(plain_values(row)).encode()}
        if label is not None and row[label] is not None:
            members[".cls"] = str(row[label]).encode()
        for ending, data in members.items():
            member = tarfile.TarInfo(key + ending)  # no time and no owner: the same records make the same tar
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
