"""Best and worst records: their own pictures and scores."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
from PIL import Image

from tasks.dataset.ledger import Ledger
from tasks.gallery.extremes import read_extremes
from tasks.gallery.tally import ScoreTally, tally_records


def test_best_and_worst_are_those_of_the_whole_dataset(ledger: Ledger) -> None:
    digests = [style.digest for plan in ledger.chain for style in plan.styles]
    found = read_extremes(ledger.folder, tally_records(ledger, digests, 48).scores)
    assert found is not None
    names = ["content_id", "style", "clip_direction"]
    tables = [pq.read_table(f"{ledger.folder.uri}/{name}", columns=names) for name in ledger.data]
    rows = [row for table in tables for row in table.to_pylist()]
    rows.sort(key=lambda row: -row["clip_direction"])
    assert found.score == "clip_direction"
    for shown, expected in ((found.best, rows[:6]), (found.worst, rows[:-7:-1])):
        assert [(r.content_id, r.style, r.scores["clip_direction"]) for r in shown] == [
            tuple(row.values()) for row in expected
        ]
    for record in (*found.best, *found.worst):
        assert record.image is not None
        # Each photograph has a width of its own; what is wider than 64 was scaled down.
        width = 32 + 8 * int(record.content_id.removesuffix(".png"))
        assert Image.open(io.BytesIO(record.image)).size == (min(64, width), round(40 * min(1, 64 / width)))


def test_without_scores_there_are_none(ledger: Ledger) -> None:
    assert read_extremes(ledger.folder, ScoreTally()) is None
