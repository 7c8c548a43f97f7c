"""Where a source picture's points lie once it is brought to size, and label maps brought along with it.

Dimension key: H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from tasks.images.decoding import FORMATS
from tasks.images.fitting import mirror_index, scaled_size
from tasks.images.settings import ImageSettings
from tasks.records import ImageError

# Label maps keep their numbers: no mode whose values a resize could mix.
LABEL_MODES = ("1", "L", "P", "I", "I;16", "RGB", "RGBA", "LA")


@dataclass(frozen=True)
class Placement:
    """x of the upright source lies at x * scale_x + offset_x of a picture of `width` x `height`; y alike. In pixels."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    width: int
    height: int

    @property
    def is_identity(self) -> bool:
        """Whether every point stays where it is."""
        return (self.scale_x, self.scale_y, self.offset_x, self.offset_y) == (1, 1, 0, 0)

    def row(self) -> dict[str, float]:
        """As a record has it."""
        return {name: float(getattr(self, name)) for name in ("scale_x", "scale_y", "offset_x", "offset_y")}


def place(width: int, height: int, settings: ImageSettings) -> Placement:
    """What `read_picture` does to an upright source of that size."""
    wide, high = scaled_size(width, height, settings)
    scale = (wide / width, high / height)
    if settings.fit == "crop":
        side = min(wide, high)
        return Placement(*scale, -((wide - side) // 2), -((high - side) // 2), side, side)
    if settings.fit == "pad":
        side = max(wide, high)
        return Placement(*scale, (side - wide) // 2, (side - high) // 2, side, side)
    return Placement(*scale, 0, 0, wide, high)


def place_labels(data: bytes, source: tuple[int, int], settings: ImageSettings) -> bytes:
    """A label map of a source (width, height), brought along with its picture: nearest values, as PNG.

    Values are never mixed; a padded picture's mirror image has mirrored labels. Raises ImageError where the map is no
    picture, or of another size (`mask_shape`).
    """
    image = _open(data)
    if image.size != source:
        raise ImageError(
            "mask_shape", f"a mask is {image.width}x{image.height}, its picture {source[0]}x{source[1]} pixels"
        )
    placement = place(*source, settings)
    if placement.is_identity and (placement.width, placement.height) == source:
        return data
    scaled = image.resize(scaled_size(*source, settings), Image.Resampling.NEAREST)
    file = BytesIO()
    _fit(scaled, placement).save(file, "PNG")
    return file.getvalue()


def _fit(scaled: Image.Image, placement: Placement) -> Image.Image:
    """Cut or mirror a scaled label map as its picture is."""
    size = (placement.width, placement.height)
    if scaled.size == size:
        return scaled
    left, top = int(placement.offset_x), int(placement.offset_y)
    if left <= 0 and top <= 0:
        return scaled.crop((-left, -top, -left + size[0], -top + size[1]))
    values_HW = np.asarray(scaled)
    rows = mirror_index(scaled.height, top, size[1])
    columns = mirror_index(scaled.width, left, size[0])
    fitted = Image.fromarray(values_HW[rows][:, columns])
    if scaled.mode == "P":
        fitted.putpalette(scaled.getpalette() or [])
    return fitted


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError("mask_damaged", "a mask is no usable picture") from error
    if image.mode not in LABEL_MODES:
        raise ImageError("mask_damaged", f"pixels of the kind {image.mode} are no labels")
    return image
