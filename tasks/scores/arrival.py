"""Did the styles arrive?: every style that was asked for against outputs grouped by the style they were made in.

Dimension key: S styles, P outputs.

A raw cosine says little: texts and pictures point with different strength, and every output has moved from its
content in some way that all have in common. So each style's cosines are taken minus their mean over all outputs: what
is left says which outputs a style is nearest to, and, for one output, which style it is nearest to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Two styles of the same references point alike; rounding alone must not put one before the other.
TIE = 1e-6


@dataclass(frozen=True)
class Arrival:
    """`margins_SS`: a style asked for (row), outputs of a style (column): mean cosine minus the row's over all outputs.

    `first_S`: share of a style's outputs to which it is the nearest of all styles; by chance 1/S. `outputs_S`: how
    many there were.
    """

    margins_SS: Tensor
    first_S: Tensor
    outputs_S: Tensor


def measure_arrival(cosines_SP: Tensor, styles_P: Sequence[int]) -> Arrival:
    """From the cosines of S styles with P outputs and the style that each output was made in, at least one a style.

    Raises ValueError where a style has no output.
    """
    styles = len(cosines_SP)
    index_P = torch.tensor(styles_P, device=cosines_SP.device)
    outputs_S = torch.bincount(index_P, minlength=styles)
    if not bool((outputs_S > 0).all()):
        raise ValueError("every style needs an output")
    lifts_SP = cosines_SP - cosines_SP.mean(1, keepdim=True)
    made_SP = torch.nn.functional.one_hot(index_P, styles).T.to(lifts_SP.dtype)
    own_P = lifts_SP.gather(0, index_P[None])[0]
    first_P = (lifts_SP <= own_P + TIE).all(0).to(lifts_SP.dtype)
    return Arrival(lifts_SP @ made_SP.T / outputs_S, made_SP @ first_P / outputs_S, outputs_S)
