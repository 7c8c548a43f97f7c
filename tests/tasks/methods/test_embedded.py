"""The weights that the package carries for adaattn and style_kernel do what their cards say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tasks.methods.adaattn import small as adaattn
from tasks.methods.style_kernel import small as style_kernel
from tasks.samples.photographs import neutral_photographs
from tasks.training.data import centre_square
from tasks.weights.catalog import EMBEDDED, embedded_card
from tasks.weights.loading import load_tensors
from tests.tasks.methods.conftest import stripes

BUILD: dict[str, Callable[[dict[str, Tensor]], nn.Module]] = {
    "adaattn-small": adaattn.build_small,
    "style-kernel-small": style_kernel.build_small,
}
MOST_PARAMETERS = 4_000_000


@pytest.fixture(params=BUILD)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(name: str) -> nn.Module:
    return BUILD[name](load_tensors(EMBEDDED / f"{name}.safetensors"))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """A photograph, and stripes of two strong colours."""
    colours = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.1, 0.5]])[:, :, None, None]
    bars = stripes(128, 128, period=6)
    photograph = centre_square(neutral_photographs()[0], 128)[None]
    return photograph, (bars * colours[0] + (1 - bars) * colours[1])[None]


def test_the_card_is_that_of_the_file(name: str, network: nn.Module) -> None:
    card = embedded_card(name)
    assert card["bytes"] == (EMBEDDED / f"{name}.safetensors").stat().st_size
    assert card["parameters"] == sum(parameter.numel() for parameter in network.parameters()) < MOST_PARAMETERS


def test_its_figures_on_unseen_pairs_beat_those_of_adain_small(name: str) -> None:
    """Why style_kernel is the demo's: nearer to the style, with as much of the content's structure or more."""
    ours, before = (embedded_card(card)["figures"]["stylized"] for card in (name, "adain-small"))
    assert ours["style_distance"] < before["style_distance"]
    assert ours["structure"] >= before["structure"]
    assert ours["edges"] >= before["edges"]


@torch.inference_mode()
def test_the_palette_moves_to_the_styles_and_shapes_stay(network: nn.Module, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    output = network(content, style).clamp(0, 1)
    apart = [(images - style).mean((2, 3)).abs().mean() for images in (content, output)]
    assert apart[1] < 0.7 * apart[0]  # strong colours, that no picture it was trained on is made of
    grey = torch.stack([images.mean(1).flatten() for images in (content, output)])
    assert torch.corrcoef(grey)[0, 1] > 0.5


@torch.inference_mode()
def test_deeper_features_have_a_part_in_the_picture(network: nn.Module, pair: tuple[Tensor, Tensor]) -> None:
    """In adain-small they have none: its decoder's units there died in training."""
    seen: list[list[Tensor]] = []
    decoder = network.get_submodule("decoder")
    with decoder.register_forward_pre_hook(lambda _, given: seen.append(list(given[0]))):
        output = network(*pair)
    half, quarter, eighth = seen[0]
    without = decoder([half, torch.zeros_like(quarter), torch.zeros_like(eighth)])
    assert (output - without).abs().mean() > 0.004  # a level of 255
