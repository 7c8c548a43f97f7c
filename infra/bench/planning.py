"""Planning of corpora by the million: seconds and peak memory, of the first plan and of those after it.

    python -m infra.bench.planning folder 10_000_000
    python -m infra.bench.planning webdataset 10_000_000
    python -m infra.bench.planning parquet 10_000_000

The objects are listed by the pages of a store that makes them up; everything else is what a run does. Each line is one
step: seconds by the wall, CPU seconds, and the most memory that the process has had so far.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from types import SimpleNamespace
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.asyn import get_loop
from fsspec.spec import AbstractFileSystem

from tasks.actors.orders import make_order
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import draft_wanted
from tasks.dataset.ledger import Ledger
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Plan, Wanted, publish_plan
from tasks.s3_listing import take_objects
from tasks.shards import ShardSize
from tasks.storage import Folder
from tasks.styles import PlannedReference, PlannedStyle

ROOT = "corpus/"
PAGE = 1000  # of S3
PER_FOLDER = 20_000
PER_TAR = 10_000
PER_TABLE = 100_000
NEW = 1000


class MadeUpStore(AbstractFileSystem):  # type: ignore[misc]
    """S3 as planning sees it: pages of XML with keys, sizes and tags. Every file holds the same bytes."""

    protocol = "s3"
    cachable = False
    # Of the corpus: how many objects, what they are called, and what each holds.
    count = 0
    name: Callable[[int], str] = staticmethod(str)
    data = b""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.loop = get_loop()

    async def set_session(self) -> Any:
        return SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None)))

    async def _call_s3(self, _: str, Prefix: str, ContinuationToken: str = "", Delimiter: str = "", **__: Any) -> Any:
        inside = Prefix.removeprefix(ROOT).rstrip("/")
        first, last = (int(inside) * PER_FOLDER, (int(inside) + 1) * PER_FOLDER) if inside else (0, self.count)
        if Delimiter and "/" in self.name(0):
            folders = range(0, self.count, PER_FOLDER)
            return {"CommonPrefixes": [{"Prefix": f"{ROOT}{self.name(n).partition('/')[0]}/"} for n in folders]}
        start = int(ContinuationToken or first)
        stop = min(start + PAGE, last, self.count)
        answer = {"body": self._write(start, stop), "status_code": 200}
        found: dict[str, Any] = {}
        take_objects(answer, found)
        return found | {"IsTruncated": stop < min(last, self.count), "NextContinuationToken": str(stop)}

    def _write(self, start: int, stop: int) -> bytes:
        size = len(self.data) or 123_456
        objects = (
            f"<Contents><Key>{ROOT}{self.name(number)}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{md5(b'%d' % number, usedforsecurity=False).hexdigest()}&quot;</ETag><Size>{size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for number in range(start, stop)
        )
        return f"<ListBucketResult>{''.join(objects)}</ListBucketResult>".encode()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": 0, "type": "directory"}

    def open(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


def name_photo(number: int) -> str:
    return f"{number // PER_FOLDER:04d}/photograph-{number:08d}.jpg"


def name_tar(number: int) -> str:
    return f"shard-{number:06d}.tar"


def name_table(number: int) -> str:
    return f"train-{number:05d}.parquet"


def make_tar() -> bytes:
    """Samples of a picture and a class; the pictures are of 512 bytes, since only headers are read."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(PER_TAR):
            for ending, data in (("jpg", bytes(512)), ("cls", b"7")):
                info = tarfile.TarInfo(f"{number:09d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def make_table() -> bytes:
    file = io.BytesIO()
    rows = pa.table({"image": pa.array([b"x"] * PER_TABLE, pa.binary()), "label": list(range(PER_TABLE))})
    pq.write_table(rows, file, row_group_size=1000)
    return file.getvalue()


KINDS: dict[str, tuple[Callable[[int], str], Callable[[], bytes], int]] = {
    "folder": (name_photo, lambda: b"", 1),
    "webdataset": (name_tar, make_tar, PER_TAR),
    "parquet": (name_table, make_table, PER_TABLE),
}


def make_style(name: str) -> PlannedStyle:
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return PlannedStyle(
        name=name,
        references=(PlannedReference(text=name, weight=1.0),),
        method=AdainSettings(),
        version=AdainSettings.version,
        weights_digest="weights",
        digest=digest,
        representation=digest,
    )


@contextmanager
def step(name: str) -> Iterator[dict[str, Any]]:
    told: dict[str, Any] = {"step": name}
    started, cpu = time.monotonic(), time.process_time()
    yield told
    told |= {"seconds": round(time.monotonic() - started, 1), "cpu": round(time.process_time() - cpu, 1)}
    told["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    print(json.dumps(told), flush=True)


def plan(folder: Folder, kind: str, name: str, *styles: str) -> Plan | None:
    """One step: the chain is read, what is left is drafted, and the plan is published."""
    with step(name) as told:
        ledger = Ledger(folder)
        wanted = Wanted(
            CorpusSettings(uri="s3://bucket/corpus", format=kind),  # type: ignore[arg-type]
            ImageSettings(),
            0,
            tuple(map(make_style, styles)),
            "store",
            "none",
        )
        made = draft_wanted(ledger, wanted, ShardSize)
        placed = made and publish_plan(folder, made.plan, made.planned, len(ledger.chain) + 1)
        told |= {"shards": placed.shards, "contents": placed.contents} if placed else {"contents": 0}
    return placed


def hand_out(folder: Folder) -> None:
    """What the driver holds while it hands out the last plan: orders are made one by one."""
    with step("orders of the last plan") as told:
        ledger = Ledger(folder)
        last = ledger.chain[-1]
        pieces = ledger.pieces(last)
        told["pairs"] = sum(make_order(last, planned, last.corpus).pairs for _, planned in pieces.runs())
        told["shards"] = len(pieces.tally().contents)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("contents", type=lambda text: int(text.replace("_", "")))
    asked = parser.parse_args()
    fsspec.register_implementation("s3", MadeUpStore, clobber=True)
    name, make, per_file = KINDS[asked.kind]
    MadeUpStore.name, MadeUpStore.data = staticmethod(name), make()
    MadeUpStore.count = asked.contents // per_file
    with step("nothing yet"):
        pass
    with tempfile.TemporaryDirectory() as where:
        folder = Folder(where)
        plan(folder, asked.kind, "first plan", "wave")
        hand_out(folder)
        plan(folder, asked.kind, "the same again", "wave")
        MadeUpStore.count += max(1, NEW // per_file)
        plan(folder, asked.kind, "some new contents", "wave")
        plan(folder, asked.kind, "another style", "wave", "ink")
        hand_out(folder)


if __name__ == "__main__":
    main()
