"""SqueezeNet's fires, by name, on the layout of its Keras port."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.squeezenet import SMALLEST_SIDE, SqueezeNet
from tasks.records import RequestError

MEAN = torch.tensor([103.939, 116.779, 123.68]).reshape(3, 1, 1)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Seeded weights under the port's names: each layer, its channels in and out and its side."""
    generator, layers = torch.Generator().manual_seed(0), {"conv1": (3, 64, 3)}
    channels = 64
    for fire, squeezed, expanded in zip(range(2, 10), [16, 16, 32, 32, 48, 48, 64, 64], EXPANDED, strict=True):
        layers[f"fire{fire}.squeeze1x1"] = (channels, squeezed, 1)
        layers[f"fire{fire}.expand1x1"] = (squeezed, expanded, 1)
        layers[f"fire{fire}.expand3x3"] = (squeezed, expanded, 3)
        channels = 2 * expanded
    tensors = {}
    for name, (before, after, side) in layers.items():
        noise = torch.randn(after, before, side, side, generator=generator)
        tensors[f"{name}.weight"] = noise * (2 / (before * side * side)) ** 0.5
        tensors[f"{name}.bias"] = torch.randn(after, generator=generator) * 0.1
    return tensors


EXPANDED = [64, 64, 128, 128, 192, 192, 256, 256]


def test_fires_have_the_channels_and_sizes_of_the_published_network(tensors: dict[str, Tensor]) -> None:
    """An image of 227 pixels, the authors' own: 113 after `conv1`, then 56, 27 and 13."""
    found = SqueezeNet.open(tensors)(torch.rand(1, 3, 227, 227))
    sides = [56, 56, 27, 27, 13, 13, 13, 13]
    expected = {
        f"fire{k}": (2 * expanded, side) for k, expanded, side in zip(range(2, 10), EXPANDED, sides, strict=True)
    }
    assert {name: (maps.shape[1], maps.shape[2]) for name, maps in found.items()} == expected


def test_the_first_fire_by_hand(tensors: dict[str, Tensor]) -> None:
    image = torch.rand(1, 3, 40, 36, generator=torch.Generator().manual_seed(1))

    def convolve(name: str, features: Tensor, **options: int) -> Tensor:
        return F.conv2d(features, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **options).relu()

    first = convolve("conv1", image[:, [2, 1, 0]] * 255 - MEAN, stride=2)
    squeezed = convolve("fire2.squeeze1x1", F.max_pool2d(first, 3, 2))
    both = [convolve("fire2.expand1x1", squeezed), convolve("fire2.expand3x3", squeezed, padding=1)]
    found = SqueezeNet.open(tensors, ["conv1", "fire2"])(image)
    assert_close(found["conv1"], first, rtol=1e-4, atol=1e-3)
    assert_close(found["fire2"], torch.cat(both, dim=1), rtol=1e-4, atol=1e-3)


def test_the_smallest_side_reaches_the_deepest_fire(tensors: dict[str, Tensor]) -> None:
    network = SqueezeNet.open(tensors)
    assert network(torch.rand(1, 3, SMALLEST_SIDE, SMALLEST_SIDE))["fire9"].shape[2:] == (1, 1)
    with pytest.raises(RuntimeError):
        network(torch.rand(1, 3, SMALLEST_SIDE - 1, SMALLEST_SIDE))


def test_gradients_reach_the_image_and_only_what_is_needed_is_read(tensors: dict[str, Tensor]) -> None:
    shallow = {name: tensor for name, tensor in tensors.items() if name.startswith(("conv1", "fire2", "fire3"))}
    network = SqueezeNet.open(shallow, ["fire3"])
    image = torch.rand(1, 3, 40, 40, requires_grad=True)
    network(image)["fire3"].sum().backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(RequestError, match=r"fire4\.squeeze1x1\.weight is missing"):
        SqueezeNet.open(shallow, ["fire4"])
    with pytest.raises(RequestError, match="no tap relu3_1"):
        SqueezeNet.open(shallow, ["relu3_1"])
