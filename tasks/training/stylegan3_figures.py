"""How far generated pictures are from real ones, in the embeddings of a CLIP that we have here.

Dimension key: N, M pictures, D embedding, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.training.stylegan3_patches import PatchPool, latents, seeded
from tasks.training.stylegan3_settings import Stylegan3Settings

PURPOSE = 3  # of the draws: apart from those of training
BATCH = 32


def kernel_distance(features_ND: Tensor, others_MD: Tensor) -> float:
    """The kernel inception distance (Bińkowski et al., Demystifying MMD GANs, ICLR 2018), with these features.

    Unbiased, so about 0, negative too, for two samples of one distribution. float64. Features of unit length are
    scaled to a mean square of 1, as the polynomial kernel (x.y / D + 1)^3 expects of each number.
    """
    first_ND, second_MD = features_ND.double(), others_MD.double()
    first_ND, second_MD = (part * part.shape[1] ** 0.5 for part in (first_ND, second_MD))
    within = sum(mean_apart(kernel(part, part)) for part in (first_ND, second_MD))
    return float(within - 2 * kernel(first_ND, second_MD).mean())


def kernel(first_ND: Tensor, second_MD: Tensor) -> Tensor:
    return (first_ND @ second_MD.T / first_ND.shape[1] + 1) ** 3


def mean_apart(kernel_NN: Tensor) -> Tensor:
    """The mean of a kernel over pairs of different pictures."""
    count = len(kernel_NN)
    return (kernel_NN.sum() - kernel_NN.trace()) / (count * (count - 1))


@torch.no_grad()
def generate(generator: Any, count: int, seed: int, psi: float = 1.0, device: torch.device | None = None) -> Tensor:
    """`count` pictures N3HW in [-1, 1] of a generator in evaluation mode, of latents that the seed decides."""
    device = device or next(generator.parameters()).device
    # On the CPU, so that sheets of all runs and devices show the same latents.
    latents_NZ = latents(count, generator.config.z_size, seeded(torch.device("cpu"), [seed, 0, PURPOSE]))
    parts = (generator.synthesize(generator.map(part.to(device), psi=psi)) for part in latents_NZ.split(BATCH))
    return torch.cat([part.float().clamp(-1, 1) for part in parts])


def draw_patches(pool: PatchPool, recipe: Stylegan3Settings, count: int, seed: int) -> Tensor:
    """`count` patches as training draws them, in their own colours."""
    generator = seeded(pool.pixels_P3.device, [seed, 1, PURPOSE])
    return pool.draw(count, recipe.resolution, recipe.smallest_window, 0.0, generator)


def embed(judge: ClipEncoder, images_N3HW: Tensor) -> Tensor:
    """Embeddings_ND of pictures in [-1, 1]."""
    return torch.cat([judge.embed_images((part + 1) / 2) for part in images_N3HW.split(BATCH)])


def measure_generator(
    generator: Any, judge: ClipEncoder, pools: dict[str, PatchPool], recipe: Stylegan3Settings, count: int
) -> dict[str, float]:
    """Distances of `count` generated pictures to as many patches of each pool, and of the pools to each other."""
    made_ND = embed(judge, generate(generator, count, seed=1)).cpu()
    real = {name: embed(judge, draw_patches(pool, recipe, count, seed=1)).cpu() for name, pool in pools.items()}
    again = {name: embed(judge, draw_patches(pool, recipe, count, seed=2)).cpu() for name, pool in pools.items()}
    figures = {f"kid_to_{name}": kernel_distance(made_ND, features) for name, features in real.items()}
    figures |= {f"kid_of_{first}_to_{second}": value for first, second, value in between(real, again)}
    return {name: round(value, 5) for name, value in figures.items()}


def between(real: dict[str, Tensor], again: dict[str, Tensor]) -> Iterator[tuple[str, str, float]]:
    """The distances of pools to each other, and to further patches of themselves: what a figure is to be read by."""
    for place, (name, features) in enumerate(real.items()):
        for other in list(real)[place:]:
            yield name, other, kernel_distance(features, again[other])
