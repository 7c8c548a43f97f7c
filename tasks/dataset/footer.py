"""What a committed shard says of itself, in its Parquet footer: the completion mark and the shard's ledger."""

from __future__ import annotations

import base64
import io
import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.storage import Folder

KEY = b"atelier"
# What an actor's own thread does, in order. The last is known to the driver alone: it comes after the footer.
ACTOR_STAGES = ("load", "wait", "encode", "render", "score", "wait_codec", "publish")
# One request fetches most footers whole.
TAIL_BYTES = 2**16


class SizeFill(BaseModel):
    """Batches of one padded size: pixels, images, and the mean share of the batch bound in use (0 to 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int
    width: int
    images: int
    batches: int
    fill: float


class ShardFooter(BaseModel):
    """Counts, origin and times of a shard, and a copy of its failures.

    `token` tells whose attempt it was; `plan_digest` which plan's pieces. `seconds` are by stage, summed over
    threads; its `busy` is the wall time of the attempt, on one of `actors`. The failures travel in the footer too,
    so that the one object is the whole truth and `failures/` can always be made again from it. `forgotten` counts
    pairs of the shard that were taken down: they have neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: int
    shard: int
    plan_digest: str
    token: str
    attempt: int = 0
    abandoned: bool = False
    records: int = 0
    failed: int = 0
    forgotten: int = 0
    failures: str = ""
    seconds: dict[str, float] = {}
    batches: list[SizeFill] = []
    actors: int = 1
    source_bytes: int = 0
    picture_bytes: int = 0
    device: str = ""
    finished: str = ""

    def to_json(self) -> str:
        """The footer as text. What only takedowns need is left out where there was none: version 1 does not know it."""
        return self.model_dump_json(exclude=None if self.forgotten else {"forgotten"})

    def failure_table(self) -> pa.Table | None:
        """The shard's failed records, or None where there are none."""
        if not self.failures:
            return None
        return pa.ipc.open_stream(base64.b64decode(self.failures)).read_all()


def pack_failures(table: pa.Table) -> str:
    """Failed records as text for a footer: a compressed Arrow stream in base64."""
    if not table.num_rows:
        return ""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def parse_footer(metadata: dict[bytes, bytes] | None) -> ShardFooter | None:
    """The footer among a Parquet file's metadata, or None where it is not one of ours."""
    try:
        return ShardFooter.model_validate_json((metadata or {})[KEY])
    except (KeyError, ValidationError):
        return None


def read_footer(folder: Folder, name: str) -> tuple[ShardFooter | None, int]:
    """Footer and number of rows of a shard; (None, -1) where the object is no Parquet file.

    Raises FileNotFoundError, and OSError where the store fails.
    """
    with folder.open(name) as file:
        tail = _read_tail(file)
    try:
        metadata: Any = pq.read_metadata(io.BytesIO(tail))
    except (pa.ArrowInvalid, OSError):  # of bytes in memory: not Parquet, or its Thrift is damaged
        return None, -1
    return parse_footer(metadata.metadata), metadata.num_rows


def _read_tail(file: Any) -> bytes:
    """The end of a Parquet file, from where its metadata begin: they, their length, and the magic word."""
    size = file.seek(0, os.SEEK_END)
    first = file.seek(max(0, size - TAIL_BYTES))
    tail = bytes(file.read())
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < needed <= size:
        first = file.seek(size - needed)
        tail = bytes(file.read(size - len(tail) - first)) + tail
    return tail
