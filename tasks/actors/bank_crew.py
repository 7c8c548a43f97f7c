"""A pool that makes a bank: parts handed to whichever actor is free, then packed by one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from tasks.actors.pool import LOOK_SECONDS, MAX_REPRESENT_ATTEMPTS, OnProgress, Pool
from tasks.actors.shift import IN_FLIGHT, find_cause
from tasks.banks.sources import BankOrder, BankPart

log = logging.getLogger(__name__)


def build_bank(
    pool: Pool, parts: Sequence[BankPart], order: BankOrder, on_progress: OnProgress = lambda _: None
) -> str:
    """Represent what the store lacks of a bank's parts, then pack it; gives its key.

    `on_progress` is called with the number of pictures of each part that is done. A part whose process dies is tried
    again: what was published stays. Raises what `represent` raised.
    """
    left = list(parts)
    for _ in range(MAX_REPRESENT_ATTEMPTS):
        left = _represent_parts(pool, left, on_progress)
        if not left:
            return _pack(pool, order)
    names = ", ".join(piece.path for piece in left[0].pieces[:3])
    raise RuntimeError(f"A process died {MAX_REPRESENT_ATTEMPTS} times at pictures of a bank, such as {names}.")


def _represent_parts(pool: Pool, parts: Sequence[BankPart], on_progress: OnProgress) -> list[BankPart]:
    """One call a part, a few on their way to each actor; gives the parts whose process died."""
    waiting = list(parts)
    lost: list[BankPart] = []
    free = [slot for _ in range(IN_FLIGHT) for slot in range(len(pool.actors))]
    out: dict[Any, tuple[int, BankPart]] = {}
    while waiting or out:
        while free and waiting:
            slot, part = free.pop(0), waiting.pop(0)
            out[pool.actors[slot].represent_part.remote(part)] = slot, part
        done, _ = ray.wait(list(out), num_returns=1, timeout=LOOK_SECONDS)
        pool.check()
        if not done:
            continue
        slot, part = out.pop(done[0])
        if _is_done(done[0]):
            on_progress(part.styles)
        else:
            log.warning("a process died while it represented a part of a bank")
            lost.append(part)
            pool.wait_until_up(slot)
        free.append(slot)
    return lost


def _is_done(call: Any) -> bool:
    """Whether a call came to its end; False where its process died. Raises what it raised."""
    try:
        ray.get(call)
    except RayTaskError as error:
        raise find_cause(error) from error
    except RayActorError:
        return False
    return True


def _pack(pool: Pool, order: BankOrder) -> str:
    try:
        key: str = ray.get(pool.actors[0].pack_bank.remote(order))
    except RayTaskError as error:
        raise find_cause(error) from error
    return key
