"""Seeds made of several numbers: of a job, of a step, of a picture."""

from __future__ import annotations

import numpy as np


def make_seed(*numbers: int) -> int:
    """A seed of 63 bits from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
