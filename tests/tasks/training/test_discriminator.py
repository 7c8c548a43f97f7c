"""The patch discriminator: whose gradient comes from which loss, what a score looks at, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasks.training.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from tasks.training.export import read_average
from tasks.training.loop import train
from tests.tasks.training.tiny import LOOP


@pytest.fixture
def discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(width=4)


def gradients(module: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]


def differentiate(loss: Tensor, *modules: nn.Module) -> list[list[Tensor]]:
    for module in modules:
        module.zero_grad(set_to_none=True)
    loss.backward()
    return [gradients(module) for module in modules]


def test_each_network_learns_from_its_own_loss_alone(discriminator: PatchDiscriminator) -> None:
    generator = nn.Conv2d(3, 3, 3, padding=1)
    contents, real = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    discriminator.eval()  # in training every pass refines the estimate of the norms, and no two are alike

    made = generator(contents)
    both = generator_loss(discriminator, made) + discriminator_loss(discriminator, real, made)
    of_generator, of_discriminator = differentiate(both, generator, discriminator)

    [expected, none] = differentiate(generator_loss(discriminator, generator(contents)), generator, discriminator)
    assert none == []
    assert len(expected) == len(of_generator) == 2
    assert all(torch.equal(*pair) for pair in zip(of_generator, expected, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in expected)

    made = generator(contents)
    [none, expected] = differentiate(discriminator_loss(discriminator, real, made), generator, discriminator)
    assert none == []
    assert len(expected) == len(of_discriminator) == len(list(discriminator.parameters()))
    assert all(torch.equal(*pair) for pair in zip(of_discriminator, expected, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in expected)


def test_the_generator_is_drawn_towards_what_passes_for_real(discriminator: PatchDiscriminator) -> None:
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    discriminator.eval()
    before = generator_loss(discriminator, image)
    before.backward()
    assert image.grad is not None
    after = generator_loss(discriminator, image.detach() - 100 * image.grad)
    assert after < before


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (67, 65)])
def test_every_scale_scores_patches_of_images_of_64_pixels_and_more(
    discriminator: PatchDiscriminator, height: int, width: int
) -> None:
    scores = discriminator(torch.rand(2, 3, height, width))
    assert [score.shape[:2] for score in scores] == [(2, 1)] * 3
    sizes = [score.shape[2] * score.shape[3] for score in scores]
    assert sizes[0] > sizes[1] > sizes[2] > 1
    assert discriminator_loss(discriminator, torch.rand(2, 3, height, width), torch.rand(2, 3, height, width)) > 0


def test_a_score_looks_at_seventy_pixels(discriminator: PatchDiscriminator) -> None:
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    score = discriminator(image)[0]
    score[0, 0, score.shape[2] // 2, score.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert int(rows.max() - rows.min()) + 1 == 70


def test_scores_are_of_full_precision_under_autocast(discriminator: PatchDiscriminator) -> None:
    discriminator.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        scores = discriminator(images.bfloat16())
    expected = discriminator(images.bfloat16().float())
    assert all(torch.equal(*pair) for pair in zip(scores, expected, strict=True))


class Duel:
    """A recipe whose network holds a generator and the discriminator that judges it."""

    def __init__(self, killed_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.killed_at = killed_at
        self.network = nn.ModuleDict({"stylizer": nn.Conv2d(3, 3, 3, padding=1), "judge": PatchDiscriminator(width=4)})

    def draw(self, step: int) -> dict[str, Tensor]:
        if step == self.killed_at:
            raise KeyboardInterrupt
        return {"images": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(step))}

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, nn.ModuleDict)
        made = network["stylizer"](batch["images"])
        parts = {
            "adversarial": generator_loss(network["judge"], made),
            "judge": discriminator_loss(network["judge"], batch["images"], made),
        }
        assert network.training, f"at step {step}"
        return torch.stack(list(parts.values())).sum(), parts

    def sheet(self, network: nn.Module) -> Tensor:
        assert not network.training
        return torch.zeros(3, 4, 4)

    def describe(self) -> dict[str, Any]:
        return {}


def test_a_run_of_both_resumes_exactly_and_gives_the_stylizer_alone(tmp_path: Path) -> None:
    whole = train(Duel(), LOOP, tmp_path / "whole").tensors()
    with pytest.raises(KeyboardInterrupt):
        train(Duel(killed_at=4), replace(LOOP, checkpoint_seconds=0), tmp_path / "killed")
    resumed = train(Duel(), LOOP, tmp_path / "killed", resume=True).tensors()
    assert set(resumed) == set(whole)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    assert set(read_average(tmp_path / "whole", "stylizer")[0]) == {"weight", "bias"}


def test_two_textures_of_the_same_colours_are_told_apart(discriminator: PatchDiscriminator) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(along: int) -> Tensor:
        """Stripes down or across, at random places, in noise; the same pixels, turned."""
        place = torch.randint(8, (4, 1, 1, 1), generator=generator)
        stripes = ((torch.arange(64)[None, None, :, None] + place) // 4 % 2).expand(4, 3, 64, 64)
        noisy = 0.25 + 0.5 * stripes + 0.2 * torch.rand(4, 3, 64, 64, generator=generator)
        return noisy.transpose(2, 3) if along else noisy

    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
    with torch.no_grad():
        first = float(discriminator_loss(discriminator, draw(0), draw(1)))
    for _ in range(200):
        optimiser.zero_grad()
        discriminator_loss(discriminator, draw(0), draw(1)).backward()
        optimiser.step()
    discriminator.eval()
    with torch.no_grad():
        last = float(discriminator_loss(discriminator, draw(0), draw(1)))
        real, made = discriminator(draw(0)), discriminator(draw(1))
    assert last < 0.1 * first
    assert all(one.mean() > other.mean() + 0.4 for one, other in zip(real, made, strict=True))
