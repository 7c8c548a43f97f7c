"""Masks that contents bring: from a picture's bytes to a map of the content's size, and from maps to masks.

Dimension key: R references, H and W of a content.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.images.decoding import Picture, decode_levels
from tasks.images.fitting import Pixels, scaled_size, shape
from tasks.images.settings import ImageSettings
from tasks.records import ImageError
from tasks.regions.settings import RegionSettings
from tasks.regions.shares import from_labels

ALIKE = 0.04  # how far a mask's proportions may be from its picture's; sizes that networks round to stay well below


def read_map(data: bytes, layout: RegionSettings, picture: Picture, images: ImageSettings) -> Pixels:
    """A mask as a map of levels over its content, uint8 HW: stretched, cut and filled as the content was.

    Raises ImageError: `mask_shape`, or the reason of the picture after `mask_`, such as `mask_empty_file`.
    """
    try:
        levels_HW = decode_levels(data, indices=layout.labels is not None)
    except ImageError as error:
        raise ImageError(f"mask_{error.reason}", f"the mask cannot be used: {error}") from error
    height, width = levels_HW.shape
    if not _is_alike(width, height, picture):
        raise ImageError(
            "mask_shape",
            f"the mask is {width} x {height}, and the upright picture {picture.source_width} x "
            f"{picture.source_height}: a mask is stretched over it, so their sides must be in one proportion",
        )
    size = scaled_size(picture.source_width, picture.source_height, images)
    # Levels that are names of references must not be mixed; those of two references are shares.
    how = Image.Resampling.NEAREST if layout.labels is not None else Image.Resampling.BILINEAR
    resized_HW = np.asarray(Image.fromarray(levels_HW).resize(size, how))
    return shape(resized_HW[:, :, None], images)[:, :, 0].copy()


def _is_alike(width: int, height: int, picture: Picture) -> bool:
    """Whether a mask has the picture's proportions, to a pixel of its shorter side: small ones are rounded."""
    across, down = width * picture.source_height, height * picture.source_width
    return abs(across - down) <= max(picture.source_width, picture.source_height, ALIKE * across)


def to_masks(map_HW: Tensor, layout: RegionSettings, references: int) -> Tensor:
    """Masks_RHW in [0, 1], which sum to 1, of a map of levels (uint8).

    With labels each level is a reference's, and what is not named the last one's. Without, levels go from white, the
    first reference, to black, the last; one between two references' levels is a mixture of those two.
    """
    if layout.labels is None:
        places_HW = (255 - map_HW.float()) / 255 * (references - 1)
        numbers_R11 = torch.arange(references, device=map_HW.device)[:, None, None]
        return (1 - (places_HW - numbers_R11).abs()).clamp_min(0)
    table = torch.full((256,), references - 1, dtype=torch.uint8)
    table[list(layout.labels)] = torch.arange(len(layout.labels), dtype=torch.uint8)
    return from_labels(table.to(map_HW.device)[map_HW.int()], references)
