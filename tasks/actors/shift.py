"""A shift: shards handed to whichever actor is free, and what becomes of those that fail.

Ray restarts actors; shards are requeued here. A process that died is charged only to the shard that it had
started; at the second death the contents that it had in hand are tried one by one, and the shard runs again
without those that kill. A lost node or a preemption is nobody's fault, up to a cap.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from tasks.actors.journal import JournalEntry
from tasks.actors.orders import ShardOrder
from tasks.actors.waiting import WaitingOrders
from tasks.dataset.footer import ShardFooter
from tasks.dataset.sink import AbandonedError

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # one at work, one waiting: the actor never idles, and a death loses little
DEATHS_BEFORE_REHEARSAL = 2
MAX_DEATHS = 4
MAX_ERRORS = 3
FREE_LOSSES = 20
WAIT_SECONDS = 1.0
RESTART_POLL_SECONDS = 0.2
RESTART_SECONDS = 300.0

Call = Any  # a ray.ObjectRef, whose type parameter Ray itself leaves open
OnShard = Callable[[ShardFooter], None]


class Crew(Protocol):
    """What a shift needs of a pool."""

    actors: list[Any]

    def entries(self) -> dict[int, JournalEntry]: ...

    def find_killers(self, slot: int, order: ShardOrder, suspects: set[str]) -> frozenset[str]: ...


@dataclass(frozen=True)
class ShardFailure:
    """A shard that was given up, and why."""

    plan: int
    shard: int
    reason: str


@dataclass
class _Cost:
    """What a shard has cost so far. `harmless`: none of its contents kills a process all alone."""

    deaths: int = 0
    errors: int = 0
    losses: int = 0
    suspects: set[str] = field(default_factory=set)
    harmless: bool = False


class Shift:
    """One feeding of a crew with shards."""

    def __init__(self, crew: Crew, orders: Iterable[ShardOrder], on_shard: OnShard) -> None:
        self.given_up: list[ShardFailure] = []
        self._crew, self._on_shard = crew, on_shard
        self._waiting = WaitingOrders(orders)
        self._out: dict[Call, tuple[int, ShardOrder]] = {}
        self._restarting: dict[Call, tuple[int, Any]] = {}
        self._down_since: dict[int, float] = {}
        self._costs: defaultdict[tuple[int, int], _Cost] = defaultdict(_Cost)

    def is_at_work(self) -> bool:
        """Whether a shard still waits or is out."""
        return bool(self._waiting or self._out)

    def step(self) -> None:
        """Hand out what there is room for, then wait a moment for something to end."""
        self._feed()
        ended, _ = ray.wait([*self._out, *self._restarting], num_returns=1, timeout=WAIT_SECONDS)
        for call in ended:
            if call in self._out:
                self._settle(call)
            else:
                self._settle_restart(call)

    def rows_in_hand(self) -> int:
        """Rows made in shards that are out now."""
        out = {(*order.key, order.attempt) for _, order in self._out.values()}
        return sum(entry.rows for entry in self._crew.entries().values() if entry.shard in out)

    def _feed(self) -> None:
        """One round after another, so that shards are spread before they are stacked."""
        load = Counter(slot for slot, _ in self._out.values())
        down = {slot for slot, _ in self._restarting.values()}
        for depth in range(IN_FLIGHT):
            for slot, actor in enumerate(self._crew.actors):
                if self._waiting and slot not in down and load[slot] <= depth:
                    order = self._waiting.popleft()
                    self._out[actor.stylize.remote(order)] = (slot, order)
                    load[slot] += 1

    def _settle(self, call: Call) -> None:
        slot, order = self._out.pop(call)
        try:
            footer = ray.get(call)
        except RayTaskError as error:
            self._settle_error(order, find_cause(error))
        except RayError as error:
            self._settle_death(slot, order, getattr(error, "preempted", False))
        else:
            self._on_shard(footer)  # type: ignore[arg-type]  # mypy takes a Call for several

    def _settle_error(self, order: ShardOrder, error: Exception) -> None:
        """An exception is a bug or the infrastructure: try again, then give the shard up with its reason."""
        cost = self._costs[order.key]
        cost.errors += 1
        if cost.errors >= MAX_ERRORS or isinstance(error, AbandonedError):
            self._give_up(order, f"{type(error).__name__}: {error}")
        else:
            log.warning("shard %d-%d failed and is tried again: %s: %s", *order.key, type(error).__name__, error)
            self._waiting.append(order.again())

    def _settle_death(self, slot: int, order: ShardOrder, preempted: bool) -> None:
        entry = self._crew.entries().get(slot)
        self._watch_restart(slot)
        if entry is None or entry.shard != (*order.key, order.attempt) or preempted or not _is_alive(entry.node):
            self._requeue_free(order)
        else:
            self._charge(slot, order, set(entry.in_hand))

    def _requeue_free(self, order: ShardOrder) -> None:
        cost = self._costs[order.key]
        cost.losses += 1
        if cost.losses > FREE_LOSSES:
            self._give_up(order, f"its process was lost {cost.losses} times through no fault of its own")
        else:
            self._waiting.append(order)

    def _charge(self, slot: int, order: ShardOrder, in_hand: set[str]) -> None:
        cost = self._costs[order.key]
        cost.deaths += 1
        cost.suspects |= in_hand
        log.warning("a process died at shard %d-%d (death %d)", *order.key, cost.deaths)
        killers: frozenset[str] = frozenset()
        if cost.deaths >= DEATHS_BEFORE_REHEARSAL and not cost.harmless:
            killers = self._crew.find_killers(slot, order, cost.suspects)
            self._watch_restart(slot)
            cost.harmless = not killers
        if killers:
            # Explained; the next death would be another content's, and is looked into at once.
            cost.deaths, cost.suspects = DEATHS_BEFORE_REHEARSAL - 1, set()
        if cost.deaths >= MAX_DEATHS:
            self._give_up(order, f"its process died {cost.deaths} times, and no single content is to blame")
        else:
            self._waiting.append(order.again(killers))

    def _watch_restart(self, slot: int) -> None:
        actor = self._crew.actors[slot]
        if all(watched is not actor for _, watched in self._restarting.values()):
            self._restarting[actor.describe.remote()] = (slot, actor)

    def _settle_restart(self, call: Call) -> None:
        """An actor that died is up again, or still on its way; another may have taken its slot since."""
        slot, actor = self._restarting.pop(call)
        if actor is not self._crew.actors[slot]:
            return
        try:
            ray.get(call)
        except ActorUnavailableError as error:
            if time.monotonic() - self._down_since.setdefault(slot, time.monotonic()) > RESTART_SECONDS:
                raise RuntimeError(f"An actor's process dies whenever it starts: {error}") from error
            time.sleep(RESTART_POLL_SECONDS)
            self._watch_restart(slot)
        except RayTaskError as error:
            raise find_cause(error) from error
        except RayActorError as error:
            raise RuntimeError(f"An actor could not start again: {error}") from error
        else:
            self._down_since.pop(slot, None)

    def _give_up(self, order: ShardOrder, reason: str) -> None:
        log.error("shard %d-%d was given up: %s", *order.key, reason)
        self.given_up.append(ShardFailure(*order.key, reason))


def find_cause(error: RayTaskError) -> Exception:
    """The exception that an actor raised."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else error


def _is_alive(node_id: str) -> bool:
    """Whether the node that an actor ran on is still there."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())
