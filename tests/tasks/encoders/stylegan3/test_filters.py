"""Filters let low frequencies through and stop high ones, in all directions where they are radial."""

from __future__ import annotations

import torch

from tasks.encoders.stylegan3.filters import design_axis_filter, design_radial_filter

DESIGN = (12, 4.0, 4.0, 32.0)  # taps, cutoff, half width, rate


def response(taps: torch.Tensor, frequency: float, angle: float) -> float:
    """Magnitude of a plane filter's response to a wave."""
    places = (torch.arange(len(taps)) - (len(taps) - 1) / 2) / DESIGN[3]
    along = places[:, None] * torch.tensor(angle).sin() + places[None, :] * torch.tensor(angle).cos()
    return abs(float((taps * torch.cos(2 * torch.pi * frequency * along)).sum()))


def test_an_axis_filter_keeps_constants_and_stops_what_is_past_its_transition() -> None:
    taps = design_axis_filter(*DESIGN)
    torch.testing.assert_close(taps, taps.flip(0))
    plane = torch.outer(taps, taps)
    assert abs(response(plane, 0.0, 0.0) - 1) < 1e-6
    assert 0.4 < response(plane, 4.0, 0.0) < 0.6
    assert response(plane, 12.0, 0.0) < 0.01


def test_a_radial_filter_is_the_same_in_all_directions() -> None:
    taps = design_radial_filter(*DESIGN)
    torch.testing.assert_close(taps, taps.T)
    torch.testing.assert_close(taps, torch.rot90(taps))
    assert abs(response(taps, 0.0, 0.0) - 1) < 1e-6
    axis, diagonal = response(taps, 4.0, 0.0), response(taps, 4.0, torch.pi / 4)
    assert abs(axis - diagonal) < 0.01
    separable = torch.outer(design_axis_filter(*DESIGN), design_axis_filter(*DESIGN))
    assert abs(response(separable, 4.0, 0.0) - response(separable, 4.0, torch.pi / 4)) > 0.01
