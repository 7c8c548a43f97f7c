"""Seeded random crops of images, each tilted in perspective: the patches of CLIPstyler and MMIST, for whole batches.

Dimension key: N images, K crops of each, C channels, H height, W width; h, w sides of a crop.

It is torchvision's `RandomCrop`, then `RandomPerspective(fill=0, p=1)`, on tensors. torchvision takes one crop at a
time; here one `grid_sample` takes all of them straight from the images, and gradients pass to these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

DISTORTION = 0.5  # CLIPstyler, train_CLIPstyler.py, and MMIST, utils.py: corners move in by up to a quarter of a side
SMALLEST_TILTED = 5  # pixels: three corners of 4 x 4 may come to lie on a line, and those of a line on one another


@dataclass(frozen=True)
class Crops:
    """Where K crops of each of N images lie and how they are tilted; tensors on the CPU.

    `top_left_NK2`: row and column in the image. `corners_NK42`: x and y, in pixels of the crop, of the places
    where the crop's top left, top right, bottom right and bottom left pixel come to lie.
    """

    height: int
    width: int
    top_left_NK2: Tensor
    corners_NK42: Tensor

    def outer_corners(self) -> Tensor:
        """Where the corners lie before they are moved, 42."""
        return _outer_corners(self.height, self.width)

    def maps_to_upright(self) -> Tensor:
        """Projective maps from a pixel (x, y, 1) of the tilted crop to its place in the upright one, NK33 in float64.

        The map that tilts is solved for and inverted. torchvision solves for this one at once, with a last element
        of 1, which fails where the horizon meets the crop's corner: there that element is 0.
        """
        if min(self.height, self.width) < SMALLEST_TILTED:
            return torch.eye(3, dtype=torch.float64).expand(*self.corners_NK42.shape[:2], 3, 3)
        to_NK42 = self.corners_NK42.double()
        from_NK42 = self.outer_corners().double().expand_as(to_NK42)
        point_NK43 = F.pad(from_NK42, (0, 1), value=1.0)
        zeros_NK43 = torch.zeros_like(point_NK43)
        rows_NK48 = [
            torch.cat([*parts, -to_NK42[..., axis, None] * from_NK42], dim=-1)
            for axis, parts in enumerate([(point_NK43, zeros_NK43), (zeros_NK43, point_NK43)])
        ]
        solution_NK8 = torch.linalg.solve(torch.cat(rows_NK48, dim=-2), to_NK42.transpose(-1, -2).flatten(-2))
        return torch.linalg.inv(F.pad(solution_NK8, (0, 1), value=1.0).unflatten(-1, (3, 3)))


def draw_crops(generators: Sequence[torch.Generator], count: int, size: int, image_size: tuple[int, int]) -> Crops:
    """`count` crops of `size` x `size` pixels of each image, from a generator (on the CPU) for each.

    `image_size` is (height, width) of all the images; where a side is smaller, so are crops, which stay square, and
    what is under 5 pixels is not tilted. An image's crops depend on its own generator alone, which moves on. They are
    distributed as torchvision's; the numbers are drawn all at once, so a seed gives others than it does there.
    """
    height = width = min(size, *image_size)
    draws_NK10 = torch.stack(
        [torch.rand(count, 10, generator=generator, dtype=torch.float64) for generator in generators]
    )
    places_2 = torch.tensor([image_size[0] - height + 1, image_size[1] - width + 1])
    distortion = DISTORTION if min(height, width) >= SMALLEST_TILTED else 0.0
    reach_2 = torch.tensor([int(distortion * (side // 2)) for side in (width, height)])
    moves_NK42 = (draws_NK10[..., 2:].unflatten(-1, (4, 2)) * (reach_2 + 1)).long()
    inwards_42 = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    corners_NK42 = _outer_corners(height, width) + inwards_42 * moves_NK42
    return Crops(height, width, (draws_NK10[..., :2] * places_2).long(), corners_NK42)


def cut_crops(images_NCHW: Tensor, crops: Crops) -> Tensor:
    """The tilted crops, NKChw in float32; black where a crop has nothing, and gradients pass to the images.

    torchvision samples a mask of ones beside the crop and multiplies by it, and outside the crop all is 0. With
    bilinear weights that is the sample at the nearest place inside, times the mask squared, which needs no copy
    of the crop: the samples come from the image itself. On CUDA the gradient's last bits vary from run to run.
    """
    x_NKhw, y_NKhw = _places(crops, images_NCHW.device)
    mask_NKhw = _coverage(x_NKhw, crops.width) * _coverage(y_NKhw, crops.height)
    top_NK11, left_NK11 = crops.top_left_NK2.to(images_NCHW.device)[..., None, None].unbind(2)
    height, width = images_NCHW.shape[-2:]
    across_NKhw = _relative(x_NKhw.clamp(0, crops.width - 1) + left_NK11, width)
    down_NKhw = _relative(y_NKhw.clamp(0, crops.height - 1) + top_NK11, height)
    grid_NPw2 = torch.stack([across_NKhw, down_NKhw], dim=-1).flatten(1, 2)  # the crops of an image below one another
    samples_NCPw = F.grid_sample(images_NCHW.float(), grid_NPw2, padding_mode="border", align_corners=False)
    samples_NKChw = samples_NCPw.unflatten(2, (-1, crops.height)).transpose(1, 2)
    return samples_NKChw * mask_NKhw.square()[:, :, None]


def cut_patches(images_NCHW: Tensor, crops: Crops, size: tuple[int, int], antialias: bool = False) -> Tensor:
    """The tilted crops brought to (height, width), bilinearly, NKChw.

    The authors' torchvision did not antialias when it made a crop smaller; the present one does.
    """
    patches_NKChw = cut_crops(images_NCHW, crops)
    if patches_NKChw.shape[-2:] == size:
        return patches_NKChw
    resized = F.interpolate(
        patches_NKChw.flatten(0, 1), size, mode="bilinear", align_corners=False, antialias=antialias
    )
    return resized.unflatten(0, patches_NKChw.shape[:2])


def _outer_corners(height: int, width: int) -> Tensor:
    return torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])


def _places(crops: Crops, device: torch.device) -> tuple[Tensor, Tensor]:
    """Place in the upright crop, in pixels, that each pixel of the tilted one shows: x and y, NKhw.

    torchvision applies the map to the pixels' centres, half a pixel from their corners, and steps back after it.
    """
    maps_NK33 = crops.maps_to_upright().float().to(device)
    x_w = torch.arange(crops.width, device=device) + 0.5
    y_h1 = (torch.arange(crops.height, device=device) + 0.5)[:, None]
    rows_3 = [a * x_w + b * y_h1 + c for a, b, c in (row[..., None, None].unbind(2) for row in maps_NK33.unbind(2))]
    places = (row_NKhw / rows_3[2] - 0.5 for row_NKhw in rows_3[:2])
    # 0 / 0 on the horizon, which lies outside the crop as -1 does.
    x_NKhw, y_NKhw = (place.nan_to_num(nan=-1.0) for place in places)
    return x_NKhw, y_NKhw


def _coverage(places: Tensor, side: int) -> Tensor:
    """What a row of `side` ones gives when sampled linearly, with zeros beside it."""
    return torch.minimum(places + 1, side - places).clamp(0, 1)


def _relative(places: Tensor, side: int) -> Tensor:
    """Pixels to the coordinates of `grid_sample`: the image reaches from -1 to 1."""
    return (2 * places + 1) / side - 1
