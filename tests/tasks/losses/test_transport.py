"""Transport losses by hand, and positions drawn by seed."""

from __future__ import annotations

import pytest
import torch

from tasks.losses.transport import (
    draw_positions,
    palette_losses,
    relaxed_distances,
    sample_features,
    sample_moment_losses,
    self_similarity_losses,
    take_positions,
    transport_losses,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_greater_of_the_two_directions_counts() -> None:
    costs = torch.tensor([[[0.0, 4.0], [0.0, 2.0]]])  # rows: 0, 0; columns: 0, 2
    assert relaxed_distances(costs).tolist() == [1.0]
    assert relaxed_distances(costs.transpose(1, 2)).tolist() == [1.0]


def test_three_directions_by_hand() -> None:
    """(1, 0) is at cost 0 of itself and 1 of (0, 1); (0, 1) finds nothing nearer than at 1: the mean is a half."""
    output = torch.tensor([[[5.0, 0.0]]])
    style = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert float(transport_losses(output, style)) == pytest.approx(0.5)
    assert float(sample_moment_losses(output, style)) == pytest.approx((4.5 + 0.5) / 2 + 0.25)


def test_palettes_see_brightness_where_cosines_do_not() -> None:
    grey, white = torch.full((1, 3, 3), 0.5), torch.ones(1, 2, 3)
    assert float(transport_losses(grey, white)) == pytest.approx(0, abs=1e-6)
    assert float(palette_losses(grey, white)) == pytest.approx(0.5, abs=1e-5)


def test_self_similarity_does_not_see_which_features_stand_for_a_place() -> None:
    features = torch.randn(2, 9, 5, generator=seeded())
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=seeded(1))).Q
    assert float(self_similarity_losses(3 * features @ rotation, features).max()) < 1e-5
    assert float(self_similarity_losses(features.roll(1, 1), features).min()) > 0.01


def test_identical_samples_have_finite_gradients() -> None:
    flat = torch.ones(1, 4, 3, requires_grad=True)
    for loss in (self_similarity_losses, palette_losses, transport_losses, sample_moment_losses):
        (gradient,) = torch.autograd.grad(loss(flat, torch.ones(1, 4, 3)).sum(), flat)
        assert gradient.isfinite().all()


def test_positions_are_seeded_distinct_and_at_most_so_many() -> None:
    index = draw_positions(100, 30, seeded())
    assert len(set(index.tolist())) == 30
    assert torch.equal(index, draw_positions(100, 30, seeded()))
    assert not torch.equal(index, draw_positions(100, 30, seeded(1)))
    assert torch.equal(draw_positions(30, 30, seeded()), torch.arange(30))


def test_samples_are_columns_of_the_maps_at_the_same_places_of_each_image() -> None:
    places = torch.arange(20.0).reshape(1, 1, 4, 5)
    maps = torch.cat([places, places + 100], dim=1).repeat(2, 1, 1, 1)  # channel 0 says which place it is
    maps[1] += 1000
    samples = sample_features(maps, seeded(), count=7)
    assert samples.shape == (2, 7, 2)
    assert torch.equal(samples[0, :, 1] - samples[0, :, 0], torch.full((7,), 100.0))
    assert torch.equal(samples[1], samples[0] + 1000)
    assert torch.equal(samples[0, :, 0], draw_positions(20, 7, seeded()).float())
    assert torch.equal(take_positions(maps, torch.tensor([6]))[0, 0], maps[0, :, 1, 1])
