"""Networks on a device: laid out as it likes them, and one of each, however many methods read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from tasks.weights.loading import load_tensors
from tasks.weights.references import digest, resolve

# Eight pictures of 481x321 at once took adain 128 ms each, one by one 75 (its NOTES.md).
CPU_PIXELS_AT_ONCE = 512 * 512
Network = TypeVar("Network", bound=nn.Module)
Precision = Literal["auto", "float32", "bfloat16"]

# Settings that differ only in what a network is used for share it, as long as one of them lives.
_opened: WeakValueDictionary[tuple[str, ...], nn.Module] = WeakValueDictionary()


def open_shared(
    kind: str, references: Mapping[str, str], device: str, build: Callable[[dict[str, dict[str, Tensor]]], Network]
) -> Network:
    """The frozen network that `build` makes of the tensors of each named reference, on a device; made once.

    `kind` tells networks apart that read the same files. Raises RequestError where weights are missing or refused.
    """
    key = (kind, device, *(digest(reference) for reference in references.values()))
    network = _opened.get(key)
    if network is None:
        built = build({name: load_tensors(resolve(reference)) for name, reference in references.items()})
        network = _opened[key] = place(built.eval().requires_grad_(False), torch.device(device))
    return cast(Network, network)


def place(network: Network, device: torch.device) -> Network:
    """The network on a device, in the layout that convolutions there are fastest in."""
    return network.to(device).to(memory_format=memory_format(device))


def split_rows(count: int, pixels: int, device: torch.device) -> list[slice]:
    """Rows of `pixels` each to pass through a network together: on a CPU few, so that caches hold what lies between."""
    at_once = max(1, CPU_PIXELS_AT_ONCE // pixels) if device.type == "cpu" else max(1, count)
    return [slice(start, start + at_once) for start in range(0, count, at_once)]


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last on a CPU: adain's decoder takes 75 ms a picture against 130 there (its NOTES.md).

    An H100 took clip-small's 1,024 crops and their gradient in 34 ms, channels last in 43 (bfloat16).
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Arithmetic of that precision, weights as they are; auto: bfloat16 on a GPU, float32 on a CPU."""
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()
