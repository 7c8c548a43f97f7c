"""The VGG encoders load the authors' key layouts and cut where the authors cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tasks.encoders.vgg import (
    NORMALISED_CHANNELS,
    STUDENT_STAGES,
    NormalisedVgg,
    StudentVgg,
    open_perceptual,
)

NORMALISED_SHAPES = {0: (3, 3, 1, 1)}
for _index, _channels in NORMALISED_CHANNELS.items():
    NORMALISED_SHAPES[_index] = (_channels, list(NORMALISED_SHAPES.values())[-1][0], 3, 3)


def normalised_tensors(end: int = 53) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, shape in NORMALISED_SHAPES.items():
        if index < end:
            fan_in = shape[1] * shape[2] * shape[3]
            tensors[f"{index}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
            tensors[f"{index}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return tensors


def student_tensors(levels: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors, channels = {"conv0.weight": torch.eye(3).reshape(3, 3, 1, 1), "conv0.bias": torch.zeros(3)}, 3
    for level, stage in enumerate(STUDENT_STAGES[:levels], start=1):
        for name in (name for name in stage if name != "pool"):
            tensors[f"{name}.weight"] = torch.randn(4 * level, channels, 3, 3, generator=generator) * 0.3
            tensors[f"{name}.bias"] = torch.randn(4 * level, generator=generator) * 0.1
            channels = 4 * level
        tensors[f"{stage[-1]}_aux.weight"] = torch.randn(64, channels, 1, 1, generator=generator)
        tensors[f"{stage[-1]}_aux.bias"] = torch.zeros(64)
    return tensors


def test_the_whole_normalised_vgg_gives_five_levels_at_halving_sizes() -> None:
    features = open_perceptual(normalised_tensors())(torch.rand(1, 3, 32, 48))
    shapes = [tuple(level.shape[1:]) for level in features]
    assert shapes == [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)]
    assert all(float(level.min()) == 0 for level in features)


def test_a_truncated_normalised_vgg_is_as_deep_as_its_tensors() -> None:
    network = open_perceptual(normalised_tensors(end=17))
    assert isinstance(network, NormalisedVgg)
    whole = open_perceptual(normalised_tensors(), levels=3)
    image = torch.rand(1, 3, 20, 20)
    assert len(network(image)) == 3
    assert all(torch.equal(a, b) for a, b in zip(network(image), whole(image), strict=True))


def test_odd_sides_round_up_at_each_pool_of_the_normalised_vgg() -> None:
    features = open_perceptual(normalised_tensors(end=30))(torch.rand(1, 3, 37, 21))
    assert [tuple(level.shape[2:]) for level in features] == [(37, 21), (19, 11), (10, 6), (5, 3)]


def test_relu1_1_is_the_colour_convolution_then_a_reflected_convolution() -> None:
    tensors = normalised_tensors(end=3)
    image = torch.rand(2, 3, 9, 9)
    coloured = torch.nn.functional.conv2d(image, tensors["0.weight"], tensors["0.bias"])
    padded = torch.nn.functional.pad(coloured, (1, 1, 1, 1), mode="reflect")
    expected = torch.nn.functional.conv2d(padded, tensors["2.weight"], tensors["2.bias"]).relu()
    assert torch.allclose(open_perceptual(tensors)(image)[0], expected, atol=1e-6)


def test_a_student_is_known_by_its_keys_and_its_heads_have_the_channels_of_vgg() -> None:
    network = open_perceptual(student_tensors(levels=4))
    assert isinstance(network, StudentVgg)
    shapes = [tuple(level.shape[1:]) for level in network(torch.rand(1, 3, 32, 32))]
    assert shapes == [(4, 32, 32), (8, 16, 16), (12, 8, 8), (16, 4, 4)]
    headed = StudentVgg.open(student_tensors(), heads=True)(torch.rand(1, 3, 32, 32))
    assert [level.shape[1] for level in headed] == [64] * 5


def test_gradients_reach_the_image_but_not_the_frozen_weights() -> None:
    network = open_perceptual(student_tensors(levels=2))
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(image)[-1].sum().backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_tensors_of_another_network_and_missing_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="not a VGG encoder"):
        open_perceptual({"decoder.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="reaches relu3_1; level 4"):
        open_perceptual(normalised_tensors(end=17), levels=4)
