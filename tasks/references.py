"""Styles with their references loaded: pictures decoded, texts as they are."""

from __future__ import annotations

from tasks.images.decoding import decode
from tasks.images.padding import to_tensor
from tasks.methods.base import Reference, Style
from tasks.records import ImageError, RequestError
from tasks.styles import PlannedStyle, read_reference


def load_style(planned: PlannedStyle) -> Style:
    """A style with its pictures decoded. Raises RequestError naming the style and the picture."""
    return Style(planned.name, tuple(_load_reference(planned, i) for i in range(len(planned.references))))


def _load_reference(planned: PlannedStyle, index: int) -> Reference:
    reference = planned.references[index]
    if reference.image is None:
        return Reference(weight=reference.weight, text=reference.text)
    try:
        pixels_HWC = decode(read_reference(reference.image, planned.name))
    except ImageError as error:
        raise RequestError(f"Style {planned.name!r}: {reference.image} is no usable picture ({error}).") from error
    return Reference(weight=reference.weight, image_CHW=to_tensor([pixels_HWC])[0])
