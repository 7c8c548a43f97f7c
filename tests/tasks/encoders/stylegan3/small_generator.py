"""Generators that are small enough to test: both configurations, of all that their layers can be."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator

SMALL = GeneratorConfig(z_size=8, w_size=12, resolution=32, channels_base=256, channels_max=12, layers=6)
SMALL_R = GeneratorConfig(
    z_size=8, w_size=12, resolution=32, channels_base=256, channels_max=12, layers=6, kernel=1, radial=True
)


def make_generator(config: GeneratorConfig = SMALL, seed: int = 0) -> Generator:
    """A generator whose latents all make other pictures, of one magnitude."""
    torch.manual_seed(seed)
    generator = Generator(config)
    for layer in generator.synthesis.layers():
        layer.bias.data.normal_(0, 0.1)
    generator.synthesis.input.affine.weight.data.normal_(0, 0.3)
    return generator.eval()


def make_styles(generator: Generator, count: int = 2) -> Tensor:
    """Styles [N, L, W] with another in each row."""
    latents_NZ = torch.randn(count * generator.rows, generator.config.z_size)
    return generator.map(latents_NZ)[:, 0].detach().unflatten(0, (count, generator.rows))
