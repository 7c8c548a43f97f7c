"""What stands out in a content: a soft mask of its foreground, from its own pixels alone.

Dimension key: H and W of a content, h and w of the small one that is looked at, C channels (CIE Lab).

No network and no chance: the same pixels give the same mask. Two cues, after Zhang et al., Minimum Barrier Salient
Object Detection at 80 FPS, ICCV 2015: how high a barrier lies between a pixel and the picture's border, and how far its
colour is from those of the border. The barrier is the lower bound of Strand et al., The minimum barrier distance,
CVIU 2013: least maximum minus largest minimum, each over all paths, which are two morphological reconstructions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.morphology import reconstruction

from tasks.images.fitting import Pixels

Map = NDArray[np.float32]

LOOKED_AT = 128  # pixels on the longest side: objects, not their texture
REFINED_AT = 512  # where edges are brought to the picture's; beyond, as soft as the picture is large
BORDER = 0.08  # of a side: what is taken for background at first; 30 pixels of 300 in the paper
LEAST_CONTRAST = 3.0  # in Lab, where 2.3 is just seen: below it nothing stands out
LEAST_SHARE = 0.02  # of the picture: smaller parts are specks
CENTRE = 0.35  # how much less a corner counts than the centre
SLOPE = 6.0  # of the soft threshold, over the range of the map
NEAR = 0.02  # radius of the guided filter, of the shorter side
SMOOTH = 1e-4  # its epsilon: variance of luminance (0 to 1) that is no edge


def split_foreground(pixels_HWC: Pixels) -> Pixels:
    """Mask of a picture's foreground, uint8 HW: 255 where it is; 0 everywhere where nothing stands out."""
    height, width = pixels_HWC.shape[:2]
    lab_hwC = rgb2lab(_shrink(pixels_HWC, LOOKED_AT)).astype(np.float32)
    found_hw = _threshold(_standing_out(lab_hwC))
    if not found_hw.any():
        return np.zeros((height, width), np.uint8)
    guide_hw = _luminance(_shrink(pixels_HWC, REFINED_AT))
    slope_hw, offset_hw = _guided_filter(guide_hw, _resize(found_hw, guide_hw.shape))
    refined_HW = _resize(slope_hw, (height, width)) * _luminance(pixels_HWC) + _resize(offset_hw, (height, width))
    # Steeper about the middle: the filter leaves a veil where the two sides are of one brightness.
    return (np.clip((refined_HW - 0.5) * 2 + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)


def _standing_out(lab_hwC: Map) -> Map:
    """How much each pixel stands out, in units of Lab: barrier and colour, both dimmer away from the centre."""
    smooth_hwC = ndimage.gaussian_filter(lab_hwC, (1, 1, 0), mode="nearest")
    barrier_hw = np.sum([_barrier(smooth_hwC[..., channel]) for channel in range(3)], axis=0)
    both_hw = barrier_hw + _far_from_border(smooth_hwC)
    down_h1, right_1w = (np.linspace(-1, 1, side)[:, None] if side > 1 else np.zeros((1, 1)) for side in both_hw.shape)
    distance_hw = np.sqrt((down_h1**2 + right_1w.T**2) / 2)
    return (both_hw * (1 - CENTRE * distance_hw**2)).astype(np.float32)


def _barrier(channel_hw: Map) -> Map:
    """At least how much a path from the border to each pixel must rise and fall in this channel."""
    inside = np.zeros(channel_hw.shape, bool)
    inside[1:-1, 1:-1] = True
    filled = np.where(inside, channel_hw.max(), channel_hw)
    dug = np.where(inside, channel_hw.min(), channel_hw)
    least_maximum = reconstruction(filled, channel_hw, method="erosion")
    largest_minimum = reconstruction(dug, channel_hw, method="dilation")
    return np.asarray(least_maximum - largest_minimum, np.float32)


def _far_from_border(lab_hwC: Map) -> Map:
    """Distance of each colour from those of the four sides, without the farthest: an object may touch one side."""
    rows, columns = (max(1, round(side * BORDER)) for side in lab_hwC.shape[:2])
    sides = (lab_hwC[:rows], lab_hwC[-rows:], lab_hwC[:, :columns], lab_hwC[:, -columns:])
    distances = np.stack([_distance(lab_hwC, side.reshape(-1, 3)) for side in sides])
    return np.asarray((distances.sum(0) - distances.max(0)) / 3, np.float32)


def _distance(lab_hwC: Map, colors_NC: Map) -> Map:
    """Mahalanobis distance from a set of colours, times their mean deviation: in units of Lab again."""
    offset_hwC = lab_hwC - colors_NC.mean(0)
    covariance_CC = np.cov(colors_NC.T) if len(colors_NC) > 1 else np.zeros((3, 3))
    covariance_CC = covariance_CC + 4.0 * np.eye(3)  # flat borders: differences of 2 are noise
    scale = np.sqrt(np.trace(covariance_CC) / 3)
    squared_hw = np.einsum("hwc,cd,hwd->hw", offset_hwC, np.linalg.inv(covariance_CC), offset_hwC)
    return np.asarray(np.sqrt(np.maximum(squared_hw, 0)) * scale, np.float32)


def _threshold(map_hw: Map) -> Map:
    """Soft mask of what is above Otsu's threshold, without specks and holes; empty where nothing stands out."""
    lowest, highest = float(map_hw.min()), float(map_hw.max())
    if highest - lowest < LEAST_CONTRAST:
        return np.zeros_like(map_hw)
    level = threshold_otsu(map_hw)
    solid_hw = ndimage.binary_fill_holes(map_hw > level)
    parts_hw, count = ndimage.label(solid_hw)
    sizes = ndimage.sum_labels(solid_hw, parts_hw, np.arange(count + 1))
    kept_hw = (sizes >= LEAST_SHARE * map_hw.size)[parts_hw] & solid_hw
    soft_hw = np.clip((map_hw - level) / (highest - lowest) * SLOPE + 0.5, 0, 1)
    return np.where(kept_hw, np.maximum(soft_hw, 0.5), 0).astype(np.float32)


def _guided_filter(guide_hw: Map, mask_hw: Map) -> tuple[Map, Map]:
    """Slope and offset by which a luminance gives the mask (He, Sun and Tang, ECCV 2010, equations 5, 6 and 8)."""
    width = 2 * max(1, round(NEAR * min(guide_hw.shape))) + 1

    def mean(values_hw: Map) -> Map:
        return np.asarray(ndimage.uniform_filter(values_hw, width, mode="nearest"), np.float32)

    guide_mean, mask_mean = mean(guide_hw), mean(mask_hw)
    variance = mean(guide_hw * guide_hw) - guide_mean**2
    slope = (mean(guide_hw * mask_hw) - guide_mean * mask_mean) / (np.maximum(variance, 0) + SMOOTH)
    return mean(slope), mean(mask_mean - slope * guide_mean)


def _shrink(pixels_HWC: Pixels, longest: int) -> Pixels:
    scale = longest / max(pixels_HWC.shape[:2])
    if scale >= 1:
        return pixels_HWC
    height, width = (max(1, round(side * scale)) for side in pixels_HWC.shape[:2])
    return np.asarray(Image.fromarray(pixels_HWC).resize((width, height), Image.Resampling.BOX))


def _resize(map_hw: Map, size: tuple[int, ...]) -> Map:
    if map_hw.shape == tuple(size):
        return map_hw
    return np.asarray(Image.fromarray(map_hw).resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32)


def _luminance(pixels_HWC: Pixels) -> Map:
    return np.asarray(pixels_HWC @ np.array([0.299, 0.587, 0.114], np.float32) / 255, np.float32)
