"""Regions of composite styles on the contents of a shard: read ahead on threads, drawn on the device.

Dimension key: R references, H and W of a content; h, w are padded sides.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.corpus.base import Entry
from tasks.corpus.listing import SHA256
from tasks.corpus.masks import ReadMask
from tasks.images.decoding import Picture
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings
from tasks.records import ImageError
from tasks.references import load_masks
from tasks.regions.drawing import draw_labels
from tasks.regions.masks import read_map, to_masks
from tasks.regions.settings import RegionSettings
from tasks.regions.shares import from_labels, share_out, soften, stretch
from tasks.styles import PlannedStyle

# Contents of one size share the tensor of a layout that depends on their size alone, while it fits here.
KEPT_BYTES = 2**27


@dataclass(frozen=True)
class RegionMap:
    """What a content brings to a layout: levels uint8 HW, and the version of the mask that they were read from."""

    levels_HW: Pixels
    version: str | None = None


Maps = Mapping[RegionSettings, RegionMap | ImageError]


def read_maps(
    entry: Entry, picture: Picture, images: ImageSettings, readers: Mapping[RegionSettings, ReadMask | None]
) -> Maps:
    """The maps of a content for the layouts that differ from content to content, or why there is none."""
    maps: dict[RegionSettings, RegionMap | ImageError] = {}
    for layout, read in readers.items():
        try:
            data = read(entry) if read else None
            maps[layout] = _make_map(data, picture, images, layout)
        except ImageError as error:
            maps[layout] = error
    return maps


def _make_map(data: bytes | None, picture: Picture, images: ImageSettings, layout: RegionSettings) -> RegionMap:
    if data is None:
        # Only here: scikit-image takes a second to import, and no other layout needs it.
        from tasks.regions.foreground import split_foreground

        return RegionMap(split_foreground(picture.pixels_HWC))
    version = f"{SHA256}{hashlib.sha256(data).hexdigest()[:32]}"
    return RegionMap(read_map(data, layout, picture, images), version)


class KeptShares:
    """Shares by style and size, up to a number of bytes; those not used for longest go first, the last one stays."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, tuple[int, int]], Tensor] = OrderedDict()

    def get(self, style: str, size: tuple[int, int], draw: Callable[[tuple[int, int]], Tensor]) -> Tensor:
        """What was drawn for a style and a size before, or is now."""
        shares_RHW = self._kept.pop((style, size), None)
        self._kept[style, size] = shares_RHW = draw(size) if shares_RHW is None else shares_RHW
        while len(self._kept) > 1 and sum(shares.nbytes for shares in self._kept.values()) > self.most_bytes:
            self._kept.popitem(last=False)
        return shares_RHW


class RegionDrawer:
    """Draws the shares of one composite style's references on contents."""

    def __init__(self, planned: PlannedStyle, device: str, kept: KeptShares) -> None:
        self.layout, self.device = planned.regions, device
        self.digest = planned.digest
        self.weights = [reference.weight for reference in planned.references]
        self._masks = [] if self.layout else load_masks(planned)
        self._kept = kept

    def draw(self, size: tuple[int, int], found: RegionMap | None) -> Tensor:
        """Shares_RHW on the device, which sum to 1; `found` is the content's own map, where the layout differs."""
        if self.layout is not None and self.layout.differs:
            assert found is not None  # contents without one are failed records before
            levels_HW = torch.from_numpy(found.levels_HW).to(self.device)
            masks_RHW = to_masks(levels_HW, self.layout, len(self.weights))
            return share_out(soften(masks_RHW, self.layout.seam), self.weights)
        return self._kept.get(self.digest, size, self._draw)

    def _draw(self, size: tuple[int, int]) -> Tensor:
        if self.layout is not None:
            labels_HW = draw_labels(self.layout, size, len(self.weights))
            masks_RHW = soften(from_labels(labels_HW, len(self.weights)).to(self.device), self.layout.seam)
        else:
            everywhere_HW = torch.ones(size)
            stretched = [everywhere_HW if mask_HW is None else stretch(mask_HW, size) for mask_HW in self._masks]
            masks_RHW = torch.stack(stretched).to(self.device)
        return share_out(masks_RHW, self.weights)
