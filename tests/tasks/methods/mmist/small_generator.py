"""A StyleGAN3 of a few channels with seeded weights, saved in our layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator

CONFIG = GeneratorConfig(z_size=8, w_size=8, resolution=16, channels_base=128, channels_max=8, layers=6)


def save_small_generator(path: Path, config: GeneratorConfig = CONFIG) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Generator(config)
    save_file(network.state_dict(), path, {"init_kwargs": json.dumps(config.init_kwargs())})
    return path
