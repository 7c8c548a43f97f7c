"""Memory that runs out, of a device or of its host: how it is told, and work that is halved until it fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import ParamSpec, TypeVar

import torch

from tasks.records import RequestError

Item = TypeVar("Item")
Made = TypeVar("Made")
Given = ParamSpec("Given")

# What says so in its text alone: torch's allocator of a CPU, CUDA's own, and libraries that allocate for themselves.
SAYINGS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
)


def check_is_memory(error: Exception) -> None:
    """Raise any error that does not say that memory ran out."""
    is_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    if not is_memory and not any(saying in str(error) for saying in SAYINGS):
        raise error


def attempt(make: Callable[Given, Made], *args: Given.args, **options: Given.kwargs) -> Made | None:
    """What `make` gives; None where memory ran out. Raises what else `make` raises.

    The tensors of what ran out live as long as its exception: both are gone at the end, so that less has the room.
    """
    try:
        return make(*args, **options)
    except (RuntimeError, MemoryError) as error:
        check_is_memory(error)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    """The first half, and the rest."""
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


def make_in_halves(
    make: Callable[[Sequence[Item]], Sequence[Made]],
    items: Sequence[Item],
    name: Callable[[Item], str] = attrgetter("name"),
) -> list[Made]:
    """What `make` gives of each item: of all together, or where memory runs out of half of them at a time.

    Raises RequestError with the `name` of an item that does not fit alone, and what else `make` raises.
    """
    if not items:
        return []
    made = attempt(make, items)
    if made is not None:
        return list(made)
    if len(items) == 1:
        raise RequestError(
            f"Style {name(items[0])!r} does not fit into memory while it is represented: give it smaller pictures, or "
            "ask for less in `method`, or give each actor more in `resources`."
        )
    return [one for half in halves(items) for one in make_in_halves(make, half, name)]
