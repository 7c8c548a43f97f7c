"""Memory that runs out, of a device or of its host: how it is told, and work that is halved until it fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from tasks.records import RequestError

Item = TypeVar("Item")
Made = TypeVar("Made")

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


def free_memory() -> None:
    """Give back what torch keeps of a device, once nothing holds it any more."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def make_in_halves(
    make: Callable[[Sequence[Item]], Sequence[Made]], items: Sequence[Item], name: Callable[[Item], str]
) -> list[Made]:
    """What `make` gives of each item: of all together, or where memory runs out of half of them at a time.

    Raises RequestError with the `name` of an item that does not fit alone, and what else `make` raises.
    """
    made = _make_or_none(make, items)
    if made is not None:
        return list(made)
    if len(items) == 1:
        raise RequestError(
            f"Style {name(items[0])!r} does not fit into memory while it is represented: give it smaller pictures, or "
            "ask for less in `method`, or give each actor more in `resources`."
        )
    middle = len(items) // 2
    return make_in_halves(make, items[:middle], name) + make_in_halves(make, items[middle:], name)


# Apart, since what an attempt held lives as long as its exception.
def _make_or_none(make: Callable[[Sequence[Item]], Sequence[Made]], items: Sequence[Item]) -> Sequence[Made] | None:
    try:
        return make(items)
    except (RuntimeError, MemoryError) as error:
        check_is_memory(error)
    free_memory()
    return None
