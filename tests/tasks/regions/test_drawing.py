"""Layouts on contents of any size: who has which pixel, and how soft the seams are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tasks.regions.drawing import draw_cell, draw_labels
from tasks.regions.settings import RegionSettings
from tasks.regions.shares import from_labels, share_out, soften, stretch

LAYOUTS: list[dict[str, Any]] = [
    {"grid": (2, 2)},
    {"grid": (3, 5)},
    {"stripes": 5},
    {"stripes": 4, "direction": "horizontal"},
    {"stripes": 4, "direction": "diagonal"},
    {"rings": 3},
    {"sectors": 6},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 3000), (63, 48)], ids=str)
@pytest.mark.parametrize("feather", [0.0, 0.1, 1.0])
def test_shares_sum_to_one_at_every_pixel(layout: dict[str, Any], size: tuple[int, int], feather: float) -> None:
    labels = draw_labels(RegionSettings(**layout), size, 3)
    assert labels.shape == size
    shares = share_out(soften(from_labels(labels, 3), feather), (0.5, 0.2, 0.3))
    assert shares.shape == (3, *size)
    assert shares.min() >= 0
    assert_close(shares.sum(0), torch.ones(size))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_reference_has_a_part(layout: dict[str, Any]) -> None:
    labels = draw_labels(RegionSettings(**layout), (60, 90), 3)
    assert labels.unique().tolist() == [0, 1, 2]
    assert int(labels[0, 0]) == (0 if "rings" not in layout and "sectors" not in layout else int(labels[0, 0]))


def test_a_grid_of_two_styles_is_a_chequerboard_and_of_four_has_all_four() -> None:
    def cells(grid: tuple[int, int], references: int) -> list[list[int]]:
        labels = draw_labels(RegionSettings(grid=grid), (grid[0] * 4, grid[1] * 4), references)
        return [[int(value) for value in row] for row in labels[2::4, 2::4]]

    assert cells((2, 2), 2) == [[0, 1], [1, 0]]
    assert cells((2, 2), 4) == [[0, 1], [2, 3]]
    assert cells((2, 3), 2) == [[0, 1, 0], [1, 0, 1]]
    assert cells((2, 4), 2) == [[0, 1, 0, 1], [1, 0, 1, 0]]
    assert cells((3, 1), 3) == [[0], [1], [2]]


def test_stripes_run_as_they_are_told() -> None:
    def corners(direction: str) -> list[int]:
        labels = draw_labels(RegionSettings(stripes=2, direction=direction), (40, 60), 2)  # type: ignore[arg-type]
        return [int(labels[row, column]) for row in (0, -1) for column in (0, -1)]

    assert corners("vertical") == [0, 1, 0, 1]
    assert corners("horizontal") == [0, 0, 1, 1]
    assert corners("diagonal")[::3] == [0, 1]


def test_rings_lie_about_the_centre_and_sectors_go_round_it() -> None:
    rings = draw_labels(RegionSettings(rings=2), (41, 61), 2)
    assert (int(rings[20, 30]), int(rings[0, 0])) == (0, 1)
    assert torch.equal(rings, rings.flip(0, 1))
    inside = (rings == 0).nonzero().float()
    assert_close((inside.amax(0) - inside.amin(0))[0], (inside.amax(0) - inside.amin(0))[1])  # round, not oblong
    sectors = draw_labels(RegionSettings(sectors=4), (40, 40), 4)
    assert [int(sectors[p]) for p in ((0, 30), (39, 30), (39, 10), (0, 10))] == [0, 1, 2, 3]


@pytest.mark.parametrize("feather", [0.05, 0.2, 0.4])
def test_a_seam_is_as_wide_as_it_is_told(feather: float) -> None:
    labels = draw_labels(RegionSettings(stripes=2), (200, 400), 2)
    share = soften(from_labels(labels, 2), feather)[0]
    soft = ((share > 0) & (share < 1))[100].sum().item()
    assert soft == pytest.approx(feather * 200, abs=4)
    steps = share[100].diff()
    assert steps.max() <= 0
    assert -steps.min() < 2.5 / (feather * 200)  # nowhere a jump
    assert_close(share[100, 199] + share[100, 200], torch.tensor(1.0))


@pytest.mark.parametrize("side", [8, 60, 199])
def test_a_seam_is_soft_on_a_content_of_any_size(side: int) -> None:
    masks = from_labels(draw_labels(RegionSettings(stripes=2), (side, 2 * side), 2), 2)
    soft = soften(masks, 0.01)[0, 0]
    assert soft[side - 3 : side + 3].tolist() == pytest.approx([1, 8 / 9, 6 / 9, 3 / 9, 1 / 9, 0])
    assert torch.equal(soften(masks, 0.0), masks)


def test_a_reference_that_has_no_region_has_no_share() -> None:
    """Exactly none, whatever the sums: methods spend nothing on it."""
    labels = draw_labels(RegionSettings(grid=(3, 5)), (301, 407), 2) * 2
    shares = share_out(soften(from_labels(labels, 3), 0.07), (0.2, 0.5, 0.3))
    assert shares[1].count_nonzero() == 0


def test_weights_lean_seams_and_leave_the_inside_alone() -> None:
    masks = soften(from_labels(draw_labels(RegionSettings(stripes=2), (40, 80), 2), 2), 0.4)
    even, leaning = share_out(masks, (0.5, 0.5)), share_out(masks, (0.9, 0.1))
    assert_close(even[:, :, [0, -1]], leaning[:, :, [0, -1]])
    assert (leaning[0] >= even[0] - 1e-6).all()
    assert leaning[0, 20, 40] > even[0, 20, 40] + 0.1


def test_where_no_mask_counts_weights_decide() -> None:
    masks = torch.tensor([[[1.0, 0.0, 0.5]], [[0.0, 0.0, 0.5]]])
    shares = share_out(masks, (1.0, 3.0))
    assert_close(shares[:, 0].T, torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.25, 0.75]]))


def test_a_mask_of_another_size_is_stretched() -> None:
    mask = torch.zeros(4, 8)
    mask[:, :4] = 1
    assert stretch(mask, (4, 8)) is mask
    wide = stretch(mask, (20, 33))
    assert wide.shape == (20, 33)
    assert wide[:, :12].min() > 0.99
    assert wide[:, -12:].max() < 0.01


@pytest.mark.parametrize("feather", [0.0, 0.1, 0.3])
def test_cells_of_a_grid_cover_it_once(feather: float) -> None:
    grid = (2, 3)
    cells = [draw_cell(grid, (row, column), feather) for row in range(2) for column in range(3)]
    assert_close(torch.stack(cells).sum(0), torch.ones_like(cells[0]), atol=1e-4, rtol=0)
    height, width = cells[4].shape
    assert cells[4][3 * height // 4, width // 2] == 1  # the middle of row 1, column 1
    assert cells[4][0, 0] == 0


def test_a_feather_makes_the_seam_of_a_cell_soft() -> None:
    hard, soft = draw_cell((1, 2), (0, 0), 0.0), draw_cell((1, 2), (0, 0), 0.25)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert ((soft > 0) & (soft < 1)).float().mean() == pytest.approx(0.25, abs=0.01)
