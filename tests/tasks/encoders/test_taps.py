"""Taps of torchvision's VGGs are what their names say, in the layouts that torchvision publishes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.taps import CHANNELS, LevelTaps, TorchvisionVgg, name_layers
from tasks.encoders.vgg import StudentVgg
from tasks.records import RequestError
from tests.tasks.encoders.test_vgg import student_tensors

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def vgg_tensors(kind: str, end: int = 37, prefix: str = "") -> dict[str, Tensor]:
    """Seeded weights of the convolutions below module `end`; those of VGG-16 and VGG-19 are at other places."""
    generator, channels, tensors = torch.Generator().manual_seed(0), 3, {}
    for index, name in enumerate(name_layers(kind)[:end]):
        if name.startswith("conv"):
            shape = (CHANNELS[int(name[4]) - 1], channels, 3, 3)
            noise = torch.randn(shape, generator=generator)
            tensors[f"{prefix}{index}.weight"] = noise * (2 / (9 * channels)) ** 0.5
            tensors[f"{prefix}{index}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
            channels = shape[0]
    return tensors


@pytest.fixture(scope="module")
def tensors_of_19() -> dict[str, Tensor]:
    return vgg_tensors("VGG-19", end=19)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("kind", "places"),
    [  # torchvision.models.vgg16().features and vgg19().features
        ("VGG-16", {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "pool3": 16, "relu4_3": 22, "pool5": 30}),
        ("VGG-19", {"relu1_1": 1, "relu3_1": 11, "pool3": 18, "conv4_2": 21, "conv5_2": 30, "pool5": 36}),
    ],
)
def test_a_taps_place_is_its_index_in_torchvision(kind: str, places: dict[str, int]) -> None:
    layers = name_layers(kind)
    assert {name: layers.index(name) for name in places} == places
    assert len(layers) == max(places.values()) + 1


def test_a_convolution_is_tapped_before_its_relu(tensors_of_19: dict[str, Tensor], images: Tensor) -> None:
    """With a ReLU in place the first two would be one map without negative values."""
    network = TorchvisionVgg.open(tensors_of_19, ["conv1_1", "relu1_1", "conv1_2"])
    found = network(images)
    first = F.conv2d((images - MEAN) / DEVIATION, tensors_of_19["0.weight"], tensors_of_19["0.bias"], padding=1)
    assert float(first.min()) < -0.1
    assert_close(found["conv1_1"], first, atol=1e-5, rtol=0)
    assert_close(found["relu1_1"], first.relu(), atol=1e-5, rtol=0)
    second = F.conv2d(first.relu(), tensors_of_19["2.weight"], tensors_of_19["2.bias"], padding=1)
    assert_close(found["conv1_2"], second, atol=1e-4, rtol=0)


def test_the_images_themselves_are_left_as_they_are(tensors_of_19: dict[str, Tensor], images: Tensor) -> None:
    before = images.clone()
    TorchvisionVgg.open(tensors_of_19, ["relu1_1"], normalise=False)(images)
    assert torch.equal(images, before)


def test_already_normalised_images_are_taken_as_they_are(tensors_of_19: dict[str, Tensor], images: Tensor) -> None:
    given = TorchvisionVgg.open(tensors_of_19, ["conv2_1"])(images)
    normalised = TorchvisionVgg.open(tensors_of_19, ["conv2_1"], normalise=False)((images - MEAN) / DEVIATION)
    assert torch.equal(given["conv2_1"], normalised["conv2_1"])


def test_pools_halve_and_nothing_lies_past_the_deepest_tap(tensors_of_19: dict[str, Tensor], images: Tensor) -> None:
    network = TorchvisionVgg.open(tensors_of_19, ["pool2", "relu2_1", "conv3_1"])
    shapes = {name: tuple(maps.shape) for name, maps in network(images).items()}
    assert shapes == {"relu2_1": (2, 128, 16, 12), "pool2": (2, 128, 8, 6), "conv3_1": (2, 256, 8, 6)}
    assert network.layers[-1] == "conv3_1"
    assert sum(p.numel() for p in network.parameters()) == 555_328  # convolutions 1_1, 1_2, 2_1, 2_2 and 3_1


def test_both_layouts_and_both_networks_are_told_by_their_keys(
    tensors_of_19: dict[str, Tensor], images: Tensor
) -> None:
    whole = {f"features.{name}": tensor for name, tensor in tensors_of_19.items()} | {"classifier.0.bias": MEAN}
    taps = ["relu3_4"]
    assert torch.equal(
        TorchvisionVgg.open(whole, taps)(images)["relu3_4"], TorchvisionVgg.open(tensors_of_19, taps)(images)["relu3_4"]
    )
    smaller = TorchvisionVgg.open(vgg_tensors("VGG-16", end=18, prefix="features."), ["pool3", "conv4_1"])
    assert [tuple(maps.shape[1:]) for maps in smaller(images).values()] == [(256, 4, 3), (512, 4, 3)]
    with pytest.raises(RequestError, match="VGG-16 has no tap relu3_4"):
        TorchvisionVgg.open(vgg_tensors("VGG-16", end=18), taps)


def test_gradients_reach_the_image_but_not_the_frozen_weights(tensors_of_19: dict[str, Tensor], images: Tensor) -> None:
    network = TorchvisionVgg.open(tensors_of_19, ["conv1_1", "relu2_1"])
    found = network(images.requires_grad_())
    (found["conv1_1"].square().sum() + found["relu2_1"].sum()).backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_other_networks_missing_tensors_and_unknown_taps_are_refused(tensors_of_19: dict[str, Tensor]) -> None:
    with pytest.raises(RequestError, match=r"not the weights of torchvision's VGG-16 or VGG-19"):
        TorchvisionVgg.open(student_tensors(), ["relu1_1"])
    with pytest.raises(RequestError, match=r"tensor 19\.weight is missing"):
        TorchvisionVgg.open(tensors_of_19, ["relu4_1"])
    with pytest.raises(RequestError, match="no tap relu6_1"):
        TorchvisionVgg.open(tensors_of_19, ["relu6_1"])
    with pytest.raises(RequestError, match="asked for no tap"):
        TorchvisionVgg.open(tensors_of_19, [])


def test_lists_of_levels_get_names(images: Tensor) -> None:
    student = StudentVgg.open(student_tensors(levels=3))
    named = LevelTaps(student)(images)
    assert list(named) == ["relu1_1", "relu2_1", "relu3_1"]
    assert all(torch.equal(maps, level) for maps, level in zip(named.values(), student(images), strict=True))
