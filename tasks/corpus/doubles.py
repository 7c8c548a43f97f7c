"""Ids that come twice among millions, found in eight bytes an id."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

import numpy as np

from tasks.records import RequestError

MASK = 2**64 - 1


def without_doubles(ids: Callable[[], Iterable[str]], seen: Hashes) -> None:
    """Raise RequestError naming an id that comes twice; `seen` has noted each, `ids` gives them all once more.

    They are gone through again only where two hashes are equal, which chance brings about once in 100,000 corpora
    of ten million.
    """
    suspects = seen.suspects()
    met: set[str] = set()
    for content_id in ids() if suspects else ():
        if content_id in met:
            raise RequestError(f"Two contents have the id {content_id!r}: rename or remove one of them.")
        if hash(content_id) & MASK in suspects:
            met.add(content_id)


class Hashes:
    """Hashes of ids as they pass."""

    def __init__(self) -> None:
        self._held = array("Q")

    def note(self, content_id: str) -> None:
        """Note an id."""
        self._held.append(hash(content_id) & MASK)

    def suspects(self) -> frozenset[int]:
        """Hashes that came twice."""
        held = np.array(self._held, np.uint64)
        held.sort()
        return frozenset(held[1:][held[1:] == held[:-1]].tolist())
