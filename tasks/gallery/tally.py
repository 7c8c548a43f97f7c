"""One pass over the scores of all records: counts and spreads a style, and the records at both ends.

Dimension key: N rows of a shard.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.ledger import READERS, Ledger, read_columns, shard_name, wanted_digests
from tasks.records import SCORES
from tasks.report.distributions import Spread
from tasks.report.model import ScoreSummary

COLUMNS = ["style_digest", "clip_model", *SCORES]
REGIONS, DRAW = "regions", "draw"  # shards of before there were any have no such columns
# Records are ranked by the first of these that a dataset has: the score along the style, else to its text or picture.
RANKING = ("clip_direction", "clip_text", "clip_image")
ENDS = 6


@dataclass(frozen=True, order=True)
class Place:
    """A record by its shard's name and its row there."""

    shard: str
    row: int


@dataclass
class Mean:
    """A mean that grows."""

    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count one value more."""
        self.count, self.total = self.count + 1, self.total + value

    @property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return self.total / self.count if self.count else None


# Of composite styles, by (style, reference).
Means = dict[tuple[int, int], Mean]


@dataclass
class ScoreTally:
    """What one CLIP model said: spreads by (style, score), and by score the records at its ends, with their number.

    `directions` are of references in their own parts of pictures: how far each part changed along its own direction.
    """

    spreads: dict[tuple[int, str], Spread] = field(default_factory=lambda: defaultdict(Spread))
    best: dict[str, list[tuple[float, Place]]] = field(default_factory=lambda: defaultdict(list))
    worst: dict[str, list[tuple[float, Place]]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    directions: Means = field(default_factory=lambda: defaultdict(Mean))
    records: int = 0

    def add_spreads(self, style: int, scores: Mapping[str, Any]) -> None:
        """Count the scores of one style's rows."""
        for name, scores_N in scores.items():
            self.spreads[style, name].add(scores_N)

    def add_ends(self, shard: str, rows_N: Any, scores: Mapping[str, Any]) -> None:
        """Keep what lies at an end of each ranking; of equal scores, what comes first in the dataset."""
        for name in RANKING:
            finite_N = np.flatnonzero(np.isfinite(scores[name]))
            self.counts[name] += len(finite_N)
            for kept, sign in ((self.best, -1), (self.worst, 1)):
                signed_N = sign * scores[name][finite_N]
                first = np.argsort(signed_N, kind="stable")[:ENDS]
                found = [(float(signed_N[i]), Place(shard, int(rows_N[finite_N[i]]))) for i in first]
                kept[name] = heapq.nsmallest(ENDS, kept[name] + found)

    def summaries(self, style: int) -> dict[str, ScoreSummary]:
        """Each score of a style, where it has any."""
        found = {name: self.spreads[style, name].summary() for name in SCORES if (style, name) in self.spreads}
        return {name: summary for name, summary in found.items() if summary is not None}

    def ends(self) -> tuple[str, list[Place], list[Place]] | None:
        """(score, best places, worst places), never one record in both; None where nothing is scored."""
        name = next((name for name in RANKING if self.counts[name]), None)
        if name is None:
            return None
        best, worst = min(ENDS, (self.counts[name] + 1) // 2), min(ENDS, self.counts[name] // 2)
        return name, [p for _, p in self.best[name][:best]], [p for _, p in self.worst[name][:worst]]


class Tally:
    """Counts of all styles, and of the first `drawn` ones what is drawn: spreads, and the shards that hold them.

    Styles are numbered as in `digests`. Scores of two CLIP models do not compare: each is counted on its own, and
    `scores` are those of the model that scored the newest records. `shares` are of all records: how much of the
    pictures each reference of a composite style has.
    """

    def __init__(self, digests: Sequence[str], drawn: int) -> None:
        self._digests, self._drawn = pa.array(digests, pa.string()), drawn
        self._models: dict[str, ScoreTally] = {}
        self.records = np.zeros(len(digests), np.int64)
        self.holders: dict[int, list[str]] = defaultdict(list)
        self.shares: Means = defaultdict(Mean)

    def add(self, shard: str, table: pa.Table) -> None:
        """Count the records of a shard (`COLUMNS`); later plans come later."""
        styles_N = pc.fill_null(pc.index_in(wanted_digests(table), value_set=self._digests), -1).to_numpy()
        self.records += np.bincount(styles_N[styles_N >= 0], minlength=len(self.records))
        drawn = [int(style) for style in np.unique(styles_N) if 0 <= style < self._drawn]
        for style in drawn:
            self.holders[style].append(shard)
            _add_regions(self.shares, style, table, np.flatnonzero(styles_N == style), "share")
        for model in filter(None, pc.unique(table["clip_model"]).to_pylist()):
            rows_N = np.flatnonzero(pc.fill_null(pc.equal(table["clip_model"], model), False).to_numpy())
            scores = {name: table[name].to_numpy()[rows_N] for name in SCORES}
            # Put last: the newest model is the last one.
            tally = self._models[model] = self._models.pop(model, ScoreTally())
            tally.records += len(rows_N)
            tally.add_ends(shard, rows_N, scores)
            for style in drawn:
                chosen_N = styles_N[rows_N] == style
                tally.add_spreads(style, {name: scores_N[chosen_N] for name, scores_N in scores.items()})
                _add_regions(tally.directions, style, table, rows_N[chosen_N], "clip_direction")

    @property
    def model(self) -> str:
        """Name of the model behind `scores`; empty where there are none."""
        return next(reversed(self._models), "")

    @property
    def scores(self) -> ScoreTally:
        """Scores of the newest model."""
        return self._models.get(self.model) or ScoreTally()

    @property
    def scored_by_others(self) -> int:
        """Records that another model scored."""
        return sum(tally.records for model, tally in self._models.items() if model != self.model)


def _add_regions(means: Means, style: int, table: pa.Table, rows_N: Any, name: str) -> None:
    """Count what some rows of one style say of each reference's region."""
    if REGIONS in table.column_names:
        for part in pc.list_flatten(table[REGIONS].take(rows_N)).to_pylist():
            if part[name] is not None:
                means[style, part["reference"]].add(part[name])


def tally_records(ledger: Ledger, digests: Sequence[str], drawn: int) -> Tally:
    """Tally every committed shard, in order; no picture is read, and a few shards at a time are in memory."""
    tally = Tally(digests, drawn)
    for shard, table in _tables(ledger):
        tally.add(shard, table)
    return tally


def _tables(ledger: Ledger) -> Iterator[tuple[str, pa.Table]]:
    names = [f"data/{shard_name(*key)}" for key, (footer, rows) in ledger.footers.items() if footer and rows]
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(names), READERS):
            some = names[start : start + READERS]
            tables = pool.map(lambda name: read_columns(ledger.folder, name, [*COLUMNS, REGIONS, DRAW]), some)
            yield from zip(some, tables, strict=True)
