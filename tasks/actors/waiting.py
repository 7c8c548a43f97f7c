"""Orders that wait for an actor, made one by one as they are handed out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from tasks.actors.orders import ShardOrder


class WaitingOrders:
    """A queue over orders that are made as they are needed: a plan of a million shards is never in memory whole."""

    def __init__(self, orders: Iterable[ShardOrder]) -> None:
        self._rest = iter(orders)
        self._next: deque[ShardOrder] = deque()
        self._back: deque[ShardOrder] = deque()

    def __bool__(self) -> bool:
        """Whether an order waits; the next one is made to know."""
        if not self._next:
            self._next.extend(islice(self._rest, 1))
        return bool(self._next or self._back)

    def popleft(self) -> ShardOrder:
        """The next order; those that came back wait for all others. Raises IndexError where none is left."""
        return self._next.popleft() if self and self._next else self._back.popleft()

    def append(self, order: ShardOrder) -> None:
        """An order that comes back."""
        self._back.append(order)

    def extend(self, orders: Iterable[ShardOrder]) -> None:
        """Orders that come back."""
        self._back.extend(orders)
