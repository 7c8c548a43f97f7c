"""Steps of a small StyleGAN3 as CUDA graphs: what takes two thousand launches of kernels is launched at once.

A step of 32 pictures of 128 pixels keeps an H100 busy for 44 ms and its launches take 58 (2026-11-27). A graph draws
the same numbers as the steps that it stands for: its generators are seeded before each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tasks.training.stylegan3_state import AdversarialState

if TYPE_CHECKING:
    from tasks.training.stylegan3 import Stylegan3Recipe

Losses = tuple[dict[str, Tensor], Tensor]


class GraphedSteps:
    """One step after another: as graphs on a GPU, once nothing changes from one to the next but what is on it."""

    def __init__(self, recipe: Stylegan3Recipe, state: AdversarialState, half: torch.dtype | None) -> None:
        self.recipe, self.state, self.half = recipe, state, half
        self.alone = 0  # steps without a graph, which choose algorithms and take memory
        self.graphs: dict[bool, tuple[torch.cuda.CUDAGraph, Losses]] = {}

    def run(self) -> Losses:
        """Losses and the norm of the gradient; they hold until the next step."""
        self.recipe.seed(self.state.step)
        if not self._can_capture():
            self.alone += 1
            return self.state.apply(self.recipe.losses(self.state, self.half))
        penalised = self.recipe.is_penalised(self.state.step)
        if penalised not in self.graphs:
            self.graphs[penalised] = self._capture()
        graph, losses = self.graphs[penalised]
        graph.replay()
        self.state.advance()
        return losses

    def _can_capture(self) -> bool:
        loop, step = self.state.settings, self.state.step
        steady = self.recipe.is_steady(step) and step >= loop.warmup_steps
        steady = steady and loop.learning_rate == loop.final_learning_rate
        return self.state.device.type == "cuda" and steady and self.alone > self.recipe.settings.r1_interval

    def _capture(self) -> tuple[torch.cuda.CUDAGraph, Losses]:
        graph = torch.cuda.CUDAGraph()
        for generator in (self.recipe.draws, self.recipe.changed):
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            losses = self.state.descend(self.recipe.losses(self.state, self.half))
        return graph, losses
