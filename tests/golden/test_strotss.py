"""Transport losses against numbers recorded from STROTSS; tolerances are those of the fixtures' README."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.losses.transport import (
    RGB_TO_YUV,
    cosine_costs,
    palette_losses,
    sample_moment_losses,
    self_similarity_losses,
    transport_losses,
)
from tests.golden.conftest import Golden

LOSSES = {
    "remd": (transport_losses, "x", "y", 1e-4),
    "moment": (sample_moment_losses, "x", "y", 1e-4),
    "palette_remd": (palette_losses, "rgb_x", "rgb_y", 1e-3),
    "content_self_similarity": (self_similarity_losses, "x", "x_content", 1e-4),
}


@pytest.fixture(scope="module")
def tensors(golden: Golden) -> dict[str, Tensor]:
    return golden.fixture("strotss").tensors


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(tensors: dict[str, Tensor], name: str) -> None:
    loss, output, target, tolerance = LOSSES[name]
    samples_1PC = tensors[output][None].clone().requires_grad_()
    (value,) = loss(samples_1PC, tensors[target][None])
    value.backward()
    assert_close(value.detach(), tensors[name], atol=0, rtol=1e-5)
    expected = tensors[f"grad.{name}"]
    assert samples_1PC.grad is not None
    assert_close(samples_1PC.grad[0], expected, atol=tolerance * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_images_has_the_recorded_value_in_its_row(tensors: dict[str, Tensor], name: str) -> None:
    """Next to another image; one set of targets serves both."""
    loss, output, target, _ = LOSSES[name]
    loss_N: Callable[[Tensor, Tensor], Tensor] = loss
    outputs_2PC = torch.stack([tensors[output].square(), tensors[output]])
    values_2 = loss_N(outputs_2PC, tensors[target][None])
    assert_close(values_2[1], tensors[name], atol=0, rtol=1e-5)
    assert float((values_2[0] - values_2[1]).abs()) > 1e-4


def test_costs_and_the_matrix_of_colours(tensors: dict[str, Tensor]) -> None:
    assert_close(cosine_costs(tensors["x"][None], tensors["y"][None])[0], tensors["cost_matrix"], atol=1e-6, rtol=1e-5)
    assert_close(torch.tensor(RGB_TO_YUV), tensors["rgb_to_yuv_matrix"], atol=1e-6, rtol=0)


def test_a_set_is_nowhere_from_itself(tensors: dict[str, Tensor]) -> None:
    assert abs(float(transport_losses(tensors["x"][None], tensors["x"][None]))) < 1e-6
