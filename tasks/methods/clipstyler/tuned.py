"""Networks that were tuned to references: kept while an actor lives and in representations, and mixed by weight."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tasks.methods.base import Reference, Representation

KEPT = 64  # networks, for styles that share a reference: 90 MB of compact decoders, 160 MB of U-Nets, 0.9 GB of VGG's
Network = Mapping[str, Tensor]


class KeptNetworks:
    """The last networks that were tuned, by what their reference is."""

    def __init__(self) -> None:
        self._tuned: dict[str, Network] = {}

    def get(self, reference: Reference, tune: Callable[[], Network]) -> Network:
        """What was tuned to a reference before, or is now."""
        key = reference.text if reference.image_CHW is None else digest_picture(reference.image_CHW)
        assert key is not None  # a reference is a text or a picture (tasks/styles.py)
        if key not in self._tuned:
            self._tuned[key] = tune()
            for oldest in list(self._tuned)[:-KEPT]:
                del self._tuned[oldest]
        return self._tuned[key]


def name_tensors(prefix: str, index: int, network: Network) -> dict[str, Tensor]:
    """The tensors of the network of reference `index`, as a representation names them."""
    return {f"{prefix}{index}.{name}": tensor for name, tensor in network.items()}


def read_networks(rep: Representation, prefix: str) -> list[dict[str, Tensor]]:
    """The network of each reference of a style, without tensors where the representation keeps none."""
    starts = [f"{prefix}{index}." for index in range(len(rep.tensors["weights"]))]
    return [
        {name.removeprefix(start): tensor for name, tensor in rep.tensors.items() if name.startswith(start)}
        for start in starts
    ]


def mix_networks(networks: Sequence[Network], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum of networks' tensors (test_intp.py mixes two decoders)."""
    return {
        name: torch.stack([weight * network[name] for network, weight in zip(networks, weights, strict=True)]).sum(0)
        for name in networks[0]
    }


def digest_picture(picture_CHW: Tensor) -> str:
    return hashlib.sha256(f"{tuple(picture_CHW.shape)}".encode() + picture_CHW.numpy().tobytes()).hexdigest()
