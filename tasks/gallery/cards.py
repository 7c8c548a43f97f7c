"""What a style is made of, as its card shows it: texts, small pictures, and what was painted or sought for them.

Dimension key: H height, W width, C channels (RGB), E pictures of a part of a style, S their side.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tasks.images.encoding import encode
from tasks.images.settings import ImageSettings
from tasks.labelled.place import MARK, parse_place
from tasks.methods.mmist.settings import MmistSettings
from tasks.records import ImageError, RequestError
from tasks.report.model import InvertedPart, StepPlace, StyleReference
from tasks.report.thumbnails import thumbnail
from tasks.store import RepresentationStore
from tasks.styles import PlannedReference, PlannedStyle, read_reference

if TYPE_CHECKING:
    from torch import Tensor

REFERENCES = 8
SIDE = 192
# Of pictures that stand for a style: in all, of one of its parts, and a side; a card's cover is 128 pixels wide.
INVERTED, INVERTED_OF_PART, INVERTED_SIDE = 16, 8, 128
# A representation keeps the picture that was painted for reference 2, a text, as the tensor `painted2`.
PAINTED = re.compile(r"painted(\d+)")


def show_references(style: PlannedStyle, store: RepresentationStore) -> list[StyleReference]:
    """The first references of a style. What is gone is left out; a report never fails for want of a picture."""
    references = style.references[:REFERENCES]
    may_be_painted = not style.inversions and any(reference.text for reference in style.references)
    painted = _painted(style, store) if may_be_painted else {}
    return [_show(reference, style.name, painted.get(index)) for index, reference in enumerate(references)]


def show_inversions(style: PlannedStyle, store: RepresentationStore) -> list[InvertedPart]:
    """The first pictures that stand for each part of a style; what is gone or damaged is left out.

    None of a step of a path: its parts are the path's ends, whose own cards show theirs.
    """
    if style.step is not None:
        return []
    inverted = [reference for reference in style.references if style.method.inverts(reference.text)]
    names = [_name(reference) for reference in inverted]
    if not style.is_composite:  # all in one, named where other references stand for themselves beside it
        names = [", ".join(names) if len(inverted) < len(style.references) else ""]
    room = max(1, min(INVERTED_OF_PART, INVERTED // max(1, len(style.inversions))))
    parts = zip(style.inversions[:INVERTED], names, strict=False)
    shown = [_show_inversion(store, style.method.inversions, key, name, room) for key, name in parts]
    return [part for part in shown if part is not None]


def name_renderer(style: PlannedStyle) -> str:
    """The method that renders a style, which is another than its own where that only makes pictures."""
    return style.method.render_with.name if isinstance(style.method, MmistSettings) else style.method.name


def place_step(style: PlannedStyle) -> StepPlace | None:
    """Where on a path a style lies; None where it is on none."""
    step = style.step
    return StepPlace(step.start, step.end, step.at) if step else None


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
    return StyleReference(reference.weight, image=picture, place=_place(reference.image))


def _place(image: str) -> str:
    """File and row of a picture of a table; nothing of another."""
    place = parse_place(image)
    return f"{posixpath.basename(place.file)}{MARK}{place.row}" if place else ""


def _name(reference: PlannedReference) -> str:
    if reference.image is None:
        return reference.text or ""
    return _place(reference.image) or posixpath.basename(reference.image)


def _show_inversion(store: RepresentationStore, folder: str, key: str, name: str, room: int) -> InvertedPart | None:
    pictures_E3SS = _read_tensors(store, folder, key).get("pictures")
    if pictures_E3SS is None or pictures_E3SS.ndim != 4 or not all(map(_is_picture, pictures_E3SS)):
        return None
    shown = [_encode(picture_3SS, INVERTED_SIDE) for picture_3SS in pictures_E3SS[:room]]
    return InvertedPart(shown, len(pictures_E3SS), name) if shown else None


def _painted(style: PlannedStyle, store: RepresentationStore) -> dict[int, bytes]:
    """Pictures that were painted for texts, small, by reference; none where the representation is not there."""
    tensors = _read_tensors(store, style.method.name, style.representation)
    return {int(match[1]): _encode(tensor, SIDE) for match, tensor in _pictures(tensors)}


def _read_tensors(store: RepresentationStore, folder: str, key: str) -> Mapping[str, Tensor]:
    """Of a stored representation; none where it is gone or damaged."""
    try:
        return store.get(folder, key).tensors
    except (RequestError, OSError):
        return {}


def _pictures(tensors: Mapping[str, Tensor]) -> list[tuple[re.Match[str], Tensor]]:
    matched = ((PAINTED.fullmatch(name), tensor) for name, tensor in tensors.items())
    return [(match, tensor) for match, tensor in matched if match and _is_picture(tensor)]


def _is_picture(tensor_CHW: Tensor) -> bool:
    is_rgb = tensor_CHW.ndim == 3 and tensor_CHW.shape[0] == 3
    return str(tensor_CHW.dtype) == "torch.uint8" and is_rgb and tensor_CHW.numel() > 0


def _encode(image_CHW: Tensor, side: int) -> bytes:
    pixels_HWC = image_CHW.permute(1, 2, 0).contiguous().numpy()
    return thumbnail(encode(pixels_HWC, ImageSettings(codec="png")), side)
