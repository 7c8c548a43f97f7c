"""A bar on stderr, for whatever takes long."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


def make_bar(total: int, unit: str) -> Any:
    """A bar on stderr: a log file gets a line now and then, a terminal a bar that moves."""
    interval = 0.5 if sys.stderr.isatty() else 15.0
    return tqdm(total=total, unit=unit, file=sys.stderr, mininterval=interval, smoothing=0.1)


class LateBar:
    """A bar that appears with the first step, when it is known how many there are."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Go on by so many of so many."""
        if self._bar is None:
            self._bar = make_bar(total, self._unit)
        self._bar.update(done)
