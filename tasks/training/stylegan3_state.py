"""What a step of two adversaries changes: both networks, one optimiser with a rate for each, the generator's average.

Checkpoints are those of `loop.TrainingState`, but the average is the generator's alone, by its own names.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tasks.training.loop import LoopSettings, TrainingState

SNAPSHOT = "snapshot.safetensors"
BETAS = (0.0, 0.99)  # of Adam, in every StyleGAN


class AdversarialState(TrainingState):
    """Of a ModuleDict of `generator` and `discriminator`; `average` is the generator's.

    `decay` is that of the average a step, `rate` the discriminator's learning rate over the generator's.
    """

    def __init__(
        self, network: nn.ModuleDict, settings: LoopSettings, recipe: dict[str, Any], decay: float, rate: float
    ) -> None:
        super().__init__(network, settings, recipe)
        self.decay = decay
        self.generator.to(memory_format=torch.contiguous_format)  # its filters read planes
        self.average = deepcopy(self.generator).eval().requires_grad_(False)
        groups = [
            {"params": list(self.generator.parameters()), "scale": 1.0},
            {"params": list(self.discriminator.parameters()), "scale": rate},
        ]
        on_gpu = self.device.type == "cuda"  # there one kernel for all weights, which a CUDA graph can hold
        self.optimiser = torch.optim.Adam(
            groups, lr=settings.learning_rate, betas=BETAS, fused=on_gpu, capturable=on_gpu
        )

    @property
    def generator(self) -> Any:
        return self.network.get_submodule("generator")

    @property
    def discriminator(self) -> nn.Module:
        return self.network.get_submodule("discriminator")

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the generator: its weights slowly, its buffers at once, as the authors do."""
        # The first steps are soon forgotten: a half life of 7 % of the steps so far.
        decay = min(self.decay, self.step / (self.step + 10))
        means: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(means, list(self.generator.parameters()), 1 - decay)
        for mean, value in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(value)

    def save_snapshot(self, path: Path) -> None:
        """The average alone, its weights in half precision: a file that a run can send home, named as a checkpoint.

        Renamed to one, it can be exported, but not gone on from.
        """
        halved = {name for name, _ in self.average.named_parameters()}
        tensors = {
            f"average.{name}": (value.half() if name in halved else value).cpu().contiguous()
            for name, value in self.average.state_dict().items()
        }
        part = path.with_suffix(".part")
        save_file(tensors, part, {"step": str(self.step), "phases": json.dumps(self.phases)})
        os.replace(part, path)
