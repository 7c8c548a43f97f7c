"""Scores of a style, reduced to what the page draws: a few at a time, in memory that does not grow with them.

Dimension key: N scores, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.report.model import ScoreSummary

PERCENTS = np.arange(101)
# Cosines from -1 to 1; a bin is half of the last digit that is shown.
BINS = 4096
WIDTH = 2.0 / BINS


class Spread:
    """Cosines of one score: count, mean, lowest and highest exact, percentiles to within a bin of 0.0005."""

    def __init__(self) -> None:
        self.counts_B = np.zeros(BINS, np.int64)
        self.sum, self.low, self.high = 0.0, np.inf, -np.inf

    def add(self, scores_N: NDArray[np.floating]) -> None:
        """Count more scores; what is not finite is passed over."""
        finite_N = scores_N[np.isfinite(scores_N)].astype(np.float64)
        if finite_N.size:
            bins_N = np.clip((finite_N + 1) / WIDTH, 0, BINS - 1).astype(np.int64)
            self.counts_B += np.bincount(bins_N, minlength=BINS)
            self.sum += float(finite_N.sum())
            self.low, self.high = min(self.low, float(finite_N.min())), max(self.high, float(finite_N.max()))

    def summary(self) -> ScoreSummary | None:
        """What was counted; None where nothing was."""
        count = int(self.counts_B.sum())
        if not count:
            return None
        places = PERCENTS / 100 * (count - 1)
        below, above = self._order(np.floor(places)), self._order(np.ceil(places))
        values = np.clip(below + (above - below) * (places % 1), self.low, self.high)
        values[0], values[-1] = self.low, self.high
        return ScoreSummary(count, tuple(values.tolist()), self.sum / count)

    def _order(self, ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of some ranks (from 0), as if those of a bin were spread evenly over it."""
        ends_B = np.cumsum(self.counts_B)
        bins = np.searchsorted(ends_B, ranks, side="right")
        within = (ranks - (ends_B - self.counts_B)[bins] + 0.5) / self.counts_B[bins]
        values: NDArray[np.float64] = (bins + within) * WIDTH - 1
        return values


def shares_between(summary: ScoreSummary, edges: Sequence[float]) -> list[float]:
    """Share of the scores in each interval between neighbouring edges, read off the percentiles."""
    below = np.interp(edges, summary.percentiles, PERCENTS / 100, left=0.0, right=1.0)
    return [float(share) for share in np.diff(below)]
