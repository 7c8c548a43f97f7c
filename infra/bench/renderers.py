"""Stylizers behind one interface for the benchmarks: any method of ours by its settings, and MicroAST; their cost.

N images, C channels, H and W pixels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from infra.bench.microast import MicroAst
from tasks.methods.base import Pairs, Reference, Style
from tasks.methods.settings import MethodSettings, open_method

CHANNELS_LAST_FROM = 512 * 512  # pixels: MicroAST is faster so from here (0.36 s against 0.52), slower at 256


@dataclass(frozen=True)
class Renderer:
    """An opened stylizer: what it computes once from style_3HW, and image_13HW in [0, 1] of content_13HW and that."""

    represent: Callable[[Tensor], Any]
    render: Callable[[Tensor, Any], Tensor]


@dataclass(frozen=True)
class Stylizer:
    """A name in the table, and the settings of a method of ours or the folder of MicroAST's weights."""

    name: str
    settings: dict[str, Any] | None = None
    folder: Path | None = None

    def open(self) -> Renderer:
        """Load its weights. RequestError where they are missing, ValidationError where settings are wrong."""
        return open_microast(self.folder) if self.folder else open_ours(self.settings or {})


def open_ours(values: dict[str, Any]) -> Renderer:
    method = open_method(TypeAdapter(MethodSettings).validate_python(values))

    def render(content_13HW: Tensor, representation: Any) -> Tensor:
        return method.render(method.encode(content_13HW), [representation], Pairs([0], [0], [0]))

    return Renderer(lambda style_3HW: method.represent([Style("bench", (Reference(image_CHW=style_3HW),))])[0], render)


def open_microast(folder: Path) -> Renderer:
    network = MicroAst.open(folder)

    def render(content_13HW: Tensor, style: Any) -> Tensor:
        height, width = content_13HW.shape[-2:]
        large = height * width >= CHANNELS_LAST_FROM
        laid_out = content_13HW.contiguous(memory_format=torch.channels_last if large else torch.contiguous_format)
        return network.render(network.encode(laid_out), style)[:, :, :height, :width].clamp(0, 1)

    return Renderer(lambda style_3HW: network.represent(style_3HW[None]), render)


def measure_seconds(
    renderers: Sequence[Renderer], content_13HW: Tensor, style_3HW: Tensor, repeats: int
) -> list[float]:
    """Medians of encoding and rendering one image in a style already represented, all of them in turns."""
    represented = [renderer.represent(style_3HW) for renderer in renderers]
    times: list[list[float]] = [[] for _ in renderers]
    for repeat in range(repeats + 1):
        for renderer, representation, taken in zip(renderers, represented, times, strict=True):
            started = time.perf_counter()
            renderer.render(content_13HW, representation)
            if repeat:  # the first warms up
                taken.append(time.perf_counter() - started)
    return [round(statistics.median(taken), 4) for taken in times]


def measure_megabytes(stylizers: Sequence[Stylizer], size: int, threads: int) -> list[int]:
    """What rendering one image of size x size adds to a fresh process at its peak, for each. Linux only."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(render_alone, stylizers, [size] * len(stylizers), [threads] * len(stylizers)))


def render_alone(stylizer: Stylizer, size: int, threads: int) -> int:
    """Peak resident megabytes above what was there with the network loaded and the style represented."""
    torch.set_num_threads(threads)
    renderer = stylizer.open()
    generator = torch.Generator().manual_seed(0)
    representation = renderer.represent(torch.rand(3, 256, 256, generator=generator))
    renderer.render(torch.rand(1, 3, 64, 64, generator=generator), representation)
    content_13HW = torch.rand(1, 3, size, size, generator=generator)
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM, the peak, to what is resident now
    before = resident_kilobytes("VmRSS")
    renderer.render(content_13HW, representation)
    return round((resident_kilobytes("VmHWM") - before) / 1024)


def resident_kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
