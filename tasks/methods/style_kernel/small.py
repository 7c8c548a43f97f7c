"""The compact StyleKernel network of ours: kernels at 1/2, 1/4 and 1/8 of the image.

N images, C channels, H and W pixels; features at depth d are NCHW at 1/2, 1/4 and 1/8 of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from tasks.encoders.compact import WIDTHS, build_trunk, read_widths
from tasks.methods.style_kernel.architecture import ARCHITECTURES, Architecture
from tasks.methods.style_kernel.network import StyleKernelNetwork
from tasks.methods.style_kernel.network import Switches as Switches

SMALL = ARCHITECTURES["small"]


class SmallStyleKernel(StyleKernelNetwork):
    """Encoders and decoder as adain's compact network, and of the same names, so that it can start from its weights."""

    decoded: ClassVar[tuple[int, ...]] = (0, 1, 2)
    convolved: ClassVar[tuple[int, ...]] = (0, 1, 2)

    def __init__(self, widths: Sequence[int] = WIDTHS, architecture: Architecture = SMALL) -> None:
        *encoders, decoder = build_trunk(widths)
        super().__init__((encoders[0], encoders[1]), decoder, list(widths[1:]), architecture)


def build_small(tensors: Mapping[str, Tensor], architecture: Architecture = SMALL) -> SmallStyleKernel:
    """The network of a state dict, float32, in evaluation mode; its widths are read from the tensors."""
    network = SmallStyleKernel(read_widths(tensors), architecture)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()
