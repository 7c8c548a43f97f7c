"""Losses over taps and Gram matrices have the values that paper and pencil give them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.losses.gram import gatys_losses, gram_matrices, johnson_losses
from tasks.losses.perceptual import feature_loss, normalised_content_loss, style_loss
from tasks.losses.taps import KINDS, TapLoss

STYLE_KINDS = ["moments", "gatys", "johnson"]


def draw(seed: int, count: int = 2, height: int = 6, width: int = 5) -> Tensor:
    return torch.randn(count, 4, height, width, generator=torch.Generator().manual_seed(seed)) + 0.3


def test_gram_losses_of_two_channels_by_hand() -> None:
    """F = [[1, 2], [0, 3]]: F F^T = [[5, 6], [6, 9]]; the style's F F^T is zero. The squares add up to 178."""
    output = torch.tensor([[1.0, 2.0], [0.0, 3.0]]).reshape(1, 2, 1, 2)
    style = torch.zeros(1, 2, 1, 2)
    assert gram_matrices(output)[0].tolist() == [[2.5, 3.0], [3.0, 4.5]]
    assert float(gatys_losses(output, style)) == pytest.approx(178 / (4 * 2**2 * 2**2))
    assert float(johnson_losses(output, style)) == pytest.approx(178 / (2 * 2) ** 2)


@pytest.mark.parametrize("kind", STYLE_KINDS)
def test_style_is_the_same_wherever_it_lies_and_however_often_it_repeats(kind: str) -> None:
    features = draw(0, height=16, width=16)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(1))
    moved = features.flatten(2)[:, :, order].reshape(features.shape)
    loss = TapLoss(kind, {"a": 1.0})
    assert float(loss({"a": features}, {"a": moved}).max()) < 1e-9
    assert float(loss({"a": features}, {"a": draw(1)}).min()) > 1e-4  # of another size, too
    repeated = torch.cat([features, features], dim=3)
    # Unbiased variance: twice the pixels change a deviation by a thousandth at these 256.
    assert float(loss({"a": features}, {"a": repeated}).max()) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_has_its_own_value_and_one_target_serves_all(kind: str) -> None:
    loss, outputs, targets = TapLoss(kind, {"a": 2.0}), draw(0), draw(1)
    alone = [loss({"a": outputs[n : n + 1]}, {"a": targets[n : n + 1]}) for n in range(2)]
    assert_close(loss({"a": outputs}, {"a": targets}), torch.cat(alone))
    shared = loss({"a": outputs}, {"a": targets[:1]})
    assert_close(shared, loss({"a": outputs}, {"a": targets[:1].expand(2, -1, -1, -1)}))
    assert shared.shape == (2,)


def test_means_over_images_are_the_losses_of_a_batch() -> None:
    outputs, targets = draw(0), draw(1)
    for kind, expected in {
        "content": feature_loss(outputs, targets),
        "normalised": normalised_content_loss(outputs, targets),
        "moments": style_loss([outputs], [targets]),
    }.items():
        assert_close(TapLoss(kind, {"a": 1.0})({"a": outputs}, {"a": targets}).mean(), expected)


def test_taps_are_weighted_and_others_not_read() -> None:
    outputs, targets = ({"a": draw(seed), "b": draw(seed + 1, height=3), "c": draw(9)} for seed in (0, 2))
    del targets["c"]
    loss = TapLoss("content", {"a": 3.0, "b": 0.5})
    terms = loss.terms(outputs, targets)
    assert list(terms) == ["a", "b"]
    assert_close(terms["b"], (outputs["b"] - targets["b"]).square().mean((1, 2, 3)))
    assert_close(loss(outputs, targets), 3 * terms["a"] + 0.5 * terms["b"])
    with pytest.raises(KeyError, match="c"):
        TapLoss("content", {"c": 1.0})(outputs, targets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_against_the_gradient_brings_an_output_nearer(kind: str) -> None:
    loss, output, target = TapLoss(kind, {"a": 1.0}), draw(0).requires_grad_(), {"a": draw(1)}
    before = loss({"a": output}, target)
    (gradient,) = torch.autograd.grad(before.sum(), output)
    after = loss({"a": output - 1e-3 * gradient / gradient.norm()}, target)
    assert (after < before).all()


def test_an_unknown_kind_and_no_taps_are_refused() -> None:
    with pytest.raises(ValueError, match="not textures"):
        TapLoss("textures", {"a": 1.0})
    with pytest.raises(ValueError, match="needs taps"):
        TapLoss("gatys", {})
