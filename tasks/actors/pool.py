"""The pool: non-detached actors, owned by the driver, that outlive shards and styles."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

from tasks.actors.cluster import Share
from tasks.actors.journal import JournalEntry, open_journal
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.shift import RESTART_POLL_SECONDS, RESTART_SECONDS, OnShard, ShardFailure, Shift, find_cause
from tasks.actors.stylizer import Stylizer
from tasks.records import RequestError
from tasks.styles import PlannedStyle

log = logging.getLogger(__name__)

START_SECONDS = 300.0
MAX_REPRESENT_ATTEMPTS = 3
TOLD_SECONDS = 15.0  # between two questions what actors are at while they represent

OnProgress = Callable[[int], None]
OnTold = Callable[[Sequence[str]], None]


class Pool:
    """Actors by slot. Ray restarts those whose process dies; the work that was lost is the driver's to requeue."""

    def __init__(self, settings: ActorSettings, share: Share) -> None:
        self._settings, self._share = settings, share
        self._journal_name, self._journal = open_journal()
        self.actors = [self._start(slot) for slot in range(share.actors)]
        self.places = self._wait_until_ready()

    def close(self) -> None:
        """End the actors."""
        for actor in [*self.actors, self._journal]:
            ray.kill(actor)

    def represent(
        self,
        styles: Sequence[PlannedStyle],
        on_progress: OnProgress = lambda _: None,
        on_told: OnTold = lambda _: None,
    ) -> int:
        """Compute what the store lacks, spread over the actors; gives how many were computed.

        `on_progress` is called with the number of styles that are done, whenever some are; `on_told` now and then with
        what the actors say that they are at. A part whose process dies is tried again: what it had published stays.
        Raises what `represent` raised.
        """
        parts = {slot: styles[slot :: len(self.actors)] for slot in range(len(self.actors))}
        left, computed = set(parts), 0
        for _ in range(MAX_REPRESENT_ATTEMPTS):
            calls = {
                self.actors[slot].represent.remote(few): (slot, len(few))
                for slot in left
                for few in split_together(parts[slot])
            }
            left = set()
            for slot, done, made in _finished(calls, lambda: on_told(ray.get(self._journal.told.remote()))):
                if made is None:
                    left.add(slot)
                else:
                    computed += made
                    on_progress(done)
            for slot in left:
                log.warning("a process died while it represented styles")
                self.wait_until_restarted(slot)
            if not left:
                return computed
        names = ", ".join(sorted(style.name for slot in left for style in parts[slot])[:5])
        raise RuntimeError(
            f"A process died {MAX_REPRESENT_ATTEMPTS} times while it represented styles, such as {names}."
        )

    def stylize(self, orders: Iterable[ShardOrder], on_shard: OnShard, on_progress: OnProgress) -> list[ShardFailure]:
        """Make and commit every shard; gives those that were given up.

        `on_progress` is called about once a second with the number of rows made in shards that are not done.
        """
        shift = Shift(self, orders, on_shard)
        while shift.is_at_work():
            shift.step()
            on_progress(shift.rows_in_hand())
        return shift.given_up

    def entries(self) -> dict[int, JournalEntry]:
        """What the journal knows of each slot."""
        return ray.get(self._journal.entries.remote())

    def find_killers(self, slot: int, order: ShardOrder, suspects: set[str]) -> frozenset[str]:
        """Contents that kill a process all alone: the suspects first, the rest only if none of those does.

        A throwaway takes the place of the slot's actor meanwhile, so that it has the same share of the cluster;
        then a new actor takes the slot. The driver waits, and hands out no shards until it knows.
        """
        ray.kill(self.actors[slot])
        contents = [content for content in order.contents() if content not in order.excluded]
        killers = self._rehearse(slot, order, [content for content in contents if content in suspects])
        if not killers:
            killers = self._rehearse(slot, order, [content for content in contents if content not in suspects])
        self.actors[slot] = self._start(slot)
        return killers

    def _rehearse(self, slot: int, order: ShardOrder, contents: list[str]) -> frozenset[str]:
        killers: list[str] = []
        actor = None
        for content in contents:
            actor = actor or self._start(slot, max_restarts=0)
            try:
                ray.get(actor.rehearse.remote(order.only(content)))
            except RayTaskError as error:
                log.info("rehearsal of %s: %s", content, find_cause(error))
            except RayError:
                killers.append(content)
                actor = None
        if actor is not None:
            ray.kill(actor)
        return frozenset(killers)

    def _start(self, slot: int, **options: Any) -> Any:
        pinned = Stylizer.options(  # type: ignore[attr-defined]  # added by ray.remote
            num_gpus=self._share.gpus,
            num_cpus=self._share.cpus,
            **({"max_restarts": -1, "max_task_retries": 0} | options),
        )
        return pinned.remote(self._settings, slot, self._journal_name)

    def _wait_until_ready(self) -> list[dict[str, Any]]:
        """Where the actors are. A start that fails ends the run at once, with its own reason."""
        calls = [actor.describe.remote() for actor in self.actors]
        try:
            places: list[dict[str, Any]] = ray.get(calls, timeout=START_SECONDS)
        except RayTaskError as error:
            raise find_cause(error) from error
        except RayActorError as error:
            raise RuntimeError(f"An actor could not start: {error}") from error
        except GetTimeoutError as error:
            raise RequestError(
                f"No room for {len(calls)} actors within {START_SECONDS:g} s: ask for fewer under `resources`."
            ) from error
        if any(place["gpus"] and place["device"] == "cpu" for place in places):
            log.warning("the cluster gives actors GPUs, but torch finds none there: they compute on the CPU")
        return places

    def wait_until_restarted(self, slot: int) -> None:
        end = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                ray.get(self.actors[slot].describe.remote())
                return
            except ActorUnavailableError as error:
                if time.monotonic() > end:
                    raise RuntimeError(f"An actor's process dies whenever it starts: {error}") from error
                time.sleep(RESTART_POLL_SECONDS)


def split_together(styles: Sequence[PlannedStyle]) -> Iterator[list[PlannedStyle]]:
    """Styles in calls: as many together as their method makes something of, so that the others are told of sooner."""
    for method in dict.fromkeys(style.method for style in styles):
        group = [style for style in styles if style.method == method]
        for start in range(0, len(group), method.represent_at_once):
            yield group[start : start + method.represent_at_once]


def _finished(
    calls: Mapping[Any, tuple[int, int]], while_waiting: Callable[[], None]
) -> Iterator[tuple[int, int, int | None]]:
    """Slot and styles of each call, as they finish, and what it computed; None where its process died."""
    waiting = list(calls)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=TOLD_SECONDS)
        if not done:
            while_waiting()
            continue
        (call,) = done
        slot, count = calls[call]
        try:
            yield slot, count, ray.get(call)
        except RayTaskError as error:
            raise find_cause(error) from error
        except RayActorError:
            yield slot, count, None


@contextmanager
def open_pool(settings: ActorSettings, share: Share) -> Iterator[Pool]:
    """A pool that is closed however the block ends."""
    pool = Pool(settings, share)
    try:
        yield pool
    finally:
        pool.close()
