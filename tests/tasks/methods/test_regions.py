"""Where references count: weights and masks at every position of a content."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.methods.base import Reference, Style
from tasks.methods.regions import draw_cell, keep_masks, shrink_weights, weigh_positions

CPU = torch.device("cpu")
PICTURE = torch.zeros(3, 8, 8)


def weigh(*references: tuple[float, Tensor | None], size: tuple[int, int] = (16, 24)) -> Tensor:
    style = Style("s", tuple(Reference(weight, PICTURE, mask_HW=mask) for weight, mask in references))
    return weigh_positions(keep_masks(style), size, 8, CPU)


def halves() -> tuple[Tensor, Tensor]:
    left = torch.zeros(4, 8)
    left[:, :4] = 1
    return left, 1 - left


def test_without_masks_weights_are_the_same_everywhere() -> None:
    assert_close(weigh((1.0, None), (3.0, None)), torch.tensor([0.25, 0.75]).reshape(1, 2, 1, 1))


def test_masks_give_each_reference_its_part_and_shares_sum_to_one() -> None:
    left, right = halves()
    weights = weigh((1.0, left), (5.0, right))
    assert weights.shape == (1, 2, 16, 24)
    assert_close(weights.sum(1), torch.ones(1, 16, 24))
    assert_close(weights[0, 0, :, :8], torch.ones(16, 8))
    assert_close(weights[0, 1, :, -8:], torch.ones(16, 8))


def test_a_reference_without_a_mask_counts_everywhere_beside_one_that_has() -> None:
    left, _ = halves()
    weights = weigh((1.0, left), (1.0, None))
    assert_close(weights[0, :, 0, 0], torch.tensor([0.5, 0.5]))
    assert_close(weights[0, :, 0, -1], torch.tensor([0.0, 1.0]))


def test_where_no_reference_counts_weights_decide() -> None:
    nowhere = torch.zeros(4, 4)
    assert_close(weigh((1.0, nowhere), (3.0, nowhere))[0, :, 5, 5], torch.tensor([0.25, 0.75]))


def test_weights_follow_the_contents_padding() -> None:
    left, right = halves()
    weights = weigh((1.0, left), (1.0, right), size=(11, 13))
    assert weights.shape == (1, 2, 16, 16)
    assert_close(weights[..., 13], weights[..., 11])  # mirrored at the content's edge


def test_shrunk_weights_are_means_of_what_they_cover() -> None:
    left, right = halves()
    small = shrink_weights(weigh((1.0, left), (1.0, right)), (2, 3))
    assert_close(small.sum(1), torch.ones(1, 2, 3))
    assert_close(small[0, 0, 0, 1], torch.tensor(0.5), atol=0.05, rtol=0)
    assert shrink_weights(weigh((1.0, None), (3.0, None)), (2, 3)).shape == (1, 2, 2, 3)


@pytest.mark.parametrize("feather", [0.0, 0.1, 0.3])
def test_cells_of_a_grid_cover_it_once(feather: float) -> None:
    grid = (2, 3)
    cells = [draw_cell(grid, (row, column), feather) for row in range(2) for column in range(3)]
    assert_close(torch.stack(cells).sum(0), torch.ones_like(cells[0]), atol=1e-4, rtol=0)
    height, width = cells[4].shape
    assert cells[4][3 * height // 4, width // 2] == 1  # the middle of row 1, column 1
    assert cells[4][0, 0] == 0


def test_a_feather_makes_the_seam_soft() -> None:
    hard, soft = draw_cell((1, 2), (0, 0), 0.0), draw_cell((1, 2), (0, 0), 0.25)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert ((soft > 0) & (soft < 1)).float().mean() == pytest.approx(0.25, abs=0.01)
