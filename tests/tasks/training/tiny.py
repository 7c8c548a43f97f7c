"""A recipe that takes no time: a few weights that learn the mean colour of random pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tasks.training.loop import LoopSettings, TrainingState

LOOP = LoopSettings(
    steps=6, learning_rate=0.02, warmup_steps=2, log_steps=2, sheet_steps=3, device="cpu", precision="float32"
)


@dataclass
class TinyRecipe:
    """Parts of the network are called by themselves, one of them only from step 2 on, another never.

    `spoiled` are numbers of draws whose loss is NaN; `flat` those whose loss is finite and its gradient NaN.
    """

    spoiled: frozenset[int] = frozenset()
    flat: frozenset[int] = frozenset()
    network: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        parts = {"maps": nn.Conv2d(3, 4, 3), "early": nn.Linear(4, 1), "late": nn.Linear(4, 1), "idle": nn.Linear(2, 2)}
        self.network = nn.ModuleDict(parts)

    def draw(self, number: int) -> dict[str, Tensor]:
        images_NCHW = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(number))
        factor = torch.nan if number in self.spoiled else 0.0 if number in self.flat else 1.0
        return {"images": images_NCHW, "factor": torch.tensor(factor), "number": torch.tensor(float(number))}

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(network, nn.ModuleDict)
        features_NC = network["maps"](batch["images"]).mean((2, 3))
        wanted_N = batch["images"].mean((1, 2, 3))
        heads = ("early", "late") if step >= 2 else ("early",)
        losses = {head: (network[head](features_NC)[:, 0] - wanted_N).square().mean() for head in heads}
        # At 0 the root is finite, and its slope is not.
        total = torch.stack(list(losses.values())).sum() + 1e-3 * (losses["early"] * batch["factor"]).sqrt()
        return total, {"early": losses["early"], "number": batch["number"]}

    def sheet(self, network: nn.Module) -> Tensor:
        assert not network.training
        return torch.full((3, 4, 4), 0.5)

    def describe(self) -> dict[str, Any]:
        return {"seed": 0}


@dataclass
class TwiceRecipe:
    """One process that sees what two would: both batches of a step, and the mean of their losses."""

    inner: TinyRecipe

    @property
    def network(self) -> nn.Module:
        return self.inner.network

    def draw(self, step: int) -> dict[str, Tensor]:
        shares = [self.inner.draw(2 * step + rank) for rank in range(2)]
        return {f"{name}{rank}": value for rank, share in enumerate(shares) for name, value in share.items()}

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        shares = [{name: batch[f"{name}{rank}"] for name in ("images", "factor", "number")} for rank in range(2)]
        (first, parts), (second, others) = (self.inner.loss(network, share, step) for share in shares)
        return (first + second) / 2, {name: (value + others[name]) / 2 for name, value in parts.items()}

    def sheet(self, network: nn.Module) -> Tensor:
        return self.inner.sheet(network)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()


@dataclass(frozen=True)
class MakeTiny:
    """What travels to other processes, and makes the recipe there."""

    spoiled: frozenset[int] = frozenset()

    def __call__(self, device: torch.device) -> TinyRecipe:
        assert device.type == "cpu"
        return TinyRecipe(self.spoiled)


def weights_of(state: TrainingState) -> Mapping[str, Tensor]:
    """Averaged and plain weights."""
    return {name: value for name, value in state.tensors().items() if not name.startswith("optimiser.")}
