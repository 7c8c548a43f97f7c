"""The GPU kernels compute the filtered leaky ReLU of the definition: run here by Triton's interpreter, on the CPU.

The interpreter is chosen when Triton is imported, so this runs in a process of its own; on a GPU the same file checks
compiled kernels.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from tasks.encoders.stylegan3.resampling import Resampling, reference_filtered_leaky_relu
from tests.tasks.encoders.stylegan3.test_resampling import KINDS

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZE = 38


def check(up: int, down: int, up_taps: int, down_taps: int, padding: tuple[int, int]) -> None:
    """Values and gradients of random planes and taps against those of the definition."""
    from tasks.encoders.stylegan3 import fused

    torch.backends.cudnn.allow_tf32 = False
    generator = torch.Generator().manual_seed(0)
    planes_PHW = torch.randn(2, SIZE, SIZE, generator=generator).to(DEVICE)
    up_taps_T, down_taps_T = (torch.randn(taps, generator=generator).to(DEVICE) for taps in (up_taps, down_taps))
    change = Resampling(up, down, padding, clamp=20.0)
    features_NCHW = planes_PHW[None].clone().requires_grad_()
    expected = reference_filtered_leaky_relu(features_NCHW, up_taps_T, down_taps_T, change)[0]
    weights_POO = torch.randn(expected.shape, generator=generator).to(DEVICE)
    (expected_gradient,) = torch.autograd.grad((expected * weights_POO).sum(), features_NCHW)

    scaled_T, size_out = up_taps_T * up * change.gain**0.5, expected.shape[-1]
    tiles = fused.plan_tiles(scaled_T, down_taps_T, up, down, padding[0])
    plan = fused.FusedPlan(SIZE, size_out, *tiles, change.slope, change.clamp)
    assert_close(plan.activate(planes_PHW), expected.detach(), rtol=1e-4, atol=1e-3)
    gradient_PHW = plan.activate_back(weights_POO, planes_PHW)
    # Where a sample between lies at 0 or at the clamp up to rounding, its gradient is one of two.
    difference = (gradient_PHW - expected_gradient[0]).norm() / expected_gradient.norm()
    assert difference < 1e-3, difference


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_are_the_definition(kind: tuple[int, int, int, int, tuple[int, int]]) -> None:
    code = f"from tests.tasks.encoders.stylegan3.test_fused import check; check(*{kind!r})"
    interpreted = {} if DEVICE == "cuda" else {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **interpreted})
