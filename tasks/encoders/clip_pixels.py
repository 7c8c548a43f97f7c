"""Pictures to the inputs of a CLIP model, pixel for pixel as Pillow brings them there, on any device.

Dimension key: N images, C channels (RGB), H height, W width; h, w sides of a model's input; L outputs along an
axis, K taps of the filter for each.

torch's own antialiased resizing rounds otherwise than Pillow: measured, up to 2/255 off in 8 bits and 21/255 off in
floating point on enlarged noise. Published models were trained behind Pillow, so its integer arithmetic
(Pillow, src/libImaging/Resample.c) is written out here, rows first as every Pillow up to 12 has it; it also gives
every device the same pixels.

Pillow 13 (its pull request 9549) takes columns first where the height shrinks much more than the width. That is not
followed, so that scores do not depend on the installed version: on tall pictures the two orders are up to 4/255
apart on photographs that are squashed (mean 0.1 to 0.2), and up to 29/255 on black and white noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.images.fitting import Pixels

PRECISION = 22  # bits of a filter's weights in 8-bit pictures (Resample.c: 32 - 8 - 2)
PIXELS_AT_ONCE = 1 << 24  # about 300 MB while they are resized


@dataclass(frozen=True)
class Preprocessing:
    """What a model wants done to a picture: its `preprocess_cfg`, in open_clip's words and with its meaning."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    fill: int

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Preprocessing:
        """From the configuration that open_clip keeps at `model.visual.preprocess_cfg`."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else size
        # open_clip's own transforms take anything but bilinear for bicubic.
        interpolation = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
        mean, std = (_three(config[name]) for name in ("mean", "std"))
        return cls(height, width, mean, std, interpolation, config["resize_mode"], config["fill_color"])

    def prepare(self, images: Tensor | Sequence[Tensor | Pixels], device: str) -> Tensor:
        """Inputs of the model, N3hw, of pictures of any sizes; see `to_bytes` for what a picture may be."""
        inputs_N3hw = torch.empty(len(images), 3, self.height, self.width, device=device)
        for rows in _group([_pixel_shape(image) for image in images]):
            bytes_N3HW = torch.stack([to_bytes(images[row], device) for row in rows])
            inputs_N3hw[rows] = self.normalize(self.fit(bytes_N3HW))
        return inputs_N3hw

    def fit(self, images_N3HW: Tensor) -> Tensor:
        """Bring uint8 pictures to the model's size: resized, and cut or filled about the centre."""
        rows, columns = images_N3HW.shape[-2:]
        scaled_height, scaled_width = self.scaled_size(rows, columns)
        (top, height), (left, width) = _window(scaled_height, self.height), _window(scaled_width, self.width)
        vertical = Taps(self._filter(), rows, scaled_height, top, height)
        horizontal = Taps(self._filter(), columns, scaled_width, left, width)
        first, last = vertical.reach()
        images_N3wH = horizontal.apply(images_N3HW[..., first:last, :].transpose(-1, -2).contiguous())
        images_N3hw = vertical.apply(images_N3wH.transpose(-1, -2).contiguous(), first)
        return self._fill(images_N3hw)

    def normalize(self, images_N3hw: Tensor) -> Tensor:
        """From uint8, or float32 in [0, 1], to the scale that the model was trained on."""
        unit = images_N3hw.float() / 255 if images_N3hw.dtype == torch.uint8 else images_N3hw
        mean_311, std_311 = (torch.tensor(x, device=unit.device).view(3, 1, 1) for x in (self.mean, self.std))
        return (unit - mean_311) / std_311

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width before the cut, rounded as torchvision's and open_clip's transforms round them."""
        if self.resize_mode == "squash":
            return self.height, self.width
        if self.resize_mode == "shortest" and self.height == self.width:
            short = min(height, width)
            return int(self.height * height / short), int(self.height * width / short)
        ratios = height / self.height, width / self.width
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _filter(self) -> str:
        # open_clip passes no interpolation where the shortest side meets an oblong input.
        return "bicubic" if self.resize_mode == "shortest" and self.height != self.width else self.interpolation

    def _fill(self, images_N3hw: Tensor) -> Tensor:
        """Surround what is smaller than the input with the fill colour (`longest` only)."""
        lacking_height, lacking_width = self.height - images_N3hw.shape[-2], self.width - images_N3hw.shape[-1]
        if lacking_height == lacking_width == 0:
            return images_N3hw
        left, top = lacking_width // 2, lacking_height // 2
        return F.pad(images_N3hw, (left, lacking_width - left, top, lacking_height - top), value=self.fill)


@dataclass(frozen=True)
class Taps:
    """Resizing along one axis: from `size` pixels to `scaled`, of which `count` from `start` are wanted."""

    kind: str
    size: int
    scaled: int
    start: int
    count: int

    def reach(self) -> tuple[int, int]:
        """First source pixel that any wanted one reads, and one past the last."""
        index_LK, _ = _taps(self)
        return int(index_LK.min()), int(index_LK.max()) + 1

    def apply(self, images: Tensor, first: int = 0) -> Tensor:
        """Resize uint8 pictures along their last axis but one, whose pixel 0 is pixel `first` of the source."""
        index_LK, weight_LK = (table.to(images.device) for table in _taps(self))
        shape = *images.shape[:-2], self.count, images.shape[-1]
        total = torch.full(shape, 1 << (PRECISION - 1), dtype=torch.int32, device=images.device)
        for index_L, weight_L in zip((index_LK - first).unbind(1), weight_LK.unbind(1), strict=True):
            total.addcmul_(images.index_select(-2, index_L).int(), weight_L[:, None])
        return (total >> PRECISION).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=512)
def _taps(axis: Taps) -> tuple[Tensor, Tensor]:
    """Source pixels of each wanted one (int64) and their weights (int32 of PRECISION bits), as Resample.c has them."""
    if axis.size == axis.scaled:
        index_L1 = torch.arange(axis.start, axis.start + axis.count)[:, None]
        return index_L1, torch.full(index_L1.shape, 1 << PRECISION, dtype=torch.int32)
    curve, support = FILTERS[axis.kind]
    scale = axis.size / axis.scaled
    stretch = max(scale, 1.0)
    centre_L1 = (torch.arange(axis.start, axis.start + axis.count, dtype=torch.float64)[:, None] + 0.5) * scale
    low_L1 = (centre_L1 - support * stretch + 0.5).floor().clamp(min=0)
    high_L1 = (centre_L1 + support * stretch + 0.5).floor().clamp(max=axis.size)
    index_LK = low_L1 + torch.arange(int((high_L1 - low_L1).max()))
    weight_LK = curve(((index_LK - centre_L1 + 0.5) / stretch).abs()) * (index_LK < high_L1)
    weight_LK = weight_LK / weight_LK.sum(1, keepdim=True) * (1 << PRECISION)
    nearest_LK = (weight_LK.abs() + 0.5).floor() * weight_LK.sign()
    return index_LK.clamp(max=axis.size - 1).long(), nearest_LK.int()


def _bicubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5, which is Pillow's; torch's plain bicubic has -0.75."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


def _bilinear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp(min=0)


# A filter's curve and how far it reaches, in pixels of the coarser grid.
FILTERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bicubic": (_bicubic, 2.0),
    "bilinear": (_bilinear, 1.0),
}


def to_bytes(image: Tensor | Pixels, device: str) -> Tensor:
    """A picture as uint8 3HW: of uint8 HWC (array), uint8 CHW or float32 CHW in [0, 1] (tensors), rounded."""
    if isinstance(image, np.ndarray):
        return torch.tensor(image, device=device).permute(2, 0, 1)
    image = image.to(device)
    return image if image.dtype == torch.uint8 else image.mul(255).round().clamp(0, 255).to(torch.uint8)


def _pixel_shape(image: Tensor | Pixels) -> tuple[int, int]:
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.shape[1:]
    return int(height), int(width)


def _group(shapes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Positions of equal shapes together, in groups of at most PIXELS_AT_ONCE (or of one picture)."""
    groups: dict[tuple[int, int], list[int]] = {}
    for position, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(position)
    limits = {shape: max(1, PIXELS_AT_ONCE // (shape[0] * shape[1])) for shape in groups}
    return [
        members[start : start + limits[shape]]
        for shape, members in groups.items()
        for start in range(0, len(members), limits[shape])
    ]


def _window(scaled: int, wanted: int) -> tuple[int, int]:
    """Start and length of the centre part of an axis; torchvision rounds halves to even."""
    return max(0, round((scaled - wanted) / 2)), min(scaled, wanted)


def _three(value: float | Sequence[float]) -> tuple[float, ...]:
    return (float(value),) * 3 if isinstance(value, (int, float)) else tuple(float(x) for x in value)
