"""The parts of a StyleGAN3's training: patches, the adversary, its penalty, what it is shown, distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.training.data import Pictures, load_pictures
from tasks.training.stylegan3_augmentation import Augmentation, blur, fading_sigma
from tasks.training.stylegan3_discriminator import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from tasks.training.stylegan3_figures import kernel_distance
from tasks.training.stylegan3_patches import PatchPool, change_colours, seeded, sheet_of

CPU = torch.device("cpu")


def pool_of(*images_HWC: np.ndarray, short_side: int = 512) -> PatchPool:
    return PatchPool.load(Pictures(list(images_HWC), [], 0), short_side, CPU)


def ramp(height: int, width: int) -> np.ndarray:
    """Red rises to the right, green downwards: a patch's colours say where it was cut."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width).round()[None]
    picture[..., 1] = np.linspace(0, 255, height).round()[:, None]
    return picture


def test_patches_are_in_range_and_decided_by_the_seed(art: Path) -> None:
    pool = PatchPool.load(load_pictures([art]), 512, CPU)
    draws = [pool.draw(16, 8, 20, 0.5, seeded(CPU, numbers)) for numbers in ([0, 1], [0, 1], [0, 2], [1, 1])]
    assert draws[0].shape == (16, 3, 8, 8)
    assert all(-1 <= draw.min() < draw.max() <= 1 for draw in draws)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[3])


@pytest.mark.parametrize("side", [40, 100, 330])
def test_a_patch_of_the_whole_short_side_is_the_picture_reduced(side: int) -> None:
    patches = (pool_of(ramp(side, side)).draw(20, 16, 10**6, 0.0, seeded(CPU, [0])) + 1) / 2
    wanted = (torch.arange(16) + 0.5) / 16
    mirrored = patches[:, 0, 0, 0] > 0.5
    assert 0 < mirrored.sum() < 20
    across = torch.where(mirrored[:, None], patches[:, 0].mean(1).flip(1), patches[:, 0].mean(1))
    assert (across - wanted).abs().max() < 0.02
    assert (patches[:, 1].mean(2) - wanted).abs().max() < 0.02
    assert patches[:, 2].max() == 0


def test_windows_differ_in_size_and_place_and_lie_within_the_picture() -> None:
    patches = (pool_of(ramp(64, 128)).draw(300, 8, 16, 0.0, seeded(CPU, [0])) + 1) / 2
    height = patches[:, 1].mean(2)
    spans = (height[:, -1] - height[:, 0]) * 8 / 7
    assert spans.min() == pytest.approx(16 / 64, rel=0.1)
    assert spans.max() == pytest.approx(1, rel=0.1)
    centres = patches[:, 0].mean((1, 2))
    assert centres.min() < 0.2
    assert centres.max() > 0.8


def test_fine_patterns_are_averaged_not_aliased() -> None:
    checks = np.indices((256, 256)).sum(0) % 2
    picture = (checks[..., None] * 255).repeat(3, 2).astype(np.uint8)
    assert pool_of(picture).draw(16, 16, 64, 0.0, seeded(CPU, [0])).abs().max() < 0.05


def test_pictures_of_any_size_are_read_and_large_ones_bounded() -> None:
    pool = pool_of(ramp(16, 17), ramp(16, 90), ramp(200, 100), short_side=50)
    assert pool.sides_ML2[:, 0].tolist() == [[16, 17], [16, 90], [100, 50]]
    assert torch.isfinite(pool.draw(64, 32, 96, 1.0, seeded(CPU, [0]))).all()


def test_recolouring_permutes_channels_and_keeps_the_range() -> None:
    images = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = change_colours(images, torch.rand(8, 2), seeded(CPU, [0]))
    assert changed.shape == images.shape
    assert 0 <= changed.min() < changed.max() <= 1
    plain = change_colours(images, torch.tensor([[0.5, 0.6]]).expand(8, 2), seeded(CPU, [0]))
    assert torch.allclose(plain.sort(1).values, images.sort(1).values, atol=1e-6)  # gamma and contrast of 1
    assert not torch.allclose(plain, images)


def test_the_penalty_of_a_linear_score_is_the_square_of_its_weights() -> None:
    weights_CHW = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def score(images_NCHW: Tensor) -> Tensor:
        return (images_NCHW * weights_CHW).sum((1, 2, 3)) + 5

    penalty = gradient_penalty(score, torch.rand(6, 3, 4, 4))
    assert penalty.item() == pytest.approx(weights_CHW.square().sum().item(), rel=1e-5)
    penalty.backward()
    assert weights_CHW.grad is not None
    assert torch.allclose(weights_CHW.grad, 2 * weights_CHW)


