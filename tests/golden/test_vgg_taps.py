"""torchvision's VGGs against features recorded from CLIPstyler, StyleID and LPIPS; tolerances are the README's."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.taps import TorchvisionVgg
from tasks.losses.taps import CLIPSTYLER_CONTENT
from tests.golden.conftest import Fixture, Golden

FEATURES = {"atol": 2e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def weights_of_19(golden: Golden) -> dict[str, Tensor]:
    layout = golden.layout("vgg19_torchvision", "vgg19.features")
    weights = golden.weights(layout, layout["namespace"])
    assert golden.recipe.probe(weights["28.weight"]) == layout["tensors"]["28.weight"]["probe"]
    return weights


@pytest.fixture(scope="module")
def network(weights_of_19: dict[str, Tensor]) -> TorchvisionVgg:
    return TorchvisionVgg.open(weights_of_19, [*CLIPSTYLER_CONTENT.weights, "conv4_2"])


class TestClipstyler:
    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("clipstyler_losses")

    @pytest.mark.parametrize("picture", ["content", "target"])
    def test_features(self, network: TorchvisionVgg, numbers: Fixture, picture: str) -> None:
        """Its `conv4_2` and `conv5_2` are the maps after the ReLU, which worked in place."""
        found = network(numbers.tensors[f"image_{picture}"])
        for layer in ("4_2", "5_2"):
            assert_close(found[f"relu{layer}"], numbers.tensors[f"vgg.{picture}.conv{layer}"], **FEATURES)
        assert float(found["conv4_2"].min()) < -1  # the true one, which nothing overwrote

    def test_content_loss_and_its_gradient(self, network: TorchvisionVgg, numbers: Fixture) -> None:
        images_NCHW = numbers.tensors["image_target"].clone().requires_grad_()
        loss = CLIPSTYLER_CONTENT(network(images_NCHW), network(numbers.tensors["image_content"])).sum()
        loss.backward()
        assert_close(loss.detach(), numbers.tensors["content_loss"], atol=0, rtol=1e-5)
        expected = numbers.tensors["grad.content_loss"]
        assert_close(images_NCHW.grad, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def test_relu3_1_of_styleid(golden: Golden, weights_of_19: dict[str, Tensor]) -> None:
    tensors = golden.fixture("cfsd").tensors
    found = TorchvisionVgg.open(weights_of_19, ["relu3_1"])(tensors["stylised_image"])
    assert_close(found["relu3_1"], tensors["stylised_relu3_1"], **FEATURES)


def test_vgg16_of_lpips(golden: Golden) -> None:
    """Unit vectors at each position, squared differences, weighted by the heads and averaged over positions."""
    layout = json.loads((golden.folder / "lpips" / "backbones.keys.json").read_text())["vgg16"]
    numbers, heads = golden.fixture("lpips/lpips"), golden.fixture("lpips/lpips_v0.1_linear_heads").tensors
    taps = ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]
    network = TorchvisionVgg.open(golden.weights(layout, layout["namespace"]), taps)
    pairs = zip(*(network(numbers.tensors[f"image{k}"]).values() for k in (0, 1)), strict=True)
    layers = []
    for index, pair in enumerate(pairs):
        first, second = (F.normalize(maps, dim=1) for maps in pair)
        layers.append(F.conv2d((first - second).square(), heads[f"vgg.lin{index}.model.1.weight"]).mean((1, 2, 3)))
    assert_close(torch.stack(layers, 1), numbers.tensors["vgg.per_layer"], atol=0, rtol=1e-5)
