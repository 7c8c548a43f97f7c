"""Crops tilt as torchvision's do, from the image's own seed, at any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torchvision.transforms import functional as transforms

from tasks.losses.crops import Crops, cut_crops, cut_patches, draw_crops

COUNT = 24


def draw(seeds: list[int], size: int, image_size: tuple[int, int], count: int = COUNT) -> Crops:
    return draw_crops([torch.Generator().manual_seed(seed) for seed in seeds], count, size, image_size)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


def single(corners: list[list[int]], side: int) -> Crops:
    return Crops(side, side, torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor(corners)[None, None])


class TestDrawing:
    def test_a_seed_draws_the_same_crops_and_its_generator_moves_on(self) -> None:
        generator = torch.Generator().manual_seed(3)
        first, second = (draw_crops([generator], COUNT, 16, (40, 50)) for _ in range(2))
        again = draw([3], 16, (40, 50))
        assert torch.equal(first.top_left_NK2, again.top_left_NK2)
        assert torch.equal(first.corners_NK42, again.corners_NK42)
        assert not torch.equal(first.top_left_NK2, second.top_left_NK2)
        assert not torch.equal(first.corners_NK42, second.corners_NK42)

    def test_an_image_is_cut_alike_alone_and_in_a_batch(self) -> None:
        images_NCHW = noise(3, 3, 40, 50)
        together_NKChw = cut_patches(images_NCHW, draw([7, 8, 9], 16, (40, 50)), (24, 24))
        assert not torch.equal(together_NKChw[0], together_NKChw[1])
        for row, seed in enumerate([7, 8, 9]):
            alone_1KChw = cut_patches(images_NCHW[row : row + 1], draw([seed], 16, (40, 50)), (24, 24))
            assert_close(alone_1KChw[0], together_NKChw[row], atol=1e-6, rtol=0)

    def test_crops_fill_the_image_and_corners_a_quarter_of_a_side(self) -> None:
        crops = draw([0], 16, (20, 18), count=2000)
        assert crops.top_left_NK2.amin((0, 1)).tolist() == [0, 0]
        assert crops.top_left_NK2.amax((0, 1)).tolist() == [4, 2]  # the places that are left: 20 - 16 and 18 - 16
        moves_K42 = (crops.corners_NK42[0] - crops.outer_corners()).abs()
        shares_5 = torch.bincount(moves_K42.flatten()) / moves_K42.numel()
        assert_close(shares_5, torch.full((5,), 0.2), atol=0.02, rtol=0)  # 0 to 4 pixels, alike

    def test_crops_of_a_small_image_are_as_small_and_square(self) -> None:
        crops = draw([0], 32, (20, 50))
        assert (crops.height, crops.width) == (20, 20)
        assert (crops.top_left_NK2[..., 0] == 0).all()
        assert int(crops.top_left_NK2[..., 1].max()) > 0


class TestCutting:
    @pytest.mark.parametrize(("size", "image_size"), [(17, (20, 30)), (33, (50, 40)), (64, (64, 64)), (64, (40, 96))])
    def test_crops_are_those_of_torchvision(self, size: int, image_size: tuple[int, int]) -> None:
        images_NCHW = noise(2, 3, *image_size)
        crops = draw([1, 2], size, image_size)
        crops_NKChw = cut_crops(images_NCHW, crops)
        for row in range(2):
            for column in range(COUNT):
                top, left = crops.top_left_NK2[row, column].tolist()
                window_CHW = images_NCHW[row, :, top : top + crops.height, left : left + crops.width]
                corners = crops.outer_corners().tolist(), crops.corners_NK42[row, column].tolist()
                expected_CHW = transforms.perspective(window_CHW, *corners, fill=[0.0] * 3)
                assert_close(crops_NKChw[row, column], expected_CHW, atol=1e-4, rtol=0)

    def test_a_corner_shows_what_lay_in_the_crops_corner(self) -> None:
        crops = draw([4], 48, (60, 60), count=200)
        points_NK43 = torch.nn.functional.pad(crops.corners_NK42.double(), (0, 1), value=1.0)
        places_NK43 = torch.einsum("nkij,nkcj->nkci", crops.maps_to_upright(), points_NK43)
        places_NK42 = places_NK43[..., :2] / places_NK43[..., 2:]
        assert_close(places_NK42, crops.outer_corners().double().expand_as(places_NK42), atol=1e-8, rtol=0)

    def test_a_horizon_through_the_crops_corner_does_no_harm(self) -> None:
        """torchvision's equations are singular for these corners, which are drawn like any others."""
        crops = single([[5, 5], [16, 0], [20, 20], [0, 16]], 21)
        map_33 = crops.maps_to_upright()[0, 0]
        assert abs(map_33[2, 2] / map_33.abs().max()) < 1e-12
        crop_hw = cut_crops(torch.ones(1, 3, 21, 21), crops)[0, 0, 0]
        assert crop_hw.isfinite().all()
        assert float(crop_hw[0, 0]) == 0
        assert_close(crop_hw[7:15, 7:15], torch.ones(8, 8))

    def test_an_untilted_crop_is_the_window(self) -> None:
        images_NCHW = noise(1, 3, 12, 14)
        upright = single([[0, 0], [7, 0], [7, 7], [0, 7]], 8)
        crops = Crops(8, 8, torch.tensor([[[3, 5]]]), upright.corners_NK42)
        assert_close(cut_crops(images_NCHW, crops)[0, 0], images_NCHW[0, :, 3:11, 5:13], atol=1e-5, rtol=0)

    def test_gradients_pass_to_the_pixels_of_the_crops_only(self) -> None:
        """Cutting is linear, so the gradient says exactly what any change of the image does."""
        images_NCHW, crops = noise(1, 3, 20, 20).requires_grad_(), draw([6], 8, (20, 20), count=2)
        cut_crops(images_NCHW, crops).square().sum().div(2).backward()
        gradient_NCHW = images_NCHW.grad
        assert gradient_NCHW is not None
        inside_HW = torch.zeros(20, 20, dtype=torch.bool)
        for top, left in crops.top_left_NK2[0].tolist():
            inside_HW[top : top + 8, left : left + 8] = True
        assert not inside_HW.all()
        assert gradient_NCHW[:, :, ~inside_HW].abs().max() < 1e-5 * gradient_NCHW.abs().max()
        energy = cut_crops(images_NCHW, crops).square().sum()
        assert_close((gradient_NCHW * images_NCHW).sum(), energy, rtol=1e-4, atol=0)

    @pytest.mark.parametrize("image_size", [(1, 1), (1, 40), (40, 2), (4, 4), (3000, 40)])
    def test_no_image_is_too_small_or_too_long(self, image_size: tuple[int, int]) -> None:
        patches_NKChw = cut_patches(torch.ones(1, 3, *image_size), draw([0], 128, image_size), (24, 30))
        assert patches_NKChw.shape == (1, COUNT, 3, 24, 30)
        assert patches_NKChw.isfinite().all()
        assert float(patches_NKChw.max()) == pytest.approx(1, abs=1e-5)
