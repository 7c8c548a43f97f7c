"""A bar on stderr, for whatever takes long."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def make_bar(total: int, unit: str) -> Any:
    """A bar on stderr: a log file gets a line now and then, a terminal a bar that moves."""
    interval = 0.5 if sys.stderr.isatty() else 15.0
    return tqdm(total=total, unit=unit, file=sys.stderr, mininterval=interval, smoothing=0.1)
