"""The pool: non-detached actors, owned by the driver, and the loop that feeds them.

Actors restart; the driver requeues. A process that died is charged only to the shard that it had started; at the
second death its contents are tried one by one in a throwaway actor, and the shard runs again without those that
kill. A lost node or a preemption is nobody's fault, up to a cap. Ray's own task retries stay off.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from tasks.actors.cluster import Share
from tasks.actors.journal import Journal, JournalEntry
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.stylizer import Stylizer
from tasks.dataset.footer import ShardFooter
from tasks.records import RequestError
from tasks.styles import PlannedStyle

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # one at work, one waiting: the actor never idles, and a death loses little
DEATHS_BEFORE_REHEARSAL = 2
MAX_DEATHS = 4
MAX_ERRORS = 3
FREE_LOSSES = 20
START_SECONDS = 300.0
RESTART_POLL_SECONDS = 0.2

Key = tuple[int, int]
Call = Any  # a ray.ObjectRef, whose type parameter Ray itself leaves open
OnShard = Callable[[ShardFooter], None]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class ShardFailure:
    """A shard that was given up, and why."""

    plan: int
    shard: int
    reason: str


@dataclass
class _Shift:
    """State of one feeding: what waits, what is out, what each shard has cost."""

    waiting: deque[ShardOrder]
    out: dict[Call, tuple[int, ShardOrder]] = field(default_factory=dict)
    restarting: dict[Call, int] = field(default_factory=dict)
    deaths: Counter[Key] = field(default_factory=Counter)
    errors: Counter[Key] = field(default_factory=Counter)
    losses: Counter[Key] = field(default_factory=Counter)
    suspects: dict[Key, set[str]] = field(default_factory=dict)
    given_up: list[ShardFailure] = field(default_factory=list)

    def give_up(self, order: ShardOrder, reason: str) -> None:
        log.error("shard %d-%d was given up: %s", order.plan, order.shard, reason)
        self.given_up.append(ShardFailure(order.plan, order.shard, reason))


class Pool:
    """Actors that outlive shards and styles; they end with the driver."""

    def __init__(self, settings: ActorSettings, share: Share) -> None:
        self._settings, self._share = settings, share
        self._journal = Journal.remote()  # type: ignore[attr-defined]  # added by ray.remote
        self._actors = [self._start(slot) for slot in range(share.actors)]
        self.places = self._wait_until_ready()

    def close(self) -> None:
        """End the actors."""
        for actor in [*self._actors, self._journal]:
            ray.kill(actor)

    def represent(self, styles: Sequence[PlannedStyle]) -> int:
        """Compute what the store lacks, spread over the actors; gives how many were computed."""
        parts = [list(styles[slot :: len(self._actors)]) for slot in range(len(self._actors))]
        calls = [a.represent.remote(part) for a, part in zip(self._actors, parts, strict=True) if part]
        try:
            return sum(ray.get(calls))
        except RayTaskError as error:
            raise _cause(error) from error

    def stylize(self, orders: Iterable[ShardOrder], on_shard: OnShard, on_progress: OnProgress) -> list[ShardFailure]:
        """Make and commit every shard; gives those that were given up."""
        shift = _Shift(deque(orders))
        while shift.waiting or shift.out:
            self._feed(shift)
            ready, _ = ray.wait([*shift.out, *shift.restarting], num_returns=1, timeout=1.0)
            for call in ready:
                if call in shift.restarting:
                    self._settle_restart(shift, call)
                else:
                    self._settle(shift, call, on_shard)
            on_progress(ray.get(self._journal.rows.remote()))
        return shift.given_up

    def _start(self, slot: int, **options: Any) -> Any:
        share = self._share
        pinned = Stylizer.options(  # type: ignore[attr-defined]  # added by ray.remote
            num_gpus=share.gpus,
            num_cpus=0 if share.gpus else share.cpus,
            **({"max_restarts": -1, "max_task_retries": 0} | options),
        )
        return pinned.remote(self._settings, slot, self._journal)

    def _wait_until_ready(self) -> list[dict[str, Any]]:
        """Where the actors are. A start that fails ends the run at once, with its own reason."""
        calls = [actor.describe.remote() for actor in self._actors]
        try:
            return ray.get(calls, timeout=START_SECONDS)
        except RayActorError as error:
            raise _start_error(error) from error
        except GetTimeoutError as error:
            raise RequestError(
                f"No room for {len(calls)} actors within {START_SECONDS:g} s: ask for fewer under `resources`."
            ) from error

    def _feed(self, shift: _Shift) -> None:
        """Hand shards to whichever actor has room, one round at a time."""
        load = Counter(slot for slot, _ in shift.out.values())
        down = set(shift.restarting.values())
        for depth in range(IN_FLIGHT):
            for slot, actor in enumerate(self._actors):
                if shift.waiting and slot not in down and load[slot] <= depth:
                    order = shift.waiting.popleft()
                    shift.out[actor.stylize.remote(order)] = (slot, order)
                    load[slot] += 1

    def _settle(self, shift: _Shift, call: Call, on_shard: OnShard) -> None:
        slot, order = shift.out.pop(call)
        try:
            on_shard(ray.get(call))
        except RayActorError as error:
            self._settle_death(shift, slot, order, error)
        except RayTaskError as error:
            self._settle_error(shift, order, error)

    def _settle_error(self, shift: _Shift, order: ShardOrder, error: RayTaskError) -> None:
        """An exception is a bug or the infrastructure: try again, then give the shard up with its reason."""
        key = (order.plan, order.shard)
        shift.errors[key] += 1
        log.warning("shard %d-%d failed: %s", *key, _cause(error))
        if shift.errors[key] >= MAX_ERRORS:
            shift.give_up(order, f"{type(_cause(error)).__name__}: {_cause(error)}")
        else:
            shift.waiting.append(order.again())

    def _settle_restart(self, shift: _Shift, call: Call) -> None:
        """An actor that died is up again, or still on its way, or gone for good."""
        slot = shift.restarting.pop(call)
        try:
            ray.get(call)
        except ActorUnavailableError:
            time.sleep(RESTART_POLL_SECONDS)
            self._watch_restart(shift, slot)
        except RayActorError as error:
            raise _start_error(error) from error

    def _watch_restart(self, shift: _Shift, slot: int) -> None:
        if slot not in shift.restarting.values():
            shift.restarting[self._actors[slot].describe.remote()] = slot

    def _settle_death(self, shift: _Shift, slot: int, order: ShardOrder, error: RayActorError) -> None:
        key = (order.plan, order.shard)
        entry: JournalEntry | None = ray.get(self._journal.read.remote(slot))
        started = entry is not None and entry.shard == (*key, order.attempt)
        if entry is None or not started or getattr(error, "preempted", False) or not _is_alive(entry.node):
            self._watch_restart(shift, slot)
            self._requeue_free(shift, order)
            return
        shift.deaths[key] += 1
        shift.suspects.setdefault(key, set()).update(entry.in_hand)
        log.warning("a process died at shard %d-%d (death %d)", *key, shift.deaths[key])
        if shift.deaths[key] >= MAX_DEATHS:
            shift.give_up(order, f"its process died {MAX_DEATHS} times")
        elif shift.deaths[key] >= DEATHS_BEFORE_REHEARSAL:
            shift.waiting.appendleft(order.again(self._find_killers(slot, order, shift.suspects[key])))
        else:
            shift.waiting.append(order.again())
        self._watch_restart(shift, slot)

    def _requeue_free(self, shift: _Shift, order: ShardOrder) -> None:
        key = (order.plan, order.shard)
        shift.losses[key] += 1
        if shift.losses[key] > FREE_LOSSES:
            shift.give_up(order, f"its process was lost {FREE_LOSSES} times before it began")
        else:
            shift.waiting.append(order)

    def _find_killers(self, slot: int, order: ShardOrder, suspects: set[str]) -> frozenset[str]:
        """Contents that kill a process of their own: the suspects first, the rest only if none of those does.

        The throwaway takes the place of the slot's actor, so that it has the same share of the cluster.
        """
        ray.kill(self._actors[slot])
        contents = [content for content in order.contents() if content not in order.excluded]
        first = [content for content in contents if content in suspects]
        killers = self._rehearse(slot, order, first)
        if not killers:
            killers = self._rehearse(slot, order, [content for content in contents if content not in suspects])
        self._actors[slot] = self._start(slot)
        return killers

    def _rehearse(self, slot: int, order: ShardOrder, contents: list[str]) -> frozenset[str]:
        killers: list[str] = []
        actor = None
        for content in contents:
            actor = actor or self._start(slot, max_restarts=0)
            try:
                ray.get(actor.rehearse.remote(order.only(content)))
            except RayTaskError as error:
                log.info("rehearsal of %s: %s", content, _cause(error))
            except RayActorError:
                killers.append(content)
                actor = None
        if actor is not None:
            ray.kill(actor)
        return frozenset(killers)


@contextmanager
def open_pool(settings: ActorSettings, share: Share) -> Iterator[Pool]:
    """A pool that is closed however the block ends."""
    pool = Pool(settings, share)
    try:
        yield pool
    finally:
        pool.close()


def _is_alive(node_id: str) -> bool:
    """Whether the node that an actor ran on is still there."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def _cause(error: RayTaskError) -> Exception:
    cause = error.cause
    return cause if isinstance(cause, Exception) else error


def _start_error(error: RayActorError) -> Exception:
    """The reason why an actor could not start, as its own exception where Ray kept it."""
    cause = getattr(error, "cause", None) or error.__cause__
    if isinstance(cause, RequestError):
        return cause
    return RuntimeError(f"An actor could not start: {error}")
