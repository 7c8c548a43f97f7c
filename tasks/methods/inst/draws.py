"""The noise that each output draws from its own seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_noise(generators: Sequence[torch.Generator], shape: Sequence[int], device: torch.device) -> Tensor:
    """Normal noise, a row from each generator. Drawn on the CPU: the same on every device, in any batch."""
    return torch.stack([torch.randn(tuple(shape), generator=one) for one in generators]).to(device)
