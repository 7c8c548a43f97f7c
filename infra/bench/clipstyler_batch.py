"""Many pairs at once against one by one: python -m infra.bench.clipstyler_batch [--pairs 16] [--steps 21] [--size 512].

The same code, pairs, seeds and steps, with `pairs_at_once: 1` and with all of them; on a GPU where there is one. Prints
images a second and peak memory of both. Contents are the sample photographs, so that it runs anywhere.
"""

from __future__ import annotations

import argparse
import time
from typing import Literal

import torch
from torch import Tensor

from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.optimize import OptimizeMethod
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.text_pictures import squares
from tasks.samples.photographs import sample_photographs

Precision = Literal["float32", "bfloat16"]


def main() -> None:
    """Alternate both, and print medians' ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=21)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--clip", default="embedded:clip-small")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = [pixels for _, pixels in sample_photographs()]
    contents = squares([images[n % len(images)] for n in range(options.pairs)], options.size)
    methods = [
        OptimizeMethod(
            OptimizeSettings(
                mode="optimize",
                steps=options.steps,
                crops=options.crops,
                clip=options.clip,
                precision=options.precision,
                pairs_at_once=at_once,
            ),
            device,
        )
        for at_once in (1, options.pairs)
    ]
    reps = methods[0].represent([Style("fire", (Reference(text="fire and flames"),))])
    for method in methods:
        measure(method, contents[:, :, :64, :64], reps)  # the first call of all compiles and allocates
    for _ in range(options.repeats):
        alone, together = (measure(method, contents, reps) for method in methods)
        print(
            f"{device.type}, {options.pairs} pairs of {options.size} px, {options.steps} steps, {options.crops} crops: "
            f"one by one {options.pairs / alone[0]:.3f} images/s ({alone[1]:.1f} GB), "
            f"at once {options.pairs / together[0]:.3f} ({together[1]:.1f} GB): {alone[0] / together[0]:.2f} times",
            flush=True,
        )


def measure(method: OptimizeMethod, contents_NCHW: Tensor, reps: list[Representation]) -> tuple[float, float]:
    """Seconds to render, and the peak of the GPU's memory in GB."""
    count = len(contents_NCHW)
    on_gpu = method.device.type == "cuda"
    content = method.encode(contents_NCHW)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started = time.perf_counter()
    method.render(content, reps, Pairs(list(range(count)), [0] * count, list(range(count)))).sum().item()
    return time.perf_counter() - started, torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0


if __name__ == "__main__":
    main()
