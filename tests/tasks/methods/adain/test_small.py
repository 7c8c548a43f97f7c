"""The compact network: exact statistics, sizes kept, rows independent, and weights that learned something."""

from __future__ import annotations

import pytest
import torch
from skimage.data import astronaut
from torch import Tensor

from tasks.encoders.statistics import channel_statistics
from tasks.methods.adain.small import SmallStylizer, build_small, transfer_statistics
from tasks.weights.catalog import EMBEDDED, embedded_card
from tasks.weights.loading import load_tensors


@pytest.fixture(scope="module")
def network() -> SmallStylizer:
    return build_small(load_tensors(EMBEDDED / "adain-small.safetensors"))


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth random colours: more like pictures than noise is."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def test_transferred_features_have_the_statistics_asked_for() -> None:
    features, others = torch.randn(2, 5, 6, 7), torch.randn(2, 5, 9, 3) * 4 + 1
    mean, deviation = channel_statistics(others)
    found = channel_statistics(transfer_statistics(features, mean, deviation))
    assert torch.allclose(found[0], mean, atol=1e-4)
    assert torch.allclose(found[1], deviation, rtol=1e-3)
    assert torch.allclose(transfer_statistics(features, mean, deviation, alpha=0.0), features)
    half = transfer_statistics(features, mean, deviation, alpha=0.5)
    whole = transfer_statistics(features, mean, deviation)
    assert torch.allclose(half, (features + whole) / 2, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 16)])
def test_any_multiple_of_eight_from_sixteen_on_keeps_its_size(network: SmallStylizer, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        outputs = network(pictures(1, *size), pictures(1, 32, 32, seed=1))
    assert outputs.shape == (1, 3, *size)
    assert bool(outputs.isfinite().all())


def test_a_row_does_not_depend_on_its_neighbours(network: SmallStylizer) -> None:
    contents, styles = pictures(3, 32, 48), pictures(3, 40, 40, seed=1)
    with torch.inference_mode():
        together = network(contents, styles)
        alone = torch.cat([network(contents[i : i + 1], styles[i : i + 1]) for i in range(3)])
    assert float((together - alone).abs().max()) < 1 / 255


def test_with_no_strength_the_content_comes_back(network: SmallStylizer) -> None:
    photograph = torch.from_numpy(astronaut()[::2, ::2].copy()).permute(2, 0, 1)[None] / 255
    style = pictures(1, 64, 64)
    with torch.inference_mode():
        unchanged, stylized = network(photograph, style, alpha=0.0), network(photograph, style)
    assert float((unchanged - photograph).abs().mean()) < 0.06  # of [0, 1]: a reconstruction, not a copy
    assert float((stylized - photograph).abs().mean()) > 0.12


def test_the_palette_moves_to_the_styles(network: SmallStylizer) -> None:
    contents, styles = pictures(4, 64, 64), pictures(4, 64, 64, seed=1)
    with torch.inference_mode():
        outputs = network(contents, styles).clamp(0, 1)
    before, after = ((images.mean((2, 3)) - styles.mean((2, 3))).abs().mean() for images in (contents, outputs))
    assert float(after) < 0.5 * float(before)


def test_the_card_is_that_of_the_file(network: SmallStylizer) -> None:
    card = embedded_card("adain-small")
    assert card["bytes"] == (EMBEDDED / "adain-small.safetensors").stat().st_size
    assert card["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    figures = card["figures"]
    assert figures["stylized"]["style_distance"] < 0.5 * figures["identity"]["style_distance"]
