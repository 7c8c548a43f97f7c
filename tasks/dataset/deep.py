"""The deep verification: every page and every picture of every shard is read, decoded, and held against its plan."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow.parquet as pq

from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.sink import picture_path
from tasks.dataset.verify import Verification, check
from tasks.images.decoding import inspect
from tasks.images.encoding import suffix
from tasks.plan import Plan
from tasks.records import ImageError
from tasks.styles import PlannedStyle, pair_seed

# Rows whose pictures are in memory at once, beside the row group that they come from; for each thread.
ROWS = 16
# Of a shard whose pictures are all bad, so many are named.
NAMED = 5
OnRows = Callable[[int], None]
# What a record repeats of its style.
REPEATED = {
    "style": "name",
    "method_version": "version",
    "weights_digest": "weights_digest",
    "representation": "representation",
}


def check_deeply(ledger: Ledger, on_rows: OnRows = lambda _: None, threads: int | None = None) -> Verification:
    """As `check`, and then every picture: `on_rows` is called with the number of records that were looked at.

    Pages written by this atelier have checksums, so that a flipped bit is found where a picture still decodes.
    """
    found = check(ledger)
    keys = [key for key, (footer, rows) in ledger.footers.items() if footer is not None and rows > 0]
    plans = {plan.seq: plan for plan in ledger.chain}
    # Decoding releases Python's lock, and reading waits for the store.
    with ThreadPoolExecutor(threads or max(2, os.cpu_count() or 1)) as pool:
        for pictures, problems in pool.map(lambda key: _check_shard(ledger, plans[key[0]], key[1], on_rows), keys):
            found.pictures += pictures
            found.problems += problems
    return found


def _check_shard(ledger: Ledger, plan: Plan, shard: int, on_rows: OnRows) -> tuple[int, list[str]]:
    """Pictures that are good, and what is wrong with the others, by the shard's name."""
    name = f"data/{shard_name(plan.seq, shard)}"
    good, bad = 0, list[str]()
    try:
        with ledger.folder.open(name) as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                for problem in _check_group(file, group, plan, shard, on_rows):
                    good, bad = good + (problem is None), bad + ([problem] if problem else [])
    except (ValueError, OSError) as error:
        bad.insert(0, f"cannot be read ({type(error).__name__})")
    more = [f"and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
    return good, [f"{name}: {problem}" for problem in bad[:NAMED] + more]


def _check_group(file: pq.ParquetFile, group: int, plan: Plan, shard: int, on_rows: OnRows) -> Iterator[str | None]:
    """For each row what is wrong with it, or None; a row group that is damaged is one problem."""
    styles = {style.digest: style for style in plan.styles}
    try:
        for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], use_threads=False):
            for row in batch.to_pylist():
                problem = _check_row(row, plan, shard, styles)
                yield f"{row['content_id']} as {row['style']}: {problem}" if problem else None
            on_rows(batch.num_rows)
    except (ValueError, OSError) as error:
        yield f"row group {group} is damaged ({shorten(error)})"


def _check_row(row: Mapping[str, Any], plan: Plan, shard: int, styles: Mapping[str, PlannedStyle]) -> str | None:
    drawn = row.get("draw")
    style = styles.get(drawn or row["style_digest"])
    if style is None:
        return "its style_digest is of no style of the plan"
    # What a draw gave is proven by `check`.
    repeated = REPEATED if drawn is None else {}
    expected: dict[str, Any] = {column: getattr(style, name) for column, name in repeated.items()}
    expected |= {"method": style.method.name, "plan": plan.seq, "shard": shard}
    if drawn is None:
        expected["seed"] = pair_seed(plan.seed, row["content_id"], style.digest)
    wrong = [column for column, value in expected.items() if row[column] != value]
    if wrong:
        return f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not as planned"
    return _check_picture(row, plan)


def _check_picture(row: Mapping[str, Any], plan: Plan) -> str | None:
    image = row["image"] or {}
    if image.get("path") != picture_path(row["content_id"], row["style"], suffix(plan.images)):
        return "image.path is not that of its pair"
    try:
        codec, width, height = inspect(image.get("bytes") or b"")
    except ImageError as error:
        return str(error)
    if codec != plan.images.codec:
        return f"the picture is {codec}, not {plan.images.codec}"
    if (width, height) != (row["width"], row["height"]):
        return f"the picture is {width}x{height}, not {row['width']}x{row['height']}"
    return None


def shorten(error: Exception) -> str:
    """The first words of what Arrow says."""
    return str(error).split("\n")[0][:120]
