"""The leaky ReLU of StyleGAN3 between its two filters as one GPU kernel a direction, which Triton compiles on use.

P planes, an image's channel each. A program makes one tile of a plane: products with small banded matrices on the
tensor cores, and the samples at the rate between, 4 to 16 times as many as go in, never leave the multiprocessor.
B samples between, I into the filters, O out of them, all along both axes of a tile.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators
# (of kernels: Triton compiles their source, in which arguments are pointers, numbers and blocks of them)

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from tasks.encoders.stylegan3.bands import band

# Sides of a tile at the rate between and at the outer rates: powers of two, as the tensor cores take them.
BETWEEN, OUTSIDE = 64, 32
WARPS = 4  # a program: with 8 an H100 took 2.1 to 2.7 times as long (2026-11-27)


@cache
def can_compile() -> bool:
    """Whether Triton finds the C compiler that it builds its launchers with."""
    return any(map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang"))))


@dataclass(frozen=True)
class Tile:
    """How far tiles lie apart and where the first begins, at the rate in and at the rate out, and the matrices of each.

    Tiles of a plane have the same matrices: they lie whole periods of both rates apart.
    """

    step_in: int
    step_out: int
    first_in: int
    first_out: int
    up_BI: Tensor
    down_OB: Tensor
    inner: int = 0  # of the rows that a tile holds, the first that it writes


@dataclass(frozen=True)
class FusedPlan:
    """The tiles of both directions, and the leaky ReLU: it runs the kernels."""

    size: int
    size_out: int
    forward: Tile
    backward: Tile
    slope: float
    clamp: float

    def activate(self, planes_PHW: Tensor) -> Tensor:
        """Planes [P, size, size] through both filters and the leaky ReLU between them: [P, size_out, size_out]."""
        out_POO = planes_PHW.new_empty(len(planes_PHW), self.size_out, self.size_out)
        tile = self.forward
        across = triton.cdiv(self.size_out, tile.step_out)
        _activate_kernel[(len(planes_PHW) * across**2,)](
            planes_PHW, out_POO, tile.up_BI, tile.down_OB, across, self.size, self.size_out, tile.step_in,
            tile.step_out, tile.first_in, self.slope, self.clamp, BETWEEN, OUTSIDE, _precision(planes_PHW),
            num_warps=WARPS,
        )  # fmt: skip
        return out_POO

    def activate_back(self, gradients_POO: Tensor, planes_PHW: Tensor) -> Tensor:
        """Gradients of what went in, of those of what came out; the leaky ReLU is computed again."""
        out_PHW = torch.empty_like(planes_PHW)
        tile = self.backward
        across = triton.cdiv(self.size, tile.step_in)
        _activate_back_kernel[(len(planes_PHW) * across**2,)](
            gradients_POO, planes_PHW, out_PHW, tile.up_BI, tile.down_OB, across, self.size, self.size_out,
            tile.step_in, tile.step_out, tile.first_in, tile.first_out, tile.inner, self.slope, self.clamp, BETWEEN,
            OUTSIDE, _precision(planes_PHW), num_warps=WARPS,
        )  # fmt: skip
        return out_PHW


def plan_tiles(up_taps_T: Tensor, down_taps_T: Tensor, up: int, down: int, before: int) -> tuple[Tile, Tile]:
    """Tiles of the filter and of its gradient. Taps have their gains; `before` is the padding at the rate between."""
    up_count, down_count = len(up_taps_T), len(down_taps_T)
    reach = (up_count - 1) // up  # samples in on either side of one that its filter touches
    step = max(n for n in range(1, OUTSIDE) if _fits_forward(n, up, down, up_count, down_count))
    first_in = -(before // up)
    forward = Tile(
        step * down // up,
        step,
        first_in,
        0,
        band(up_taps_T, BETWEEN, OUTSIDE, 1, up, before + first_in * up).contiguous(),
        band(down_taps_T, OUTSIDE, BETWEEN, down, 1).contiguous(),
    )
    first = before - up_count + 1  # of the samples between that the first sample in touches
    first_out = -((down_count - 1 - first) // down)
    step = max(n for n in range(1, OUTSIDE) if _fits_backward(n, up, down, up_count, first - first_out * down))
    backward = Tile(
        step,
        step * up // down,
        -reach,
        first_out,
        band(up_taps_T, BETWEEN, OUTSIDE, 1, up, before - reach * up - first).contiguous(),
        band(down_taps_T, OUTSIDE, BETWEEN, down, 1, first - first_out * down).contiguous(),
        inner=reach,
    )
    return forward, backward


def _fits_forward(step: int, up: int, down: int, up_count: int, down_count: int) -> bool:
    between = (step - 1) * down + down_count
    return step * down % up == 0 and between <= BETWEEN and (between + up_count - 2) // up < OUTSIDE


def _fits_backward(step: int, up: int, down: int, up_count: int, offset: int) -> bool:
    between = (step - 1) * up + up_count
    fits = between <= BETWEEN and step + 2 * ((up_count - 1) // up) <= OUTSIDE
    return fits and step * up % down == 0 and (between - 1 + offset) // down < OUTSIDE


def _precision(planes: Tensor) -> str:
    """Of products in float32: that of torch's convolutions, which is what filters are."""
    return "tf32" if planes.dtype != torch.float32 or torch.backends.cudnn.allow_tf32 else "tf32x3"


