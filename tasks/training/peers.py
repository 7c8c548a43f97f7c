"""The processes that train one network together: each draws its own share of a step, and all step as one.

P parameters of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")


class Peers(Protocol):
    """This process among those that train: it is number `rank`, from 0, of `count`."""

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    def average(self, parameters: Sequence[nn.Parameter], losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace the parameters' gradients by their means over all peers; the means of the losses, detached."""
        ...

    def share(self, value: T) -> T:
        """What rank 0 gave."""
        ...


class Alone:
    """One process that trains by itself."""

    rank, count = 0, 1

    def average(
        self,
        parameters: Sequence[nn.Parameter],  # noqa: ARG002 (nothing to average them with)
        losses: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        return {name: loss.detach() for name, loss in losses.items()}

    def share(self, value: T) -> T:
        return value


class TorchPeers:
    """The ranks of torch's default process group, which has been started."""

    def __init__(self) -> None:
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()

    def average(self, parameters: Sequence[nn.Parameter], losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One all-reduce of all gradients and losses as one vector.

        The mean of the ranks' gradients is the gradient of the mean of their losses, so a step is exactly that of one
        process with all their batches. DistributedDataParallel would overlap this with the backward pass, which pays
        for networks far larger than ours, but it has to be called through its own forward: a recipe's loss calls any
        part of the network, some twice, some only at certain steps.
        """
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        used_P = torch.tensor([float(each.grad is not None) for each in parameters])
        means = self._all_reduce([*gradients, used_P, *losses.values()], parameters[0].device)
        if not used_P.all():  # looked at only then, because it waits for the device
            fill_gradients(parameters, means[len(parameters)].tolist())
        for parameter, mean in zip(parameters, means, strict=False):
            if parameter.grad is not None:
                parameter.grad.copy_(mean)
        return dict(zip(losses, means[len(parameters) + 1 :], strict=True))

    def share(self, value: T) -> T:
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def _all_reduce(self, parts: Sequence[Tensor], device: torch.device) -> list[Tensor]:
        """Means over the ranks, float32, in the shapes of the parts."""
        flat = torch.cat([part.detach().to(device, torch.float32).reshape(-1) for part in parts])
        distributed.all_reduce(flat)
        flat /= self.count
        sizes = [part.numel() for part in parts]
        return [mean.view(part.shape) for mean, part in zip(flat.split(sizes), parts, strict=True)]


def fill_gradients(parameters: Sequence[nn.Parameter], used: Sequence[float]) -> None:
    """A gradient for what another rank has used; what no rank has used keeps none, so that Adam passes it over."""
    for parameter, share in zip(parameters, used, strict=True):
        if parameter.grad is None and share > 0:
            parameter.grad = torch.zeros_like(parameter)
