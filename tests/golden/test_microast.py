"""MicroAST, which we measure against, is the published one: its trained weights give the recorded pictures."""

from __future__ import annotations

import pytest
from torch import Tensor
from torch.testing import assert_close

from infra.bench.microast import MicroAst
from tests.golden.conftest import Golden

FEATURES = {"atol": 2e-5, "rtol": 0.0}
IMAGES = {"atol": 1e-4, "rtol": 0.0}


@pytest.fixture(scope="module")
def network(golden: Golden) -> MicroAst:
    return MicroAst.open(golden.folder / "microast")


@pytest.fixture(scope="module")
def tensors(golden: Golden) -> dict[str, Tensor]:
    return golden.fixture("microast/microast").tensors


def test_features_and_signals(network: MicroAst, tensors: dict[str, Tensor]) -> None:
    assert_close(network.encode(tensors["content"])[1], tensors["content_feat1"], **FEATURES)
    style = network.represent(tensors["style"])
    for depth in (0, 1):
        assert_close(style.gains[depth], tensors[f"filter_w{depth}"], **FEATURES)
        assert_close(style.offsets[depth], tensors[f"filter_b{depth}"], **FEATURES)
        assert_close(style.statistics[depth][0], tensors[f"style_feat{depth}_mean"], **FEATURES)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_pictures(network: MicroAst, tensors: dict[str, Tensor], strength: float) -> None:
    image = network.render(network.encode(tensors["content"]), network.represent(tensors["style"]), strength)
    assert_close(image, tensors[f"image_alpha{strength}"], **IMAGES)


def test_odd_sizes_round_up(network: MicroAst, tensors: dict[str, Tensor]) -> None:
    content = network.encode(tensors["content"][:, :, :-3, :-1])
    assert_close(network.render(content, network.represent(tensors["style"])), tensors["image_odd_size"], **IMAGES)
