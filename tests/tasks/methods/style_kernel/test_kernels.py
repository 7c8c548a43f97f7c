"""Kernels at every position: made as the identity, applied as their definition says, mixed linearly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.methods.style_kernel.kernels import (
    KernelGenerator,
    Kernels,
    apply_kernels,
    convolve,
    resize,
    shuffle,
    unshuffle,
)

GROUPS, CHANNELS, HEIGHT, WIDTH = 3, 12, 7, 9


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw_kernels(taps: int, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH), count: int = 2) -> Kernels:
    columns, rows = (draw(count, GROUPS, taps, *size, seed=seed + extra) for extra in (1, 2))
    return Kernels(columns, rows, draw(count, CHANNELS, *size, seed=seed + 3))


def unfold_taps(features_NCHW: Tensor, sides: tuple[int, int]) -> Tensor:
    """What is under a window of these sides at every position: N, C, sides, H, W, reflected borders."""
    reach_y, reach_x = (side // 2 for side in sides)
    bordered = F.pad(features_NCHW, (reach_x, reach_x, reach_y, reach_y), mode="reflect")
    windows = F.unfold(bordered, sides)
    return windows.view(*features_NCHW.shape[:2], sides[0] * sides[1], *features_NCHW.shape[2:])


def of_channels(kernels_NGkHW: Tensor) -> Tensor:
    """The kernels of each channel rather than of each group: NCkHW."""
    return kernels_NGkHW.repeat_interleave(CHANNELS // GROUPS, dim=1)


@pytest.mark.parametrize("taps", [1, 3, 5])
def test_a_convolution_is_its_definition(taps: int) -> None:
    """v(p) = sum_i a_i(p) x(p + i e_y); y(p) = sum_i b_i(p) v(p + i e_x) + bias(p): rows read columns of neighbours."""
    features, kernels = draw(2, CHANNELS, HEIGHT, WIDTH, seed=9), draw_kernels(taps)
    columns = (unfold_taps(features, (taps, 1)) * of_channels(kernels.vertical)).sum(2)
    expected = (unfold_taps(columns, (1, taps)) * of_channels(kernels.horizontal)).sum(2) + kernels.bias
    assert_close(convolve(features, kernels), expected, atol=1e-5, rtol=1e-5)


def test_where_columns_are_alike_along_a_row_it_is_one_full_kernel_a_position() -> None:
    """Then the columns of a shifted position are its own: an involution (Li et al., CVPR 2021) by outer products."""
    features, kernels = draw(2, CHANNELS, HEIGHT, WIDTH, seed=9), draw_kernels(3)
    alike = kernels.vertical[..., :1].expand_as(kernels.vertical)
    full = torch.einsum("ngyhw,ngxhw->ngyxhw", alike, kernels.horizontal).flatten(2, 3)
    expected = (unfold_taps(features, (3, 3)) * of_channels(full)).sum(2) + kernels.bias
    assert_close(convolve(features, Kernels(alike, kernels.horizontal, kernels.bias)), expected, atol=1e-5, rtol=1e-5)


def test_the_same_kernel_everywhere_is_an_ordinary_convolution() -> None:
    features, kernels = draw(1, CHANNELS, HEIGHT, WIDTH, seed=9), draw_kernels(5, count=1)
    column, row, bias = (part[..., :1, :1] for part in (kernels.vertical, kernels.horizontal, kernels.bias))
    everywhere = Kernels(*(part.expand(*part.shape[:-2], HEIGHT, WIDTH) for part in (column, row, bias)))
    weights = torch.einsum("cy,cx->cyx", of_channels(column)[0, :, :, 0, 0], of_channels(row)[0, :, :, 0, 0])
    bordered = F.pad(features, (2, 2, 2, 2), mode="reflect")
    expected = F.conv2d(bordered, weights[:, None], bias.flatten(), groups=CHANNELS)
    assert_close(convolve(features, everywhere), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (2, 3)], ids=str)
def test_maps_shorter_than_a_kernel_repeat_their_borders(size: tuple[int, int]) -> None:
    features = torch.ones(2, CHANNELS, *size)
    kernels = draw_kernels(5, size=size)
    sums = of_channels(kernels.horizontal.sum(2, keepdim=True))
    columns = of_channels(kernels.vertical.sum(2, keepdim=True))[:, :, 0]
    if size[1] == 1:  # then a row's taps all lie on one position
        assert_close(convolve(features, kernels), columns * sums[:, :, 0] + kernels.bias, atol=1e-5, rtol=1e-5)
    assert convolve(features, kernels).isfinite().all()


@pytest.mark.parametrize("shuffled", [True, False])
def test_generated_kernels_are_the_identity_at_first(shuffled: bool) -> None:
    generator = KernelGenerator(8, CHANNELS, GROUPS, taps=5, layers=3, hidden=6)
    features, aligned = draw(2, CHANNELS, HEIGHT, WIDTH, seed=1), draw(2, 8, HEIGHT, WIDTH, seed=2)
    layers = generator(aligned)
    assert [layer.vertical.shape for layer in layers] == [(2, GROUPS, 5, HEIGHT, WIDTH)] * 3
    assert torch.equal(apply_kernels(features, layers, shuffled), features)


def test_a_trained_generator_makes_other_kernels_of_other_features() -> None:
    torch.manual_seed(0)
    generator = KernelGenerator(8, CHANNELS, GROUPS, taps=3, layers=2, hidden=6)
    torch.nn.init.normal_(generator.last.weight)
    with torch.no_grad():
        first, second = generator(draw(1, 8, 4, 4, seed=2))
    parts = [first.vertical, first.horizontal, second.vertical, second.horizontal]
    assert all(float(part.std(dim=(3, 4)).min()) > 0 for part in parts)
    assert not torch.equal(first.vertical, second.vertical)
    assert not torch.equal(first.vertical, first.horizontal)


def test_a_shuffle_sends_channel_g_m_j_to_j_g_g() -> None:
    size = CHANNELS // GROUPS
    channels = torch.arange(float(CHANNELS))[None, :, None, None]
    shuffled = shuffle(channels, GROUPS).flatten()
    for g in range(GROUPS):
        for j in range(size):
            assert shuffled[j * GROUPS + g] == g * size + j


def test_unshuffling_undoes_a_shuffle() -> None:
    features = draw(2, CHANNELS, HEIGHT, WIDTH, seed=1)
    assert not torch.equal(shuffle(features, GROUPS), features)
    assert torch.equal(unshuffle(shuffle(features, GROUPS), GROUPS), features)
    assert torch.equal(shuffle(unshuffle(features, GROUPS), GROUPS), features)


def test_between_layers_channels_are_shuffled_and_come_back() -> None:
    """Layer 1, shuffle, layer 2, and each channel where it was: written out by hand."""
    features, first, second = draw(2, CHANNELS, HEIGHT, WIDTH, seed=9), draw_kernels(3), draw_kernels(3, seed=20)
    expected = unshuffle(convolve(shuffle(convolve(features, first), GROUPS), second), GROUPS)
    assert torch.equal(apply_kernels(features, [first, second]), expected)
    plain = apply_kernels(features, [first, second], shuffled=False)
    assert torch.equal(plain, convolve(convolve(features, first), second))
    assert not torch.allclose(plain, expected)


def test_only_central_taps_are_kept() -> None:
    kernels, features = draw_kernels(5), draw(2, CHANNELS, HEIGHT, WIDTH, seed=9)
    kept = kernels.keep_taps(3)
    assert torch.equal(kept.vertical, kernels.vertical[:, :, 1:4])
    assert torch.equal(kept.horizontal, kernels.horizontal[:, :, 1:4])
    assert all(kernels.keep_taps(count) is kernels for count in (None, 5, 7))
    centre = kernels.keep_taps(1)
    expected = features * of_channels(centre.vertical * centre.horizontal)[:, :, 0] + kernels.bias
    assert_close(convolve(features, centre), expected, atol=1e-5, rtol=1e-5)


def test_kernels_of_a_coarser_map_are_interpolated() -> None:
    kernels = draw_kernels(3, size=(4, 5))
    fine = kernels.resize((8, 10))
    assert fine.vertical.shape == (2, GROUPS, 3, 8, 10)
    for group in range(GROUPS):
        assert_close(fine.vertical[:, group], resize(kernels.vertical[:, group], (8, 10)))
        assert_close(fine.horizontal[:, group], resize(kernels.horizontal[:, group], (8, 10)))
    assert_close(fine.bias, resize(kernels.bias, (8, 10)))
    assert kernels.resize((4, 5)) is kernels


def test_weighed_kernels_add_up_to_what_is_in_between() -> None:
    """Each of the two parts of a kernel is linear in the weight, and so is what a column alone does to features."""
    first, second = draw_kernels(3), draw_kernels(3, seed=20)
    share = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    mixed = first.weigh(1 - share) + second.weigh(share)
    for name in ("vertical", "horizontal"):
        one, other = getattr(first, name), getattr(second, name)
        assert_close(getattr(mixed, name), one + share[:, None] * (other - one))
    assert_close(mixed.bias, first.bias + share * (second.bias - first.bias))
    features = draw(2, CHANNELS, HEIGHT, WIDTH, seed=9)
    rows = torch.tensor([0.0, 1, 0])[:, None, None].expand(2, GROUPS, 3, HEIGHT, WIDTH)
    outputs = [convolve(features, Kernels(part.vertical, rows, part.bias)) for part in (mixed, first, second)]
    assert_close(outputs[0], outputs[1].lerp(outputs[2], share.expand_as(outputs[1])), atol=1e-5, rtol=1e-5)


def test_kernels_weighed_as_one_and_none_are_the_one() -> None:
    first, second = draw_kernels(3), draw_kernels(3, seed=20)
    one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    mixed = first.weigh(one) + second.weigh(none)
    assert torch.equal(mixed.vertical, first.vertical)
    assert torch.equal(mixed.bias, first.bias)
