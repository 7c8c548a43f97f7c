"""The leaky ReLU of StyleGAN3: at a higher rate, between two low-pass filters, so that it does not alias.

N images, C channels, H and W samples, both of a size; P planes, an image's channel each; O samples out.
Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tasks.encoders.stylegan3.bands import PlaneMap, RadialMap, SeparableMap, band

if TYPE_CHECKING:
    from tasks.encoders.stylegan3.fused import FusedPlan

# Samples between the filters that are held at once. On a CPU 2 MB, which a core's cache holds: a quarter to four times
# as many took as long on a busy machine, within its noise. On a GPU what keeps it busy, 128 MB: not measured.
SAMPLES_AT_ONCE = {"cpu": 2**19, "cuda": 2**25}


@dataclass(frozen=True)
class Resampling:
    """How the rate changes around a leaky ReLU; `padding` is before and after, at the rate between; negative crops."""

    up: int
    down: int
    padding: tuple[int, int]
    gain: float = 2**0.5  # keeps the scale of what goes through
    slope: float = 0.2  # for negative values
    clamp: float = 256.0  # largest magnitude


class ResamplingPlan:
    """The linear maps before and after the leaky ReLU, of images of one size, in one precision and on one device."""

    def __init__(self, size: int, up_taps_T: Tensor, down_taps: Tensor, resampling: Resampling) -> None:
        """Up taps [T]; down taps [T], or [T, T] of a filter of the plane; both in the precision of the images."""
        self.slope, self.clamp = resampling.slope, resampling.clamp
        self.between = size * resampling.up + sum(resampling.padding) - len(up_taps_T) + 1
        self.size_out = (self.between - len(down_taps)) // resampling.down + 1
        # A leaky ReLU scales with what goes in: its gain goes into the first filter, half of it on each axis.
        up_taps_T = up_taps_T * resampling.up * resampling.gain**0.5
        self.fused = self._plan_fused(size, up_taps_T, down_taps, resampling)
        if self.fused is None:
            up_OI = band(up_taps_T, self.between, size, 1, resampling.up, resampling.padding[0])
            self.up = SeparableMap(up_OI)
            self.down = self._plan_down(down_taps, resampling.down)

    def _plan_fused(self, size: int, up_taps_T: Tensor, down_taps: Tensor, resampling: Resampling) -> FusedPlan | None:
        """What a GPU kernel does at once; None where it is not to be had."""
        is_radial = down_taps.ndim == 2
        if up_taps_T.device.type != "cuda" or is_radial or find_spec("triton") is None:
            return None
        from tasks.encoders.stylegan3 import fused

        if not fused.can_compile():
            return None
        rates = (resampling.up, resampling.down, resampling.padding[0])
        tiles = fused.plan_tiles(up_taps_T, down_taps, *rates)
        return fused.FusedPlan(size, self.size_out, *tiles, self.slope, self.clamp)

    def _plan_down(self, down_taps: Tensor, step: int) -> PlaneMap:
        if down_taps.ndim == 2:
            return RadialMap(down_taps, step)
        return SeparableMap(band(down_taps, self.size_out, self.between, step, 1))

    def split(self, planes_PHW: Tensor) -> list[slice]:
        """Planes to work on at once."""
        most = SAMPLES_AT_ONCE.get(planes_PHW.device.type, SAMPLES_AT_ONCE["cuda"])
        at_once = max(1, most // self.between**2)
        return [slice(start, start + at_once) for start in range(0, len(planes_PHW), at_once)]

    def activate(self, planes_PHW: Tensor) -> Tensor:
        """The leaky ReLU's output at the rate between."""
        return F.leaky_relu_(self.up.apply(planes_PHW), self.slope).clamp_(-self.clamp, self.clamp)

    def activate_back(self, gradients_PHW: Tensor, activated_PHW: Tensor) -> Tensor:
        """Gradients before the leaky ReLU, of those after it and of its output, whose sign is its input's."""
        aten = torch.ops.aten  # a pass each: the gradient takes two thirds of its time with torch.where
        gradients_PHW = aten.hardtanh_backward(gradients_PHW, activated_PHW, -self.clamp, self.clamp)
        return cast(Tensor, aten.leaky_relu_backward(gradients_PHW, activated_PHW, self.slope, True))


