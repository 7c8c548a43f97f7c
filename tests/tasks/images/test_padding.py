"""Padding is a mirrored continuation that cropping undoes; pixels survive the way to tensors and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.images.padding import crop_back, pad_to_stride, padded_side, to_pixels, to_tensor


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 5), (16, 16), (17, 40), (7, 3000)])
@pytest.mark.parametrize("stride", [8, 16, 64])
def test_padding_reaches_the_stride_and_is_undone_by_cropping(size: tuple[int, int], stride: int) -> None:
    images = torch.rand(2, 3, *size)
    padded = pad_to_stride(images, stride)
    assert padded.shape[-2:] == tuple(padded_side(side, stride) for side in size)
    assert all(side % stride == 0 and side >= 2 * stride for side in padded.shape[-2:])
    assert torch.equal(crop_back(padded, *size), images)


def test_padding_equals_reflection_where_one_reflection_is_enough() -> None:
    images = torch.rand(1, 3, 21, 27)
    reflected = torch.nn.functional.pad(images, (0, 5, 0, 11), mode="reflect")
    assert torch.equal(pad_to_stride(images, 16), reflected)


def test_a_short_side_is_mirrored_again_and_again() -> None:
    images = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
    assert pad_to_stride(images, 4, minimum=2)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert pad_to_stride(images, 4)[0, 0, :, 1].tolist() == [1] * 8


def test_an_image_that_fits_is_not_copied() -> None:
    images = torch.rand(1, 3, 32, 48)
    assert pad_to_stride(images, 16) is images


def test_padding_belongs_to_an_image_and_not_to_its_batch() -> None:
    images = torch.rand(3, 3, 19, 5)
    alone = torch.cat([pad_to_stride(image[None], 8) for image in images])
    assert torch.equal(pad_to_stride(images, 8), alone)


def test_pixels_survive_the_way_to_tensors_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 48, 3), dtype=np.uint8)
    tensor = to_tensor(list(pixels))
    assert tensor.shape == (2, 3, 16, 48)
    assert tensor.is_contiguous()
    assert tensor.dtype == torch.float32
    assert (to_pixels(tensor) == pixels).all()
    assert (
        to_pixels(to_tensor([np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)]))[0, :, :, 0].ravel()
        == range(256)
    ).all()


def test_values_outside_are_clamped_and_halves_are_rounded_up() -> None:
    values = torch.tensor([-3.0, 1.7, 0.5 / 255, 0.49 / 255]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert to_pixels(values)[0, 0, :, 0].tolist() == [0, 255, 1, 0]
    assert to_pixels(values.bfloat16())[0, 0, :2, 0].tolist() == [0, 255]