@triton.jit
def _place(tile, across, step, first):
    """Where a tile begins: its plane, row and column."""
    plane = tile // (across * across)
    rest = tile % (across * across)
    return plane.to(tl.int64), (rest // across) * step + first, (rest % across) * step + first


@triton.jit
def _places(rows, columns, size):
    """Offsets in a plane of all pairs of rows and columns, and which of them are in it."""
    inside = ((rows >= 0) & (rows < size))[:, None] & ((columns >= 0) & (columns < size))[None, :]
    return rows[:, None] * size + columns[None, :], inside


@triton.jit
def _between(up, samples, PRECISION: tl.constexpr):
    """A tile of the rate between, before the leaky ReLU, in float32."""
    rows = tl.dot(up, samples, input_precision=PRECISION).to(samples.dtype)
    return tl.dot(rows, tl.trans(up), input_precision=PRECISION)


@triton.jit
def _activate_kernel(
    planes, out, ups, downs, across, size, size_out, step_in, step_out, first_in, slope, clamp,
    BETWEEN: tl.constexpr, OUTSIDE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    outside, between = tl.arange(0, OUTSIDE), tl.arange(0, BETWEEN)
    plane, row, column = _place(tl.program_id(0), across, step_in, first_in)
    offsets, inside = _places(row + outside, column + outside, size)
    samples = tl.load(planes + plane * size * size + offsets, mask=inside, other=0.0)
    up = tl.load(ups + between[:, None] * OUTSIDE + outside[None, :])
    down = tl.load(downs + outside[:, None] * BETWEEN + between[None, :])

    middle = _between(up, samples, PRECISION)
    middle = tl.where(middle > 0, middle, middle * slope)
    middle = tl.minimum(tl.maximum(middle, -clamp), clamp).to(samples.dtype)
    rows = tl.dot(down, middle, input_precision=PRECISION).to(samples.dtype)
    result = tl.dot(rows, tl.trans(down), input_precision=PRECISION)

    plane, row, column = _place(tl.program_id(0), across, step_out, 0)
    offsets, inside = _places(row + outside, column + outside, size_out)
    ours = (outside < step_out)[:, None] & (outside < step_out)[None, :]
    tl.store(out + plane * size_out * size_out + offsets, result.to(samples.dtype), mask=inside & ours)


@triton.jit
def _activate_back_kernel(
    gradients, planes, out, ups, downs, across, size, size_out, step_in, step_out, first_in, first_out, inner, slope,
    clamp, BETWEEN: tl.constexpr, OUTSIDE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    outside, between = tl.arange(0, OUTSIDE), tl.arange(0, BETWEEN)
    plane, row, column = _place(tl.program_id(0), across, step_out, first_out)
    offsets, inside = _places(row + outside, column + outside, size_out)
    slopes = tl.load(gradients + plane * size_out * size_out + offsets, mask=inside, other=0.0)
    plane, row, column = _place(tl.program_id(0), across, step_in, first_in)
    offsets, inside = _places(row + outside, column + outside, size)
    samples = tl.load(planes + plane * size * size + offsets, mask=inside, other=0.0)
    up = tl.load(ups + between[:, None] * OUTSIDE + outside[None, :])
    down = tl.load(downs + outside[:, None] * BETWEEN + between[None, :])

    middle = _between(up, samples, PRECISION)
    rows = tl.dot(tl.trans(down), slopes, input_precision=PRECISION).to(samples.dtype)
    grown = tl.dot(rows, down, input_precision=PRECISION)
    steep = tl.where(middle > 0, grown, grown * slope)
    reached = tl.where(middle > 0, middle, middle * slope)
    passed = tl.where(tl.abs(reached) < clamp, steep, 0.0).to(samples.dtype)
    rows = tl.dot(tl.trans(up), passed, input_precision=PRECISION).to(samples.dtype)
    result = tl.dot(rows, up, input_precision=PRECISION)

    own = (outside >= inner) & (outside < inner + step_in)
    ours = own[:, None] & own[None, :]
    tl.store(out + plane * size * size + offsets, result.to(samples.dtype), mask=inside & ours)