class _FilteredLeakyRelu(torch.autograd.Function):
    """Keeps what goes in alone: samples at the rate between, 4 to 16 times as many, are made again for the gradient."""

    @staticmethod
    def forward(ctx: Any, planes_PHW: Tensor, plan: ResamplingPlan) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(planes_PHW)
        if plan.fused is not None:
            return plan.fused.activate(planes_PHW)
        out_POO = planes_PHW.new_empty(len(planes_PHW), plan.size_out, plan.size_out)
        for part in plan.split(planes_PHW):
            out_POO[part] = plan.down.apply(plan.activate(planes_PHW[part]))
        return out_POO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients_POO: Tensor) -> tuple[Tensor, None]:
        (planes_PHW,), plan = ctx.saved_tensors, ctx.plan
        gradients_POO = gradients_POO.contiguous()
        if plan.fused is not None:
            return plan.fused.activate_back(gradients_POO, planes_PHW), None
        out_PHW = torch.empty_like(planes_PHW)
        for part in plan.split(planes_PHW):
            activated_PHW = plan.activate(planes_PHW[part])
            out_PHW[part] = plan.up.adjoint(plan.activate_back(plan.down.adjoint(gradients_POO[part]), activated_PHW))
        return out_PHW, None


def filtered_leaky_relu(features_NCHW: Tensor, plan: ResamplingPlan) -> Tensor:
    """Up, low-pass, leaky ReLU, clamp, low-pass and down: [N, C, size, size] to [N, C, size_out, size_out].

    Differentiable once in the features, not in the taps. The same as `reference_filtered_leaky_relu` up to rounding.
    """
    count, channels, height, width = features_NCHW.shape
    planes_PHW = features_NCHW.contiguous().view(count * channels, height, width)
    with torch.autocast(features_NCHW.device.type, enabled=False):
        out_POO = _FilteredLeakyRelu.apply(planes_PHW, plan)
    return out_POO.view(count, channels, *out_POO.shape[1:])


def reference_filtered_leaky_relu(
    features_NCHW: Tensor, up_taps_T: Tensor, down_taps: Tensor, resampling: Resampling
) -> Tensor:
    """The same as its definition says it: zeros between samples, convolutions at the higher rate, samples dropped.

    Slow and large; tests and benchmarks measure ours against it.
    """
    count, channels, height, width = features_NCHW.shape
    up, down, sides = resampling.up, resampling.down, resampling.padding
    between = features_NCHW.new_zeros(count, channels, height, up, width, up)
    between[:, :, :, 0, :, 0] = features_NCHW
    between = F.pad(between.reshape(count, channels, height * up, width * up), (*sides, *sides))
    between = _convolve(between, up_taps_T * up)
    between = F.leaky_relu(between, resampling.slope) * resampling.gain
    between = between.clamp(-resampling.clamp, resampling.clamp)
    return _convolve(between, down_taps)[:, :, ::down, ::down]


def _convolve(features_NCHW: Tensor, taps: Tensor) -> Tensor:
    """A true convolution of each channel, along both axes or, with taps of the plane, of both at once."""
    channels = features_NCHW.shape[1]
    if taps.ndim == 2:
        return F.conv2d(features_NCHW, taps.flip(0, 1).expand(channels, 1, -1, -1), groups=channels)
    kernel_C1T = taps.flip(0).expand(channels, 1, -1)
    features_NCHW = F.conv2d(features_NCHW, kernel_C1T[..., None], groups=channels)
    return F.conv2d(features_NCHW, kernel_C1T[..., None, :], groups=channels)
