"""A shift: shards handed to whichever actor is free, and what becomes of those that fail.

Ray restarts actors; shards are requeued here. A process that died, or made no progress and was ended, is charged only
to the shard that it had started; at the second time the contents that it had in hand are tried one by one, and the
shard runs again without those that did it. A lost node, a drained one or a process that was asked to end is nobody's
fault, up to a cap.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from tasks.actors.crew import Crew
from tasks.actors.hope import Hope, ShardFailure
from tasks.actors.journal import JournalEntry
from tasks.actors.nodes import draining_nodes, is_alive
from tasks.actors.orders import ShardOrder
from tasks.actors.waiting import WaitingOrders
from tasks.credentials import hide_secrets
from tasks.dataset.footer import ShardFooter
from tasks.dataset.sink import AbandonedError

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # one at work, one waiting: the actor never idles, and a death loses little
DEATHS_BEFORE_REHEARSAL = 2
MAX_DEATHS = 4
MAX_ERRORS = 3
ERROR_PAUSE_SECONDS = 2.0  # before the second try at a shard, twice that before the third: a store may recover
FREE_LOSSES = 20
WAIT_SECONDS = 1.0
RESTART_POLL_SECONDS = 0.2
RESTART_SECONDS = 300.0
# Ray declares a node dead up to 18 s after its raylet was killed (facts/infra.md 5); its processes die before that.
DOUBT_SECONDS = 40.0

Call = Any  # a ray.ObjectRef, whose type parameter Ray itself leaves open
OnShard = Callable[[ShardFooter], None]


@dataclass
class _Cost:
    """What a shard has cost so far. `harmless`: none of its contents takes a process down all alone."""

    deaths: int = 0
    errors: int = 0
    losses: int = 0
    suspects: set[str] = field(default_factory=set)
    harmless: bool = False


@dataclass(frozen=True)
class _Death:
    """A process that died at a shard, until it is known whether its node died with it."""

    slot: int
    order: ShardOrder
    entry: JournalEntry
    hung: bool
    since: float


class Shift:
    """One feeding of a crew with shards."""

    def __init__(
        self,
        crew: Crew,
        orders: Iterable[ShardOrder],
        on_shard: OnShard,
        max_failed: float = 1.0,
        total: int | None = None,
    ) -> None:
        """`total` says how many orders there are where they are made as they are handed out."""
        self.given_up: list[ShardFailure] = []
        self._crew, self._on_shard = crew, on_shard
        self._total, self._done = total or length_hint(orders), 0
        self._hope = Hope(max_failed)
        self._waiting = WaitingOrders(orders)
        self._resting: list[tuple[float, ShardOrder]] = []
        self._out: dict[Call, tuple[int, ShardOrder]] = {}
        self._busy_since: dict[int, float] = {}
        self._hung: set[int] = set()
        self._doubted: list[_Death] = []
        self._restarting: dict[Call, tuple[int, Any]] = {}
        self._down_since: dict[int, float] = {}
        self._looked = time.monotonic()
        self._costs: defaultdict[tuple[int, int], _Cost] = defaultdict(_Cost)

    def is_at_work(self) -> bool:
        """Whether a shard still waits or is out."""
        return bool(self._waiting or self._resting or self._out or self._doubted)

    def step(self) -> None:
        """Hand out what there is room for, then wait a moment for something to end. Raises HopelessError."""
        self._wake()
        self._feed()
        calls = [*self._out, *self._restarting]
        if not calls:
            time.sleep(RESTART_POLL_SECONDS)
        for call in ray.wait(calls, num_returns=1, timeout=WAIT_SECONDS)[0] if calls else ():
            if call in self._out:
                self._settle(call)
            else:
                self._settle_restart(call)
        self._settle_doubted()
        self._look_after_actors()
        self._hope.check(self.given_up)

    def depths(self) -> dict[str, int]:
        """Shards that wait, are out, and were given up."""
        return {
            "shards_waiting": max(0, self._total - self._done - len(self._out) - len(self.given_up)),
            "shards_out": len(self._out),
            "shards_given_up": len(self.given_up),
        }

    def rows_in_hand(self) -> int:
        """Rows made in shards that are out now."""
        out = {(*order.key, order.attempt) for _, order in self._out.values()}
        return sum(entry.rows for entry in self._crew.entries().values() if entry.shard in out)

    def _wake(self) -> None:
        now = time.monotonic()
        self._waiting.extend(order for until, order in self._resting if until <= now)
        self._resting = [(until, order) for until, order in self._resting if until > now]

    def _feed(self) -> None:
        """One round after another, so that shards are spread before they are stacked."""
        load = Counter(slot for slot, _ in self._out.values())
        down = self._slots_down()
        for depth in range(IN_FLIGHT):
            for slot, actor in enumerate(self._crew.actors):
                if self._waiting and slot not in down and load[slot] <= depth:
                    order = self._waiting.popleft()
                    if not load[slot]:
                        self._busy_since[slot] = time.monotonic()
                    self._out[actor.stylize.remote(order)] = (slot, order)
                    load[slot] += 1

    def _slots_down(self) -> set[int]:
        return {slot for slot, _ in self._restarting.values()}

    def _settle(self, call: Call) -> None:
        slot, order = self._out.pop(call)
        self._busy_since[slot] = time.monotonic()
        try:
            footer = ray.get(call)
        except RayTaskError as error:
            self._settle_error(order, find_cause(error))
        except RayError as error:
            self._settle_death(slot, order, getattr(error, "preempted", False))
        else:
            self._done += 1
            self._hope.add(footer)  # type: ignore[arg-type]  # mypy takes a Call for several
            self._on_shard(footer)  # type: ignore[arg-type]

    def _settle_error(self, order: ShardOrder, error: Exception) -> None:
        """An exception is a bug or the infrastructure: try again, then give the shard up with its reason."""
        cost = self._costs[order.key]
        cost.errors += 1
        reason = f"{type(error).__name__}: {hide_secrets(str(error))}"
        if cost.errors >= MAX_ERRORS or isinstance(error, AbandonedError):
            self._give_up(order, reason)
        else:
            log.warning("shard %d-%d failed and is tried again: %s", *order.key, reason)
            pause = ERROR_PAUSE_SECONDS * 2 ** (cost.errors - 1)
            self._resting.append((time.monotonic() + pause, order.again()))

    def _settle_death(self, slot: int, order: ShardOrder, preempted: bool) -> None:
        entry = self._crew.entries().get(slot)
        self._watch_restart(slot)
        if entry is None or entry.shard != (*order.key, order.attempt) or preempted or entry.left:
            self._requeue_free(order)
        else:
            hung = slot in self._hung
            self._hung.discard(slot)
            self._doubted.append(_Death(slot, order, entry, hung, time.monotonic()))

    def _settle_doubted(self) -> None:
        """Charge deaths once their actor is up again; free those whose node turns out to be lost or drained."""
        doubted, self._doubted = self._doubted, []
        for death in doubted:
            if not is_alive(death.entry.node) or death.entry.node in draining_nodes():
                self._requeue_free(death.order)
            elif death.slot in self._slots_down() and time.monotonic() - death.since < DOUBT_SECONDS:
                self._doubted.append(death)
            elif death.hung and not death.entry.in_hand:
                self._settle_error(death.order, TimeoutError("it made no progress, with no content in hand"))
            else:
                self._charge(death.slot, death.order, set(death.entry.in_hand))

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
        killers: dict[str, str] = {}
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
            self._waiting.append(order.again(killers, alone=cost.harmless))

    def _look_after_actors(self) -> None:
        """End actors that make no progress, and those on nodes that are being drained; their shards come back."""
        if time.monotonic() - self._looked < WAIT_SECONDS:
            return
        self._looked = time.monotonic()
        down = self._slots_down()
        busy = {slot: self._busy_since[slot] for slot, _ in self._out.values() if slot not in down}
        for slot in self._crew.end_stalled(busy):
            self._hung.add(slot)
            self._watch_restart(slot)  # and it is left alone meanwhile
        leaving = draining_nodes()
        for slot, place in enumerate(self._crew.places):
            if slot not in down and place["node"] in leaving:
                log.warning("node %s is drained: its actor %d moves", place["node"], slot)
                self._crew.end(slot)
                self._watch_restart(slot)

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
            self._crew.places[slot] = ray.get(call)  # type: ignore[call-overload]  # mypy takes a Call for several
        except ActorUnavailableError as error:
            self._wait_on(slot, error)
        except RayTaskError as error:
            raise find_cause(error) from error
        except RayActorError as error:
            self._crew.replace(slot, error)
            self._wait_on(slot, error)
        else:
            self._down_since.pop(slot, None)
            self._hung.discard(slot)

    def _wait_on(self, slot: int, error: Exception) -> None:
        """Ask again a little later: for as long as it takes while another actor is up, since nodes may come back."""
        self._down_since.setdefault(slot, time.monotonic())
        all_down = time.monotonic() - max(self._down_since.values())
        if len(self._down_since) == len(self._crew.actors) and all_down > RESTART_SECONDS:
            raise RuntimeError(f"An actor's process dies whenever it starts: {error}") from error
        time.sleep(RESTART_POLL_SECONDS)
        self._watch_restart(slot)

    def _give_up(self, order: ShardOrder, reason: str) -> None:
        log.error("shard %d-%d was given up: %s", *order.key, reason)
        self.given_up.append(ShardFailure(*order.key, reason))


def find_cause(error: RayTaskError) -> Exception:
    """The exception that an actor raised."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else error
