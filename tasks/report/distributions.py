"""Scores of a style, reduced to what the page draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tasks.report.model import ScoreSummary

PERCENTS = np.arange(101)


def summarize_scores(values: Iterable[float | None]) -> ScoreSummary | None:
    """Percentiles of the finite values; None where there are none."""
    present = np.array([value for value in values if value is not None], dtype=np.float64)
    finite = present[np.isfinite(present)]
    if finite.size == 0:
        return None
    return ScoreSummary(int(finite.size), tuple(np.percentile(finite, PERCENTS).tolist()))


def shares_between(summary: ScoreSummary, edges: Sequence[float]) -> list[float]:
    """Share of the scores in each interval between neighbouring edges, read off the percentiles."""
    below = np.interp(edges, summary.percentiles, PERCENTS / 100, left=0.0, right=1.0)
    return [float(share) for share in np.diff(below)]
