"""Whether a run is worth going on with, by what became of its shards so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.dataset.footer import ShardFooter

# A share of failures is judged by so many records, and never below a half: a corpus may begin with its worst part.
JUDGED_RECORDS = 200
HOPELESS_SHARE = 0.5
# Shards given up one after another, before any was committed. Each was tried several times.
JUDGED_SHARDS = 4


@dataclass(frozen=True)
class ShardFailure:
    """A shard that was given up, and why."""

    plan: int
    shard: int
    reason: str


class HopelessError(RuntimeError):
    """The run was stopped early, with the shards that had been given up by then; what is committed stays."""

    def __init__(self, sentence: str, given_up: Sequence[ShardFailure]) -> None:
        super().__init__(sentence)
        self.given_up = list(given_up)


class Hope:
    """The records that failed and the shards that were given up. `max_failed` above a half allows more."""

    def __init__(self, max_failed: float) -> None:
        self._share = max(HOPELESS_SHARE, max_failed)
        self._records = self._failed = self._shards = 0

    def add(self, footer: ShardFooter) -> None:
        """A shard was committed."""
        self._records += footer.records + footer.failed
        self._failed += footer.failed
        self._shards += 1

    def check(self, given_up: Sequence[ShardFailure]) -> None:
        """Raises HopelessError, one sentence that says what to do."""
        if self._records >= JUDGED_RECORDS and self._failed > self._share * self._records:
            raise HopelessError(
                f"Stopped early: {self._failed} of the first {self._records} records failed; their reasons are in "
                "failures/ and in the report. With `max_failed: 1` a run goes on all the same.",
                given_up,
            )
        if not self._shards and len(given_up) >= JUDGED_SHARDS:
            raise HopelessError(
                f"Stopped early: the first {len(given_up)} shards were all given up, the last for this reason: "
                f"{given_up[-1].reason}",
                given_up,
            )
