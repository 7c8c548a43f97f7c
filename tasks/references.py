"""Styles with their references loaded: pictures and masks decoded, texts as they are."""

from __future__ import annotations

from torch import Tensor

from tasks.images.decoding import decode
from tasks.images.padding import to_tensor
from tasks.losses.perceptual import luminance
from tasks.methods.base import Reference, Style
from tasks.methods.regions import draw_cell
from tasks.records import ImageError, RequestError
from tasks.styles import GridCell, PlannedStyle, read_reference


def load_style(planned: PlannedStyle) -> Style:
    """A style with its pictures decoded. Raises RequestError naming the style and the picture."""
    return Style(planned.name, tuple(_load_reference(planned, i) for i in range(len(planned.references))))


def _load_reference(planned: PlannedStyle, index: int) -> Reference:
    reference = planned.references[index]
    return Reference(
        weight=reference.weight,
        image_CHW=_load_picture(reference.image, planned.name) if reference.image else None,
        text=reference.text,
        mask_HW=_load_mask(reference.mask, planned.name) if reference.mask else None,
    )


def _load_mask(mask: str | GridCell, style: str) -> Tensor:
    if isinstance(mask, GridCell):
        return draw_cell((mask.rows, mask.columns), (mask.row, mask.column), mask.feather)
    return luminance(_load_picture(mask, style)[None])[0]


def _load_picture(uri: str, style: str) -> Tensor:
    try:
        return to_tensor([decode(read_reference(uri, style))])[0]
    except ImageError as error:
        raise RequestError(f"Style {style!r}: {uri} is no usable picture ({error}).") from error
