"""A short hunt in every run of the tests, and the long one: nothing crashes, hangs, or raises what nobody expects."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import TARGETS, describe
from tests.fuzz.broken import prepare_broken_readers
from tests.fuzz.sandbox import run_cases

# About half a minute together on two idle cores.
CASES = {"pictures": 2000, "jobs": 1000, "corpora": 400, "weights": 600}


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_is_read_is_taken_or_refused(target: str) -> None:
    tally = run_cases(TARGETS[target], range(CASES[target]))
    assert tally.findings == [], describe(target, tally)
    assert tally.outcomes.total() == CASES[target]
    assert len(tally.outcomes) > 1, "every case had the same end: the seeds or the mutations are no good"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_ten_thousand_of_each(target: str) -> None:
    tally = run_cases(TARGETS[target], range(10_000, 22_000))
    assert tally.findings == [], describe(target, tally)


def test_the_sandbox_notices_crashes_hangs_wrong_errors_and_memory() -> None:
    tally = run_cases(prepare_broken_readers, range(9), seconds=2)
    assert [(one.case, one.kind) for one in tally.findings] == [(1, "crash"), (3, "hang"), (5, "wrong"), (7, "wrong")]
    assert "MemoryError" in tally.findings[-1].detail
    assert tally.outcomes["fine"] == 5
