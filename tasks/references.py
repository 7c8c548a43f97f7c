"""Styles with their references loaded: pictures and masks decoded, texts as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.images.decoding import decode, decode_levels
from tasks.images.padding import to_tensor
from tasks.methods.base import Reference, Style
from tasks.records import ImageError, RequestError
from tasks.regions.drawing import draw_cell
from tasks.style_settings import GridCell
from tasks.styles import PlannedStyle, read_reference


def load_style(planned: PlannedStyle) -> Style:
    """A style with its pictures decoded. Raises RequestError naming the style and the picture."""
    references = tuple(
        Reference(
            weight=reference.weight,
            image_CHW=_load_picture(reference.image, planned.name) if reference.image else None,
            text=reference.text,
            part=reference.part,
        )
        for reference in planned.references
    )
    return Style(planned.name, references, planned.is_composite)


def load_masks(planned: PlannedStyle) -> list[Tensor | None]:
    """The mask of each reference of a style, HW in [0, 1], of any size; None where it counts everywhere.

    Raises RequestError naming the style and the picture.
    """
    return [_load_mask(r.mask, planned.name) if r.mask else None for r in planned.references]


def _load_mask(mask: str | GridCell, style: str) -> Tensor:
    if isinstance(mask, GridCell):
        return draw_cell((mask.rows, mask.columns), (mask.row, mask.column), mask.feather)
    try:
        return torch.from_numpy(decode_levels(read_reference(mask, style))).float() / 255
    except ImageError as error:
        raise _unusable(mask, style, error) from error


def _load_picture(uri: str, style: str) -> Tensor:
    try:
        return to_tensor([decode(read_reference(uri, style))])[0]
    except ImageError as error:
        raise _unusable(uri, style, error) from error


def _unusable(uri: str, style: str, error: ImageError) -> RequestError:
    return RequestError(f"Style {style!r}: {uri} is no usable picture ({error}).")