def test_losses_push_scores_apart_and_the_generator_only_its_own_images() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(16, 64, 8)
    images = torch.rand(4, 3, 16, 16).requires_grad_()
    generator_loss(discriminator, images).backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    nothing = torch.zeros(4)
    assert discriminator_loss(nothing, nothing).item() == pytest.approx(2 * np.log(2))
    assert discriminator_loss(nothing + 9, nothing - 9) < 0.001 < discriminator_loss(nothing - 9, nothing + 9)


@pytest.mark.parametrize(("resolution", "count"), [(8, 1), (16, 4), (64, 6)])
def test_a_discriminator_scores_each_image(resolution: int, count: int) -> None:
    torch.manual_seed(0)
    discriminator: nn.Module = Discriminator(resolution, 256, 16)
    scores = discriminator(2 * torch.rand(count, 3, resolution, resolution) - 1)
    assert scores.shape == (count,)
    assert scores.abs().max() < 10


def test_the_spread_of_a_group_tells_equal_images_from_others() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(16, 64, 8)
    image = torch.rand(1, 3, 16, 16)
    alone, equal = discriminator(image), discriminator(image.expand(4, -1, -1, -1))
    assert torch.allclose(alone.expand(4), equal, atol=1e-4)
    assert not torch.allclose(discriminator(torch.cat([image, torch.rand(3, 3, 16, 16)]))[0], alone[0], atol=1e-4)


def test_augmentations_change_a_share_and_pass_gradients() -> None:
    images = torch.rand(64, 3, 16, 16).requires_grad_()
    assert torch.equal(Augmentation(0.0, seeded(CPU, [0]))(images), images)
    shown = Augmentation(0.5, seeded(CPU, [0]))(images)
    assert shown.shape == images.shape
    untouched = (shown == images).flatten(1).all(1).sum()
    assert 1 <= untouched <= 24  # an eighth of 64 is expected
    shown.sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()


def test_shifts_move_by_whole_pixels_and_holes_are_grey() -> None:
    image = torch.arange(1.0, 257).reshape(1, 1, 16, 16).expand(8, 3, -1, -1)
    shifted = Augmentation(1.0, seeded(CPU, [0])).shift(image)
    for moved in shifted[:, 0]:
        by = moved[8, 8] - image[0, 0, 8, 8]
        assert torch.equal(moved[4:12, 4:12], image[0, 0, 4:12, 4:12] + by)
    assert shifted.min() == 0
    holes = (Augmentation(1.0, seeded(CPU, [1])).cut(image)[:, 0] == 0).sum((1, 2))
    assert holes.max() <= 64
    assert holes.min() >= 16


def test_blur_keeps_the_mean_of_the_middle_and_fades() -> None:
    images = torch.zeros(1, 1, 33, 33)
    images[0, 0, 16, 16] = 1
    blurred = blur(images, 2.0)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    places = torch.arange(33.0) - 16
    assert (blurred[0, 0].sum(0) * places**2).sum().sqrt().item() == pytest.approx(2, rel=0.03)
    assert torch.equal(blur(images, 0.1), images)
    assert [fading_sigma(10, images, 100) for images in (0, 50, 100, 500)] == [10, 5, 0, 0]
    assert fading_sigma(10, 0, 0) == 0


def test_the_kernel_distance_is_zero_for_one_distribution_and_grows_with_a_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 2_000, 4, generator=generator) / 2
    distances = [kernel_distance(first, second + shift) for shift in (0, 0.2, 0.5)]
    assert abs(distances[0]) < 0.05 < distances[1] < distances[2]


def test_the_kernel_distance_is_that_of_its_definition() -> None:
    first, second = torch.randn(2, 2, generator=torch.Generator().manual_seed(0)), torch.eye(2)

    def kernel(x: Tensor, y: Tensor) -> float:
        return float(x @ y + 1) ** 3  # two numbers, scaled by the root of two each, and divided by two

    within = kernel(first[0], first[1]) + kernel(second[0], second[1])
    across = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(within - 2 * across, rel=1e-5)


def test_a_sheet_is_filled_row_by_row() -> None:
    images = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(-1, 3, 2, 2)
    sheet = sheet_of(images, 3)
    assert sheet.shape == (3, 4, 6)
    assert sheet[0, 0].tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5]
    assert sheet[0, 2].tolist() == [0.75, 0.75, 1, 1, 1, 1]
