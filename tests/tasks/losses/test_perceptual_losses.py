"""The losses have the values that paper and pencil give them."""

from __future__ import annotations

import pytest
import torch

from tasks.losses.perceptual import (
    covariance_loss,
    draw_directions,
    feature_loss,
    identity_loss,
    moment_distances,
    normalised_content_loss,
    sliced_wasserstein,
    style_loss,
    total_variation,
    variation_norms,
)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0))


def test_style_loss_of_two_pixels_by_hand() -> None:
    output = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2)  # mean 1, unbiased variance 2
    style = torch.tensor([3.0, 3.0]).reshape(1, 1, 1, 2)  # mean 3, variance 0
    expected = (1 - 3) ** 2 + ((2 + 1e-5) ** 0.5 - 1e-5**0.5) ** 2
    assert float(style_loss([output], [style])) == pytest.approx(expected, rel=1e-6)
    assert float(style_loss([output, output], [style, style])) == pytest.approx(2 * expected, rel=1e-6)


def test_style_terms_do_not_see_where_features_are(features: torch.Tensor) -> None:
    moved = features.flatten(2)[:, :, torch.randperm(64)].reshape(features.shape)
    directions = draw_directions(7, 5, torch.Generator().manual_seed(1))
    assert float(style_loss([features], [moved])) == pytest.approx(0, abs=1e-10)
    assert float(covariance_loss(features, moved)) == pytest.approx(0, abs=1e-10)
    assert float(sliced_wasserstein(features, moved, directions)) == pytest.approx(0, abs=1e-10)
    assert float(feature_loss(features, moved)) > 0.5


def test_covariance_sees_what_means_and_deviations_do_not() -> None:
    values = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    together = torch.stack([values, values]).reshape(1, 2, 2, 2)
    apart = torch.stack([values, -values]).reshape(1, 2, 2, 2)
    assert float(style_loss([together], [apart])) == 0
    assert float(covariance_loss(together, apart)) == pytest.approx(2.0)  # off-diagonals 1 and -1: mean of 0 0 4 4
    assert {name: float(value) for name, value in moment_distances(together, apart).items()} == pytest.approx(
        {"mean": 0.0, "deviation": 0.0, "covariance": 2.0}
    )


def test_sliced_distance_of_shifted_features_is_the_squared_shift() -> None:
    features = torch.randn(1, 1, 4, 4)
    directions = draw_directions(3, 1, torch.Generator())
    assert torch.allclose(directions.abs(), torch.ones(3, 1))
    assert float(sliced_wasserstein(features, features + 2, directions)) == pytest.approx(4.0, rel=1e-5)


def test_normalised_content_ignores_contrast_and_is_two_for_unrelated_features() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 8, 32, 32, generator=generator)
    other = torch.randn(1, 8, 32, 32, generator=generator)
    assert float(normalised_content_loss(features, features * 3 + 1)) == pytest.approx(0, abs=1e-6)
    assert float(normalised_content_loss(features, other)) == pytest.approx(2, abs=0.1)


def test_identity_and_variation_of_a_ramp() -> None:
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 3, 4, 4) / 4
    assert float(total_variation(ramp)) == pytest.approx(0.25)
    assert float(total_variation(torch.full((1, 3, 4, 4), 0.3))) == 0
    assert float(identity_loss(ramp, ramp + 0.5)) == pytest.approx(0.5)


def test_variation_norms_of_a_ramp_are_lengths_and_an_images_own() -> None:
    """Twelve steps of a quarter across, none down, nine along each diagonal; three channels."""
    ramp = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 3, 4, 4) / 4
    norms = variation_norms(torch.cat([ramp, torch.full((1, 3, 4, 4), 0.3)]).requires_grad_())
    assert norms.tolist() == pytest.approx([(36**0.5 + 2 * 27**0.5) / 4, 0])
