"""Contents through a network, once for all styles: padded, laid out and cut as the device likes it.

N contents, C channels, H and W pixels; h and w are padded sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tasks.encoders.placement import memory_format, split_rows
from tasks.images.padding import pad_to_stride
from tasks.methods.base import Content


def encode_contents(
    images_NCHW: Tensor, stride: int, device: torch.device, encode: Callable[[Tensor], Mapping[str, Tensor]]
) -> Content:
    """What `encode` makes of the padded images_NChw, some rows at a time: tensors whose first dimension is N."""
    height, width = images_NCHW.shape[-2:]
    images_NChw = pad_to_stride(images_NCHW.to(device), stride).contiguous(memory_format=memory_format(device))
    encoded = [encode(images_NChw[part]) for part in split_rows(len(images_NChw), height * width, device)]
    return Content({name: torch.cat([part[name] for part in encoded]) for name in encoded[0]}, height, width)
