"""Seeds made of several numbers, and the noise that each output draws from its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def make_seed(*numbers: int) -> int:
    """A seed of 63 bits from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def draw_noise(generators: Sequence[torch.Generator], shape: Sequence[int], device: torch.device) -> Tensor:
    """Normal noise, a row from each generator. Drawn on the CPU: the same on every device, in any batch."""
    return torch.stack([torch.randn(tuple(shape), generator=one) for one in generators]).to(device)
