"""What a style is made of, as its card shows it: texts, small pictures, and what was painted for a text.

Dimension key: H height, W width, C channels (RGB).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

import torch
import yaml
from torch import Tensor

from tasks.images.encoding import encode
from tasks.images.settings import ImageSettings
from tasks.labelled.place import MARK, parse_place
from tasks.records import ImageError, RequestError
from tasks.report.model import StyleReference
from tasks.report.thumbnails import thumbnail
from tasks.store import RepresentationStore
from tasks.styles import PlannedReference, PlannedStyle, read_reference

REFERENCES = 8
SIDE = 192
# A representation keeps the picture that was painted for reference 2, a text, as the tensor `painted2`.
PAINTED = re.compile(r"painted(\d+)")


def show_references(style: PlannedStyle, store: RepresentationStore) -> list[StyleReference]:
    """The first references of a style. What is gone is left out; a report never fails for want of a picture."""
    references = style.references[:REFERENCES]
    painted = _painted(style, store) if any(reference.text for reference in style.references) else {}
    return [_show(reference, style.name, painted.get(index)) for index, reference in enumerate(references)]


def describe_regions(style: PlannedStyle) -> str:
    """How a composite style lays its references out, as a job says it; nothing of another style."""
    if style.regions is not None:
        return _write(style.regions.model_dump(mode="json", exclude_defaults=True) | {"feather": style.regions.seam})
    return "; ".join(map(_describe_mask, style.references)) if style.is_composite else ""


def _describe_mask(reference: PlannedReference) -> str:
    if reference.mask is None:
        return "everywhere"
    return _write({"mask": reference.model_dump(mode="json", exclude_defaults=True)["mask"]})


def _write(values: Mapping[str, Any]) -> str:
    """`{grid: [2, 2]}` without the outer braces."""
    return yaml.safe_dump(dict(values), default_flow_style=True, sort_keys=False, width=10**6)[1:-2]


def _show(reference: PlannedReference, style: str, painted: bytes | None) -> StyleReference:
    if reference.image is None:
        return StyleReference(reference.weight, text=reference.text or "", painted=painted)
    try:
        picture = thumbnail(read_reference(reference.image, style), SIDE)
    except (RequestError, ImageError):
        picture = None
    place = parse_place(reference.image)
    where = f"{posixpath.basename(place.file)}{MARK}{place.row}" if place else ""
    return StyleReference(reference.weight, image=picture, place=where)


def _painted(style: PlannedStyle, store: RepresentationStore) -> dict[int, bytes]:
    """Pictures that were painted for texts, small, by reference; none where the representation is not there."""
    try:
        tensors = store.get(style.method.name, style.representation).tensors
    except (RequestError, OSError):
        return {}
    return {int(match[1]): _encode(tensor) for match, tensor in _pictures(tensors)}


def _pictures(tensors: Mapping[str, Tensor]) -> list[tuple[re.Match[str], Tensor]]:
    matched = ((PAINTED.fullmatch(name), tensor) for name, tensor in tensors.items())
    return [(match, tensor) for match, tensor in matched if match and _is_picture(tensor)]


def _is_picture(tensor_CHW: Tensor) -> bool:
    is_rgb = tensor_CHW.ndim == 3 and tensor_CHW.shape[0] == 3
    return tensor_CHW.dtype == torch.uint8 and is_rgb and tensor_CHW.numel() > 0


def _encode(image_CHW: Tensor) -> bytes:
    pixels_HWC = image_CHW.permute(1, 2, 0).contiguous().numpy()
    return thumbnail(encode(pixels_HWC, ImageSettings(codec="png")), SIDE)
