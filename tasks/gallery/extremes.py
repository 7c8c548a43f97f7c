"""The records that score highest and lowest, with their pictures."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.dataset.ledger import read_rows
from tasks.gallery.tally import Place, ScoreTally
from tasks.records import SCORES, ImageError
from tasks.report.model import Extremes, ScoredRecord
from tasks.report.thumbnails import thumbnail
from tasks.storage import Folder

SIDE = 256
COLUMNS = ["content_id", "style", "image", *SCORES]


def read_extremes(folder: Folder, scores: ScoreTally) -> Extremes | None:
    """Best and worst records by score; only row groups that hold them are read. None where nothing is scored."""
    ends = scores.ends()
    if ends is None:
        return None
    score, best, worst = ends
    records = _read(folder, [*best, *worst])
    return Extremes(score, [records[place] for place in best], [records[place] for place in worst])


def _read(folder: Folder, places: Sequence[Place]) -> dict[Place, ScoredRecord]:
    records = {}
    for shard in sorted({place.shard for place in places}):
        rows = sorted(place.row for place in places if place.shard == shard)
        for row, values in zip(rows, read_rows(folder, shard, rows, COLUMNS).to_pylist(), strict=True):
            scores = {name: values[name] for name in SCORES}
            picture = _thumbnail(values["image"]["bytes"])
            records[Place(shard, row)] = ScoredRecord(values["content_id"], values["style"], picture, scores)
    return records


def _thumbnail(data: bytes) -> bytes | None:
    try:
        return thumbnail(data, SIDE)
    except ImageError:
        return None
