"""A few contents beside their pictures, read from the corpus and from the shards that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry, Piece
from tasks.corpus.prompts import PromptCorpus
from tasks.dataset.ledger import Ledger, shard_name
from tasks.ownership import part
from tasks.plan import Plan
from tasks.records import SCORES, ImageError, RequestError
from tasks.report.model import GalleryCell, GalleryRow
from tasks.report.thumbnails import thumbnail

CONTENTS = 12
STYLES = 8
SIDE = 256
COLUMNS = ["content_id", "style", "draw", "image", *SCORES]
Chosen = dict[str, tuple[Plan, Piece]]  # by content id
Value = TypeVar("Value")


def gallery_rows(ledger: Ledger) -> Iterator[GalleryRow]:
    """Contents spread evenly over the newest corpus, in the newest styles; failures show as such."""
    plans = wanted_plans(ledger)
    if not plans:
        return
    chosen = choose_contents(ledger, plans[0], CONTENTS)
    known = (style for plan in reversed(plans) for style in ledger.forgotten.keep_styles(plan.styles))
    styles = list(dict.fromkeys(style.name for style in known))[:STYLES]
    cells = read_cells(ledger, set(chosen), set(styles), SIDE)  # by the draw's name, where a style was drawn
    for content_id, (plan, piece) in chosen.items():
        row = [cells.get((content_id, style)) for style in styles]
        yield show_row(plan, piece, content_id, SIDE, [cell for cell in row if cell])


def wanted_plans(ledger: Ledger) -> list[Plan]:
    """Plans of what jobs asked for, in order, without those that were given up."""
    return [plan for plan in ledger.chain if plan.kind == "wanted" and plan.seq not in ledger.abandoned]


def has_prompts(plan: Plan) -> bool:
    """Whether a plan's contents are prompts, which have no pictures."""
    return plan.corpus.format == PromptCorpus.format


def read_content(plan: Plan, piece: Piece, content_id: str) -> Entry | None:
    """A content's own picture or prompt; None where it is gone or its store fails: a report goes on without."""
    row = piece.content_ids().index(content_id)
    single = part(piece, piece.first_row + row, piece.first_row + row + 1) if piece.rows else piece
    try:
        return next(iter(open_corpus(plan.corpus).read(single)))
    except (RequestError, ImageError, OSError):
        return None


def choose_contents(ledger: Ledger, plan: Plan, count: int) -> Chosen:
    """At most `count` contents of a plan, spread evenly; none that was taken down."""
    planned = ledger.pieces(plan)
    step = max(1, len(planned) // count)
    pieces = islice(ledger.forgotten.keep_pieces(p.piece for p in planned[::step][:count]), count)
    return {piece.content_ids()[0]: (plan, piece) for piece in pieces}


def spread(values: Sequence[Value], count: int) -> list[Value]:
    """At most `count` of them, evenly from the first to the last."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]


def read_cells(ledger: Ledger, contents: set[str], styles: set[str], side: int) -> dict[tuple[str, str], GalleryCell]:
    """Pictures of at most `side` pixels, and failures, by (content, style); a later plan's stand over an earlier's."""
    cells: dict[tuple[str, str], GalleryCell] = {}
    draws = {style.digest: style.name for plan in ledger.chain for style in plan.styles if style.draw is not None}
    for seq, shard in _shards_of(ledger, contents):
        footer, rows = ledger.footers.get((seq, shard), (None, 0))
        failures = footer.failure_table() if footer else None
        for row in failures.to_pylist() if failures is not None else []:
            if row["content_id"] in contents:
                failed = GalleryCell(row["style"], None, failure=f"{row['error_class']}: {row['error_message']}")
                cells[row["content_id"], draws.get(row.get("draw") or "", row["style"])] = failed
        for row in _read(ledger, f"data/{shard_name(seq, shard)}", contents, styles, draws) if footer and rows else []:
            scores = {score: row[score] for score in SCORES if row[score] is not None}
            cells[row["content_id"], draws.get(row.get("draw") or "", row["style"])] = GalleryCell(
                row["style"], thumbnail(row["image"]["bytes"], side), scores
            )
    return cells


def _shards_of(ledger: Ledger, contents: set[str]) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], None] = {}
    for plan in ledger.chain:
        for planned in ledger.pieces(plan):
            if contents.intersection(planned.piece.content_ids()):
                found[plan.seq, planned.shard] = None
    return list(found)


def _read(
    ledger: Ledger, name: str, contents: set[str], styles: set[str], draws: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of a shard, a row group at a time: a group of other styles or contents is skipped."""
    digests = pa.array(sorted(digest for digest, name in draws.items() if name in styles), pa.string())
    rows: list[dict[str, Any]] = []
    with ledger.folder.open(name) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=["content_id", "style", "draw"])
            chosen = pc.is_in(keys["style"], pa.array(sorted(styles)))
            if "draw" in keys.column_names:
                chosen = pc.or_(chosen, pc.is_in(keys["draw"], digests))
            wanted = pc.and_(pc.is_in(keys["content_id"], pa.array(sorted(contents))), chosen)
            if pc.any(wanted).as_py():
                rows += file.read_row_group(group, columns=COLUMNS).filter(wanted).to_pylist()
    return rows


def show_row(plan: Plan, piece: Piece, content_id: str, side: int, cells: Sequence[GalleryCell]) -> GalleryRow:
    """Pictures beside their content: a picture of at most `side` pixels a side, a prompt, or what is gone.

    A content that became no picture is not read: it may have taken down the process that tried.
    """
    is_harmless = any(cell.image is not None for cell in cells) or has_prompts(plan)
    entry = read_content(plan, piece, content_id) if is_harmless else None
    try:
        picture = thumbnail(entry.data, side) if entry and entry.data else None
    except ImageError:
        picture = None
    return GalleryRow(content_id, picture, cells, (entry.prompt if entry else None) or "")
