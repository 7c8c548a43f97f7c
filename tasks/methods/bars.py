"""Bars on stderr for what takes a method long. Where stderr is far from the user, as an actor's is, others listen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

INTERVAL_SECONDS = 5.0  # between two states of a bar

_listeners: list[Callable[[str], None]] = []
_told_at = [0.0]


class Bar(tqdm):  # type: ignore[type-arg]  # of anything, or of nothing where steps are told by `update`
    """A bar of steps that tells listeners what it shows: "learning wave: 1200 of 6100, loss=0.1241"."""

    def __init__(self, steps: Iterable[Any] | None = None, *, desc: str, total: int | None = None) -> None:
        super().__init__(steps, desc=desc, total=total, unit="step", mininterval=INTERVAL_SECONDS)

    def display(self, *args: Any, **options: Any) -> None:
        """Show the bar; called by tqdm at the start, at intervals, and at the end."""
        super().display(*args, **options)
        postfix = f", {self.postfix}" if self.postfix else ""
        for listener in _listeners:
            listener(f"{self.desc.removesuffix(': ')}: {self.n} of {self.total}{postfix}")


def tell(text: str) -> None:
    """Tell listeners what takes long and has no bar, at most every few seconds: who is silent is taken for stuck."""
    if time.monotonic() - _told_at[0] < INTERVAL_SECONDS:
        return
    _told_at[0] = time.monotonic()
    for listener in _listeners:
        listener(text)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Call it with what bars show until the block ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
