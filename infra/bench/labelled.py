"""What do styles from a table of WikiArt's size cost? python -m infra.bench.labelled [--shards 72] [--bytes 30000].

Writes shards in the schema of `huggan/wikiart`, then measures reading labels, drawing pictures (read, decoded, copied),
drawing them again in this process and from the copies alone, and reading one row: seconds, bytes read, peak memory.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tasks.labelled import draw, labels, rows
from tasks.labelled.rows import RowReader
from tasks.labelled.selection import select
from tasks.labelled.settings import TableSettings
from tasks.storage import Folder

CLASSES = {"artist": 129, "genre": 11, "style": 27}
ROWS = 1131  # 81,444 pictures in 72 shards
# What `datasets` writes at one time by default; how large the real row groups are, nobody here has seen.
GROUP_ROWS = 1000
T = TypeVar("T")


def main() -> None:
    """Write a table and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=72)
    parser.add_argument("--bytes", type=int, default=30_000, help="of a picture; WikiArt's have 467,000")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, whose memory is not measured.
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            other.submit(write_table, Path(folder), given.shards, given.bytes).result()
        settings = TableSettings(table=f"{folder}/data", by="artist", at_most=given.classes, pictures=given.pictures)
        store = Folder(f"{folder}/store")
        selected = clock("labels", lambda: select(settings, print))
        drawn = clock("draw", lambda: draw.draw(selected, print, store))
        clock("draw again", lambda: draw.draw(select(settings, _ignore), _ignore, store))
        _forget()
        clock("draw from copies", lambda: draw.draw(select(settings, _ignore), _ignore, store))
        places = [place for some in drawn.values() for place in some]
        groups = {(place.file, place.row // GROUP_ROWS) for place in places}
        print(f"{len(places)} pictures of {len(groups)} row groups")
        clock("one row", lambda: RowReader().read(places[0]))


def write_table(folder: Path, shards: int, size: int) -> None:
    """Shards below `data/`; names of classes in a `dataset_infos.json` above them."""
    names = {column: [f"{column}-{number}" for number in range(count)] for column, count in CLASSES.items()}
    features = {column: {"_type": "ClassLabel", "names": some} for column, some in names.items()}
    infos = {"huggan--wikiart": {"features": {"image": {"_type": "Image"}, **features}}}
    (folder / "dataset_infos.json").write_text(json.dumps(infos))
    (folder / "data").mkdir()
    rng = np.random.default_rng(0)
    picture, noise = _picture(), os.urandom(size + 2**20)
    chances = {column: 1 / np.arange(1, count + 1) for column, count in CLASSES.items()}
    for shard in range(shards):
        starts = rng.integers(2**20, size=ROWS).tolist()
        pictures = [{"bytes": picture + noise[start : start + size - len(picture)], "path": None} for start in starts]
        columns = {column: rng.choice(len(p), ROWS, p=p / p.sum()) for column, p in chances.items()}
        path = folder / f"data/train-{shard:05d}-of-{shards:05d}.parquet"
        pq.write_table(pa.table({"image": pictures, **columns}), path, row_group_size=GROUP_ROWS)


def _forget() -> None:
    """Know no more than another process does."""
    draw.ROWS = labels.ROWS = rows.ROWS = RowReader()


def _ignore(_: str) -> None:
    """Say nothing."""


def clock(what: str, work: Callable[[], T]) -> T:
    """Print what a piece of work took."""
    started, read, cpu = time.perf_counter(), _bytes_read(), time.process_time()
    result = work()
    wall, busy = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {wall:.1f} s, {busy:.1f} s of one core, {(_bytes_read() - read) / 1e6:.1f} MB, peak {peak:.0f} MB")
    return result


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def _picture() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    main()
