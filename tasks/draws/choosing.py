"""Which style a content draws: by a hash of the seed and its own id, whatever its shard, its order or the cluster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.draws.settings import SplitSettings
from tasks.records import ImageError


class Urn:
    """The styles of a bank by their identities, in the bank's order, and the part that each belongs to."""

    def __init__(self, identities: Sequence[str], split: SplitSettings | None, seed: int) -> None:
        self.identities, self.split, self.seed = identities, split, seed

    def draw(self, content_id: str, part: str | None, number: int) -> int:
        """Place in the bank of a content's draw `number`, all of whose draws are different."""
        members = self.members[part]
        return int(members[choose(self.seed, content_id, number + 1, len(members))[number]])

    @cached_property
    def members(self) -> Mapping[str | None, NDArray[np.int64]]:
        """Places in the bank by part; where there is no split all of them, under None."""
        if self.split is None:
            return {None: np.arange(len(self.identities))}
        parts = np.array([assign(identity, self.split, self.seed) for identity in self.identities], dtype=object)
        return {name: np.flatnonzero(parts == name) for name in self.split.names}


def choose(seed: int, content_id: str, count: int, styles: int) -> list[int]:
    """The first `count` different numbers below `styles` of a content; more of them begin with the same.

    Raises ValueError where there are not so many.
    """
    if count > styles:
        raise ValueError(f"{count} different ones of {styles}")
    chosen: dict[int, None] = {}
    attempt = 0
    while len(chosen) < count:
        chosen.setdefault(_hash([seed, content_id, "draw", attempt]) % styles)
        attempt += 1
    return list(chosen)


def assign(identity: str, split: SplitSettings, seed: int) -> str:
    """The part of the bank that a style belongs to: by a hash of what its references are, whatever the method."""
    total = sum(share for _, share in split.parts)
    place = _unit(_hash([seed, identity, "part"])) * total
    for name, share in split.parts:
        place -= share
        if place < 0:
            return name
    return split.parts[-1][0]


def draw_strength(pair_seed: int, strength: tuple[float, float] | None) -> float | None:
    """Strength of a pair, as float32 holds it; None where the method's own stands."""
    if strength is None:
        return None
    least, most = strength
    return float(np.float32(least + (most - least) * _unit(_hash([pair_seed, "strength"]))))


def find_part(
    split: SplitSettings | None, content_id: str, columns: Mapping[str, Any], classes: Mapping[str, Sequence[str]]
) -> str | None:
    """The part that a content draws from; `classes` are names of column values that are numbers.

    Raises ImageError where its split is none of the draw's.
    """
    if split is None:
        return None
    if split.column is None:
        folder, slash, _ = content_id.partition("/")
        value: Any = folder if slash else None
    else:
        value = _name(columns.get(split.column), classes.get(split.column, ()))
    if value not in split.names:
        raise ImageError("unknown_split", f"its split is {value!r}, and the draw has {', '.join(split.names)}")
    return str(value)


def _name(value: Any, names: Sequence[str]) -> Any:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _hash(what: Sequence[Any]) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest()[:8], "big")


def _unit(number: int) -> float:
    """From 64 bits to [0, 1)."""
    return (number >> 11) / 2**53
