"""U-Nets for pairs to start from, which leave less of the way to go than random weights do.

Dimension key: N photographs of a step, C channels, S side of a crop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.losses.crops import draw_crops
from tasks.methods.bars import Bar
from tasks.methods.base import Content
from tasks.methods.clipstyler.directions import Targets
from tasks.methods.clipstyler.optimisation import Judge, Objective
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.clipstyler.tuned import Network
from tasks.methods.clipstyler.tuning import draw_photographs, fit_crop
from tasks.methods.clipstyler.unet import draw_networks, render_networks
from tasks.samples.photographs import neutral_photographs

STEPS, SIDE = 400, 128
LEARNING_RATE = 5e-3  # falls to 0 in a line; mean difference to photographs it has not seen after 200 steps 0.07
TUNING_STEPS, TUNING_BATCH, TUNING_SIDE = 80, 4, 160


@cache
def fit_neutral(side: int) -> list[Tensor]:
    """The neutral photographs, large enough for crops of a side (`fit_crop`); every reference is tuned on them."""
    return [fit_crop(pixels_HWC, side) for pixels_HWC in neutral_photographs()]


def fit_network(seed: int, device: torch.device) -> dict[str, Tensor]:
    """A network (unet.py; no first dimension) that gives photographs back, fitted to the neutral ones by the seed."""
    photographs = fit_neutral(SIDE)
    network = draw_networks([torch.Generator().manual_seed(seed)], device)
    optimiser = torch.optim.Adam([tensor.requires_grad_() for tensor in network.values()], lr=LEARNING_RATE)
    rng = np.random.default_rng(seed)
    for step in Bar(range(STEPS), desc="fitting a network to photographs"):
        crop_1CSS = draw_photographs(photographs, rng, 1, SIDE).to(device) / 255
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / STEPS)
        optimiser.zero_grad(set_to_none=True)
        F.l1_loss(render_networks(network, crop_1CSS), crop_1CSS).backward()
        optimiser.step()
    return {name: tensor.detach()[0] for name, tensor in network.items()}


def tune_network(
    fitted: Network,
    name: str,
    targets: Targets,
    encode: Callable[[Tensor], Content],
    judge: Judge,
    settings: OptimizeSettings,
) -> dict[str, Tensor]:
    """The fitted network tuned to a style on the neutral photographs, by the losses and the rate that pairs have."""
    photographs = fit_neutral(TUNING_SIDE)
    network = {key: tensor.clone().requires_grad_() for key, tensor in fitted.items()}
    optimiser = torch.optim.Adam(network.values(), lr=settings.learning_rate)
    rng, generator = np.random.default_rng(settings.seed), torch.Generator().manual_seed(settings.seed)
    count = -(-settings.crops // TUNING_BATCH)
    for _ in Bar(range(TUNING_STEPS), desc=f"tuning to {name[:40]}"):
        content = encode(draw_photographs(photographs, rng, TUNING_BATCH, TUNING_SIDE) / 255)
        objective = Objective(content, [targets] * TUNING_BATCH, judge, settings)
        networks = {key: tensor.expand(TUNING_BATCH, *tensor.shape) for key, tensor in network.items()}
        drawn = draw_crops([generator] * TUNING_BATCH, count, settings.crop_size, (TUNING_SIDE, TUNING_SIDE))
        optimiser.zero_grad(set_to_none=True)
        objective.total(objective.losses(objective.render(networks), drawn)).mean().backward()
        optimiser.step()
    return {key: tensor.detach() for key, tensor in network.items()}
