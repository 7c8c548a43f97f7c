"""The filtered leaky ReLU is what its definition says, values and gradients, for all layers of T-1024 and R."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.stylegan3 import bands, resampling
from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.resampling import (
    Resampling,
    ResamplingPlan,
    filtered_leaky_relu,
    reference_filtered_leaky_relu,
)

# Every change of rate in T-1024; at rates this low all of its paddings occur.
KINDS = sorted(
    {
        (spec.up, spec.down, spec.up_taps, spec.down_taps, spec.padding)
        for spec in GeneratorConfig().layers_table()
        if not spec.colours
    }
)
SIZE = 38


def make_case(
    kind: tuple[int, int, int, int, tuple[int, int]], radial: bool
) -> tuple[Tensor, Tensor, Tensor, Resampling]:
    """Random taps, so that a filter that is turned around is seen."""
    up, down, up_taps, down_taps, padding = kind
    generator = torch.Generator().manual_seed(0)
    features_NCHW = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64, generator=generator)
    up_taps_T = torch.randn(up_taps, dtype=torch.float64, generator=generator)
    taps = torch.randn([down_taps] * (2 if radial else 1), dtype=torch.float64, generator=generator)
    return features_NCHW.requires_grad_(), up_taps_T, taps, Resampling(up, down, padding, clamp=20.0)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("small_parts", [False, True])
def test_values_and_gradients_are_the_definitions(
    kind: tuple[int, int, int, int, tuple[int, int]], radial: bool, small_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small_parts:
        monkeypatch.setitem(bands.ROWS, "cpu", 7)
        monkeypatch.setitem(resampling.SAMPLES_AT_ONCE, "cpu", 4 * 100**2)
    features_NCHW, up_taps_T, taps, change = make_case(kind, radial)
    expected_NCHW = reference_filtered_leaky_relu(features_NCHW, up_taps_T, taps, change)
    actual_NCHW = filtered_leaky_relu(features_NCHW, ResamplingPlan(SIZE, up_taps_T, taps, change))
    assert_close(actual_NCHW, expected_NCHW)
    weights_NCHW = torch.randn(expected_NCHW.shape, dtype=torch.float64)
    expected, actual = (
        torch.autograd.grad(out_NCHW, features_NCHW, weights_NCHW)[0] for out_NCHW in (expected_NCHW, actual_NCHW)
    )
    assert_close(actual, expected)


def test_every_padding_of_t1024_is_tested() -> None:
    assert {kind[-1] for kind in KINDS} == {(9, 8), (-6, -9), (-11, -12)}


def test_autocast_and_channels_last_change_nothing() -> None:
    features_NCHW, up_taps_T, taps, change = make_case(KINDS[0], radial=False)
    plan = ResamplingPlan(SIZE, up_taps_T, taps, change)
    expected_NCHW = filtered_leaky_relu(features_NCHW, plan)
    with torch.autocast("cpu", torch.bfloat16):
        actual_NCHW = filtered_leaky_relu(features_NCHW.contiguous(memory_format=torch.channels_last), plan)
    assert torch.equal(actual_NCHW, expected_NCHW)
