"""Orders are made as they are handed out, and those that come back wait for all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.actors.waiting import WaitingOrders


def test_orders_are_made_one_by_one_and_come_back_at_the_end() -> None:
    made: list[int] = []

    def make() -> Iterator[Any]:
        for number in range(5):
            made.append(number)
            yield number

    waiting = WaitingOrders(make())
    assert waiting
    assert (waiting.popleft(), waiting.popleft()) == (0, 1)
    assert made == [0, 1]
    waiting.append("back")  # type: ignore[arg-type]  # an order, to the queue, is anything
    assert [waiting.popleft() for _ in range(4)] == [2, 3, 4, "back"]
    assert not waiting
    waiting.extend(["again"])  # type: ignore[list-item]
    assert waiting
    assert waiting.popleft() == "again"
    with pytest.raises(IndexError):
        waiting.popleft()
