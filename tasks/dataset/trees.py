"""Export as an ImageFolder: a tree of pictures by style and content, and a `metadata.jsonl` with their records."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from tasks.dataset.archives import cut_records, read_rows
from tasks.dataset.export import FOLDER, ExportRequest, FrozenExport, Key, PartDone, select
from tasks.dataset.ledger import Ledger
from tasks.dataset.samples import plain_values, tree_path
from tasks.images.encoding import suffix
from tasks.records import RequestError
from tasks.storage import Folder

# Pictures that are written at once, and that are in memory.
WRITERS, BATCH = 16, 64
METADATA = "metadata.jsonl"
COPY_BYTES = 2**24  # one request each


class TreeExporter:
    """A file a picture. A part's lines of metadata are kept until all parts are there, and say that it is."""

    def __init__(self, ledger: Ledger, target: Folder, request: ExportRequest) -> None:
        if request.label is not None:
            raise RequestError("`--label` is for webdataset: metadata.jsonl has every column.")
        self._ledger, self._target, self._request = ledger, target, request
        self._selection = select(ledger, request)
        self._made = target.list(FOLDER)
        self._is_complete = target.exists(METADATA)
        self._suffix = suffix(ledger.chain[-1].images) if ledger.chain else ""
        spans = ledger.ownership().spans
        self._changed = {path for path, span in spans.items() if len(span.versions) > 1}

    def cut(self) -> tuple[list[list[Key]], list[int]]:
        """Parts by bytes."""
        return cut_records(self._ledger, self._request.object_bytes), []

    def begin(self, frozen: FrozenExport) -> None:
        """Pictures need nothing before them."""
        self._parts = len(frozen.parts)

    def make(self, number: int, shards: Sequence[Key]) -> PartDone:
        """Write the pictures, then their lines, then the note that they are there."""
        note, lines = f"{FOLDER}/{number:06d}.json", f"{FOLDER}/{number:06d}.jsonl"
        if note in self._made:
            count, size = json.loads(self._target.read(note))
            return PartDone(count, objects=count, bytes=size, before=True)
        rows = read_rows(self._ledger, self._selection, shards)
        count = size = 0
        with tempfile.TemporaryFile(prefix="atelier-spool-") as spool, ThreadPoolExecutor(WRITERS) as pool:
            while some := list(islice(rows, BATCH)):
                for line, written in pool.map(self._write, some):
                    spool.write(line)
                    count, size = count + 1, size + written
            self._target.publish_file(lines, spool, create=False)
        self._target.publish(note, json.dumps([count, size]).encode())
        return PartDone(count, objects=count, bytes=size)

    def end(self) -> None:
        """Join the lines of all parts to the one file that readers look for."""
        names = [f"{FOLDER}/{number:06d}.jsonl" for number in range(self._parts)]
        if not self._is_complete:
            with tempfile.TemporaryFile(prefix="atelier-spool-") as joined:
                for name in names:
                    with self._target.open(name) as file:
                        shutil.copyfileobj(file, joined, COPY_BYTES)
                self._target.publish_file(METADATA, joined)
        for name in names:
            self._target.delete(name)

    def _write(self, row: dict[str, Any]) -> tuple[bytes, int]:
        """Write a picture; one that is there is of this export, by a run that was killed. Gives its line and bytes."""
        changed = row["content_id"].partition("#")[0] in self._changed or row["content_id"] in self._changed
        path, data = tree_path(row, self._suffix, changed), row["image"]["bytes"]
        if not self._target.publish(path, data) and self._target.read(path) != data:
            raise RequestError(f"{self._target.uri}/{path} is another record's on this disk: export to another kind.")
        values = plain_values(row)
        if "file_name" in values:
            values["corpus_file_name"] = values.pop("file_name")
        return json.dumps({"file_name": path, **values}).encode() + b"\n", len(data)
