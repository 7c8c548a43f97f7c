"""First weights of networks that are to be trained."""

from __future__ import annotations

from torch import nn


def keep_scale(network: nn.Module, slope: float = 0.0) -> None:
    """Convolutions that keep the scale of features through (leaky) ReLUs, without bias (He et al., ICCV 2015).

    Torch's own first weights shrink features at each layer. Convolutions that have no bias at all are left alone.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, a=slope)
            nn.init.zeros_(layer.bias)


def compare_alike(query: nn.Conv2d, key: nn.Conv2d, value: nn.Conv2d) -> None:
    """Query and key as one orthonormal projection, so that alike attends to alike; the value as the identity."""
    nn.init.orthogonal_(query.weight)
    nn.init.dirac_(value.weight)
    for layer in (query, value):
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    key.load_state_dict(query.state_dict())
