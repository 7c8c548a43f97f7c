"""How classes and counts of a table are written in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import yaml

Say = Callable[[str], None]
# Names shown in one sentence.
SHOWN = 12


def quote(name: str) -> str:
    """A name as it can be put into a job, whatever letters it holds: in ASCII, on one line."""
    return str(yaml.safe_dump(name, default_style='"', width=math.inf)).strip()


def show(name: str) -> str:
    """A name as it is where anybody can read and type it, else quoted."""
    return name if name.isascii() and name.isprintable() and name == name.strip() else quote(name)


def list_names(names: Sequence[str], counts: Mapping[str, object]) -> str:
    """The first names, each with its count, and how many there are besides."""
    shown = ", ".join(f"{show(name)} ({counts[name]})" for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def number(count: int, what: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
