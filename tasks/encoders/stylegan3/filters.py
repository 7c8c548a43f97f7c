"""Low-pass filters of networks that are made from scratch; trained ones carry theirs.

Kaiser windows: Karras et al., NeurIPS 2021, appendix C. Frequencies are in cycles, rates in samples per picture.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def design_axis_filter(taps: int, cutoff: float, half_width: float, rate: float) -> Tensor:
    """Taps [taps] of a low-pass filter along an axis; they sum to 1.

    It lets through what is below the cutoff, and has faded `half_width` past it, as far as so few taps can.
    """
    from scipy.signal import firwin  # slow to import, and no trained network needs it

    return torch.from_numpy(firwin(taps, cutoff, width=2 * half_width, fs=rate)).float()


def design_radial_filter(taps: int, cutoff: float, half_width: float, rate: float) -> Tensor:
    """Taps [taps, taps] of a low-pass filter that is the same in all directions (configuration R); they sum to 1.

    The Fourier transform of a disc, J1(2 pi f r) f / r, under the Kaiser window of the axis filter on both axes.
    `taps` is even: at r = 0 the quotient has no value.
    """
    from scipy.signal import kaiser_atten, kaiser_beta
    from scipy.special import j1

    places = (np.arange(taps) - (taps - 1) / 2) / rate
    radii = np.hypot(places[:, None], places[None, :])
    window = np.kaiser(taps, kaiser_beta(kaiser_atten(taps, 2 * half_width / (rate / 2))))
    plane = j1(2 * np.pi * cutoff * radii) / radii * np.outer(window, window)
    return torch.from_numpy(plane / plane.sum()).float()
