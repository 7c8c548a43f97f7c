"""How long does StyleGAN3 take? python -m infra.bench.stylegan3_speed [--resolution 256] [--batch 1] [--repeats 3].

A generator of configuration T with its full official widths (z = w = 512, 32768 / 512 channels, 14 layers) and its
first weights: they take the time that trained ones take, and their pictures mean nothing. Our filtered leaky ReLU
against the one of its definition, zeros between samples and convolutions at the higher rate, in the same network: times
of both alternate in one process, of the clock and of the processors (which other work on the machine disturbs less);
peak memory is that of a process of its own on a CPU, and of the allocator on a GPU.
The gradient is that of the styles, the weights frozen, as an inversion takes it. On a GPU also half precisions, with
how far their pictures are from those of float32 (root mean square over root mean square).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.encoders.stylegan3.layers import SynthesisLayer
from tasks.encoders.stylegan3.resampling import reference_filtered_leaky_relu

HALVES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Variant:
    """A way to run the generator."""

    reference: bool = False
    checkpoint: bool = False
    half: str = "float32"

    @property
    def name(self) -> str:
        return " ".join(
            ["reference" if self.reference else "ours", self.half, *(["checkpoint"] if self.checkpoint else [])]
        )


def main() -> None:
    """One line a variant: medians of the repeats, peak memory, and on a GPU the deviation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--without-reference", action="store_true", help="ours alone: the reference takes minutes")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)  # a variant and a pass, in a process of its own
    options = parser.parse_args()
    if options.memory_of:
        print(own_memory(options, **json.loads(options.memory_of)))
        return
    variants = list_variants(options)
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"T, {options.resolution} px, first weights, batch {options.batch}, {where}", flush=True)
    # Before this process grows: on Linux the peak of a process starts at that of the one that starts it.
    memory = {(variant, backward): peak_memory(options, variant, backward) for variant, backward in passes(variants)}
    times = measure_times(options, variants)
    for variant, backward in passes(variants):
        clock_seconds, processor_seconds = (
            statistics.median(values) for values in zip(*times[variant, backward], strict=True)
        )
        print(
            f"{variant.name}, {'forward and gradient' if backward else 'forward'}: {clock_seconds:.3f} s, "
            f"processors {processor_seconds:.3f} s, {memory[variant, backward] / 2**30:.2f} GiB",
            flush=True,
        )
    for variant in variants:
        if variant.half != "float32" and not variant.checkpoint:
            print(f"{variant.name}: deviation {measure_deviation(options, variant):.1e}", flush=True)


def list_variants(options: argparse.Namespace) -> list[Variant]:
    halves = list(HALVES) if options.device == "cuda" else ["float32"]
    ours = [Variant(checkpoint=checkpoint, half=half) for half in halves for checkpoint in (False, True)]
    if options.without_reference:
        return ours
    return [Variant(reference=True), Variant(reference=True, checkpoint=True), *ours]


def passes(variants: list[Variant]) -> list[tuple[Variant, bool]]:
    """Each variant forwards, and with its gradient; a checkpoint does nothing without one."""
    return [
        (variant, backward) for variant in variants for backward in (False, True) if backward or not variant.checkpoint
    ]


def open_network(options: argparse.Namespace, variant: Variant) -> tuple[Generator, Tensor]:
    """The generator, and styles."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(resolution=options.resolution)).eval().requires_grad_(False)
    styles_NLW = generator.map(torch.randn(options.batch, 512)).to(options.device).contiguous()
    generator.to(options.device)
    set_resampling(generator, variant.reference)
    return generator, styles_NLW


def set_resampling(generator: Generator, reference: bool) -> None:
    """Let the layers do what they are defined by, or what they do."""
    for layer in generator.synthesis.layers():
        if reference:
            layer.__dict__["resample"] = partial(resample_by_definition, layer)
        else:
            layer.__dict__.pop("resample", None)


def resample_by_definition(layer: SynthesisLayer, features_NCHW: Tensor) -> Tensor:
    filters = (layer.up_filter.to(features_NCHW), layer.down_filter.to(features_NCHW))
    return reference_filtered_leaky_relu(features_NCHW, *filters, layer.resampling)


def run(generator: Generator, styles_NLW: Tensor, variant: Variant, backward: bool) -> Tensor:
    """Pictures, and with `backward` the gradient of their mean square."""
    set_resampling(generator, variant.reference)
    styles_NLW = styles_NLW.detach().requires_grad_(backward)
    with torch.set_grad_enabled(backward):
        images_N3HW = generator.synthesize(styles_NLW, checkpoint=variant.checkpoint, half=HALVES[variant.half])
    if backward:
        images_N3HW.square().mean().backward()
    return images_N3HW.detach()


def measure_times(
    options: argparse.Namespace, variants: list[Variant]
) -> dict[tuple[Variant, bool], list[tuple[float, float]]]:
    """Seconds of the clock and of the processors for each pass, taking turns; a first round is not counted."""
    generator, styles_NLW = open_network(options, variants[0])
    times: dict[tuple[Variant, bool], list[tuple[float, float]]] = {each: [] for each in passes(variants)}
    for repeat in range(options.repeats + 1):
        for variant, backward in passes(variants):
            seconds = clock(partial(run, generator, styles_NLW, variant, backward), options.device)
            if repeat:
                times[variant, backward].append(seconds)
    return times


def clock(work: Callable[[], Tensor], device: str) -> tuple[float, float]:
    wait = torch.cuda.synchronize if device == "cuda" else list
    wait()
    started, used = time.perf_counter(), time.process_time()
    work()
    wait()
    return time.perf_counter() - started, time.process_time() - used


def peak_memory(options: argparse.Namespace, variant: Variant, backward: bool) -> int:
    """Bytes, weights included; on a CPU those of the whole process, some 0.4 GiB of it torch."""
    if options.device == "cuda":
        generator, styles_NLW = open_network(options, variant)
        torch.cuda.reset_peak_memory_stats()
        run(generator, styles_NLW, variant, backward)
        return torch.cuda.max_memory_allocated()
    wanted = json.dumps({"variant": vars(variant), "backward": backward})
    command = [sys.executable, "-m", "infra.bench.stylegan3_speed", "--memory-of", wanted, "--device", "cpu"]
    command += ["--resolution", str(options.resolution), "--batch", str(options.batch)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def own_memory(options: argparse.Namespace, variant: dict[str, object], backward: bool) -> int:
    """Peak bytes of this process, after one pass."""
    chosen = Variant(**variant)  # type: ignore[arg-type]
    run(*open_network(options, chosen), chosen, backward)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_deviation(options: argparse.Namespace, variant: Variant) -> float:
    generator, styles_NLW = open_network(options, variant)
    exact_N3HW = run(generator, styles_NLW, Variant(), backward=False)
    near_N3HW = run(generator, styles_NLW, variant, backward=False)
    return float((near_N3HW - exact_N3HW).square().mean().sqrt() / exact_N3HW.square().mean().sqrt())


if __name__ == "__main__":
    main()
