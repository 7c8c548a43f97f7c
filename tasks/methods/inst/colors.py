"""The colours of a picture in Lab, and a picture brought to another's: Reinhard et al., Color Transfer between Images.

H and W pixels; `3` are lightness and two colours.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

LEAST_DEVIATION = 1e-3  # of a picture of one colour, in Lab's units of up to 100


def measure_colors(picture_3HW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation in CIE Lab (D65), 3 each."""
    pixels_N3 = _to_lab(picture_3HW).reshape(-1, 3)
    return _tensor(pixels_N3.mean(0)), _tensor(pixels_N3.std(0))


def set_colors(picture_3HW: Tensor, mean_3: Tensor, deviation_3: Tensor) -> Tensor:
    """The picture with those means and deviations, clipped to what a screen can show."""
    lab_HW3 = _to_lab(picture_3HW)
    own_mean, own_deviation = lab_HW3.mean((0, 1)), lab_HW3.std((0, 1))
    scale = deviation_3.cpu().double().numpy() / np.maximum(own_deviation, LEAST_DEVIATION)
    moved_HW3 = (lab_HW3 - own_mean) * scale + mean_3.cpu().double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of colours that no screen shows, which are clipped
        moved_HW3 = lab2rgb(moved_HW3, channel_axis=-1)
    return _tensor(moved_HW3).permute(2, 0, 1).clamp(0, 1).to(picture_3HW)


def _to_lab(picture_3HW: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    lab: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = rgb2lab(
        picture_3HW.detach().permute(1, 2, 0).cpu().double().numpy()
    )
    return lab


def _tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
