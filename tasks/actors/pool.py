"""The pool: non-detached actors, owned by the driver, that outlive shards and styles."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

from tasks.actors.cluster import Share
from tasks.actors.hope import ShardFailure
from tasks.actors.journal import JournalEntry, open_journal
from tasks.actors.metrics import Meters
from tasks.actors.orders import ActorSettings, ShardOrder, split_together
from tasks.actors.shift import RESTART_POLL_SECONDS, RESTART_SECONDS, OnShard, Shift, find_cause
from tasks.actors.stylizer import Stylizer
from tasks.records import RequestError
from tasks.styles import PlannedStyle

log = logging.getLogger(__name__)

START_SECONDS = 300.0
MAX_REPRESENT_ATTEMPTS = 3
START_TRIES = 5  # of a process that is killed while it starts
START_PAUSE_SECONDS = 2.0
REHEARSAL_POLL_SECONDS = 1.0
TOLD_SECONDS = 15.0  # between two questions what actors are at while they represent
LOOK_SECONDS = 1.0  # between two looks whether the run is to let go of its actors

OnProgress = Callable[[int], None]
OnTold = Callable[[Sequence[str]], None]
Styles = Sequence[PlannedStyle]
Check = Callable[[], None]


class Pool:
    """Actors by slot. Ray restarts those whose process dies; the work that was lost is the driver's to requeue.

    `check` is called about once a second while actors are at work; what it raises ends that work.
    """

    def __init__(self, settings: ActorSettings, share: Share, check: Check = lambda: None) -> None:
        self._settings, self._share, self.check = settings, share, check
        self._journal_name, self._journal = open_journal()
        self.actors = [self._start(slot) for slot in range(share.actors)]
        self.places: list[dict[str, Any]] = [{} for _ in self.actors]
        self._wait_until_ready()

    def close(self) -> None:
        """End the actors."""
        for actor in [*self.actors, self._journal]:
            ray.kill(actor)

    def represent(
        self,
        styles: Styles,
        on_progress: OnProgress = lambda _: None,
        on_told: OnTold = lambda _: None,
    ) -> int:
        """Compute what the store lacks, spread over the actors; gives how many were computed.

        `on_progress` is called with the number of styles that are done, whenever some are; `on_told` now and then with
        what the actors say that they are at. A part whose process dies is tried again: what it had published stays.
        Raises what `represent` raised.
        """
        left, computed = list(styles), 0
        for _ in range(MAX_REPRESENT_ATTEMPTS):
            slots = self._slots_up()
            parts = {slot: left[place :: len(slots)] for place, slot in enumerate(slots)}
            calls = {
                self.actors[slot].represent.remote(few): (slot, few)
                for slot, part in parts.items()
                for few in split_together(part)
            }
            left = []
            for few, made in self._finished(calls, on_told):
                if made is None:
                    left += few
                else:
                    computed += made
                    on_progress(len(few))
            if not left:
                return computed
            log.warning("a process died, or stopped making progress, while it represented styles")
        names = ", ".join(sorted(style.name for style in left)[:5])
        raise RuntimeError(
            f"A process died {MAX_REPRESENT_ATTEMPTS} times while it represented styles, such as {names}."
        )

    def stylize(
        self,
        orders: Iterable[ShardOrder],
        on_shard: OnShard,
        on_progress: OnProgress,
        max_failed: float = 1.0,
        total: int | None = None,
    ) -> list[ShardFailure]:
        """Make and commit every shard; gives those that were given up.

        `on_progress` is called about once a second with the number of rows made in shards that are not done.
        Raises HopelessError where so many fail that there is no point in going on (see `hope.py`).
        """
        shift, meters = Shift(self, orders, on_shard, max_failed, total), Meters("driver")
        while shift.is_at_work():
            shift.step()
            meters.show_shards(shift.depths())
            self.check()
            on_progress(shift.rows_in_hand())
        return shift.given_up

    def entries(self) -> dict[int, JournalEntry]:
        """What the journal knows of each slot."""
        return ray.get(self._journal.entries.remote())

    def end_stalled(self, busy_since: Mapping[int, float]) -> list[int]:
        """End busy actors that have said nothing for too long; gives their slots. Ray starts them again."""
        now, silences = time.monotonic(), ray.get(self._journal.silences.remote())
        stalled = [
            slot
            for slot, since in busy_since.items()
            if min(now - since, silences.get(slot, math.inf)) > self._settings.stalled_after
        ]
        for slot in stalled:
            log.warning("actor %d made no progress for %g s and is ended", slot, self._settings.stalled_after)
            self.end(slot)
        return stalled

    def end(self, slot: int) -> None:
        """End an actor's process; Ray starts it again, on another node where its own is being drained."""
        ray.kill(self.actors[slot], no_restart=False)

    def replace(self, slot: int, error: RayActorError) -> None:
        """A new actor in the place of one that Ray gave up, as it does where a node goes while an actor starts there.

        Raises RuntimeError where it was given up for what its constructor raised.
        """
        if error.actor_init_failed:
            raise RuntimeError(f"An actor could not start: {error}") from error
        ray.kill(self.actors[slot])
        self.actors[slot] = self._start(slot)

    def find_killers(self, slot: int, order: ShardOrder, suspects: set[str]) -> dict[str, str]:
        """Contents that take a process down all alone, by the error class that says how.

        The suspects first, the rest only if none of those does. A throwaway takes the place of the slot's actor
        meanwhile, so that it has the same share of the cluster; then a new actor takes the slot. The driver waits,
        and hands out no shards until it knows.
        """
        ray.kill(self.actors[slot])
        contents = [content for content in order.contents() if content not in order.excluded]
        killers = self._rehearse(slot, order, [content for content in contents if content in suspects])
        if not killers:
            killers = self._rehearse(slot, order, [content for content in contents if content not in suspects])
        self.actors[slot] = self._start(slot)
        return killers

    def _rehearse(self, slot: int, order: ShardOrder, contents: list[str]) -> dict[str, str]:
        killers: dict[str, str] = {}
        actor = None
        for content in contents:
            ray.get(self._journal.forget.remote(slot))
            actor = actor or self._start(slot, max_restarts=0)
            call, reason = actor.rehearse.remote(order.only(content)), "process_died"
            started = time.monotonic()
            while not ray.wait([call], timeout=REHEARSAL_POLL_SECONDS)[0]:
                if self._is_silent(slot, started):
                    ray.kill(actor)
                    reason = "process_hung"
            try:
                ray.get(call)
            except RayTaskError as error:
                log.info("rehearsal of %s: %s", content, find_cause(error))
            except RayError:
                actor = None
                if self._was_at(slot, content):
                    killers[content] = reason
        if actor is not None:
            ray.kill(actor)
        return killers

    def _is_silent(self, slot: int, started: float) -> bool:
        """Whether the actor in a slot has said nothing for too long; to start is allowed to take its own time."""
        silence = ray.get(self._journal.silences.remote()).get(slot)
        if silence is None:
            return time.monotonic() - started > START_SECONDS
        return silence > self._settings.stalled_after

    def _was_at(self, slot: int, content: str) -> bool:
        """Whether a process that is gone had a content in hand, and was not asked to end: else it is not to blame."""
        entry = self.entries().get(slot)
        return entry is not None and content in entry.in_hand and not entry.left

    def _start(self, slot: int, **options: Any) -> Any:
        pinned = Stylizer.options(  # type: ignore[attr-defined]  # added by ray.remote
            num_gpus=self._share.gpus,
            num_cpus=self._share.cpus,
            **({"max_restarts": -1, "max_task_retries": 0} | options),
        )
        return pinned.remote(self._settings, slot, self._journal_name)

    def _wait_until_ready(self) -> None:
        """Learn where the actors are. A start that fails ends the run at once, with its own reason."""
        for attempt in range(START_TRIES):
            calls = [actor.describe.remote() for actor in self.actors]
            try:
                self.places = ray.get(calls, timeout=START_SECONDS)
                break
            except RayTaskError as error:
                raise find_cause(error) from error
            except RayActorError as error:
                if attempt == START_TRIES - 1:
                    raise RuntimeError(f"An actor's process dies whenever it starts: {error}") from error
                time.sleep(START_PAUSE_SECONDS)
                for slot in range(len(self.actors)):
                    self._is_up(slot)
            except GetTimeoutError as error:
                raise RequestError(
                    f"No room for {len(calls)} actors within {START_SECONDS:g} s: ask for fewer under `resources`."
                ) from error
        if any(place["gpus"] and place["device"] == "cpu" for place in self.places):
            log.warning("the cluster gives actors GPUs, but torch finds none there: they compute on the CPU")

    def _slots_up(self) -> list[int]:
        """Slots whose actors answer; those that are starting again are waited for a while, and one at least."""
        end = time.monotonic() + RESTART_SECONDS
        patience = time.monotonic() + START_PAUSE_SECONDS * START_TRIES
        while True:
            up = [slot for slot in range(len(self.actors)) if self._is_up(slot)]
            if len(up) == len(self.actors) or (up and time.monotonic() > patience):
                return up
            if time.monotonic() > end:
                raise RuntimeError("An actor's process dies whenever it starts.")
            time.sleep(RESTART_POLL_SECONDS)

    def wait_until_up(self, slot: int) -> None:
        """Wait for an actor that is starting again."""
        end = time.monotonic() + RESTART_SECONDS
        while not self._is_up(slot):
            self.check()
            if time.monotonic() > end:
                raise RuntimeError("An actor's process dies whenever it starts.")
            time.sleep(RESTART_POLL_SECONDS)

    def _is_up(self, slot: int) -> bool:
        """Whether an actor answers; one that Ray gave up is replaced."""
        try:
            self.places[slot] = ray.get(self.actors[slot].describe.remote())
        except RayTaskError as error:
            raise find_cause(error) from error
        except ActorUnavailableError:
            return False
        except RayActorError as error:
            self.replace(slot, error)
            return False
        return True

    def _finished(
        self, calls: Mapping[Any, tuple[int, Styles]], on_told: OnTold
    ) -> Iterator[tuple[Styles, int | None]]:
        """Styles of each call, as they finish, and how many it computed; None where its process died.

        An actor that says nothing for too long is ended.
        """
        told = time.monotonic()
        waiting, busy = list(calls), dict.fromkeys((slot for slot, _ in calls.values()), told)
        while waiting:
            done, waiting = ray.wait(waiting, timeout=LOOK_SECONDS)
            self.check()
            if not done:
                if time.monotonic() - told > min(TOLD_SECONDS, self._settings.stalled_after):
                    told = time.monotonic()
                    on_told(ray.get(self._journal.told.remote()))
                    at_work = {calls[call][0] for call in waiting}
                    self.end_stalled({slot: since for slot, since in busy.items() if slot in at_work})
                continue
            slot, few = calls[done[0]]
            busy[slot] = told = time.monotonic()
            try:
                yield few, ray.get(done[0])
            except RayTaskError as error:
                raise find_cause(error) from error
            except RayActorError:
                yield few, None


@contextmanager
def open_pool(settings: ActorSettings, share: Share, check: Check = lambda: None) -> Iterator[Pool]:
    """A pool that is closed however the block ends."""
    pool = Pool(settings, share, check)
    try:
        yield pool
    finally:
        pool.close()
