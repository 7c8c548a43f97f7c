"""What each saving of the inversion is worth: python -m infra.bench.mmist_inversion [--resolution 256].

One style of a text by a StyleGAN3 of full widths with random weights, which costs what trained ones do. From the
authors' way (one representation after another, first latents scored one by one, filters by zero insertion, float32) to
ours, a saving at a time. Starts and steps are timed on a few of each, one way after the other, and multiplied.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from infra.bench.clipstyler_batch import write_untrained
from tasks.encoders.clip import open_clip_model
from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.encoders.stylegan3.layers import SynthesisLayer
from tasks.encoders.stylegan3.resampling import reference_filtered_leaky_relu
from tasks.methods.base import Reference, Style
from tasks.methods.mmist.generators import StyleganPictures
from tasks.methods.mmist.goals import Goal, GoalReader
from tasks.methods.mmist.inversion import First, Inverter
from tasks.methods.mmist.settings import MmistSettings

STYLE = Style("fire", (Reference(text="fire and flames"),))
# Of the authors (gen_style_reps.py): pictures of a style, first latents of each, updates.
REPRESENTATIONS, STARTS, STEPS = 8, 128, 41


@dataclass(frozen=True)
class Way:
    """How to invert: with which operators, how first latents are scored, how many pictures at once, how precisely."""

    name: str
    zero_insertion: bool = False
    scored_singly: bool = False
    one_by_one: bool = False
    half: bool = True
    checkpoint: bool = False


WAYS = (
    Way("as the authors", zero_insertion=True, scored_singly=True, one_by_one=True, half=False),
    Way("+ polyphase filters", scored_singly=True, one_by_one=True, half=False),
    Way("+ first latents scored in batches", one_by_one=True, half=False),
    Way("+ representations as one batch", half=False),
    Way("+ half precision (on a GPU)"),
    Way("+ activations made again", checkpoint=True),
)


def main() -> None:
    """A line for each way: seconds a first latent, a step of one picture, and of the style."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--clip", default="embedded:clip-small")
    parser.add_argument("--untrained", metavar="NAME", help="shape of open_clip, in place of --clip")
    parser.add_argument("--starts", type=int, default=16, help="first latents to time, of the 128")
    parser.add_argument("--steps", type=int, default=2, help="updates to time, of the 40")
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--size", type=int, default=512, help="of pictures, at most; patches are half as large")
    parser.add_argument("--at-once", type=int, default=8, help="pictures in one program")
    parser.add_argument("--made", type=int, default=16, help="first latents made at once, the authors' 16")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = write_untrained(options.untrained, Path(folder)) if options.untrained else options.clip
        bench = Bench(options, clip)
        for _ in range(options.repeats):
            for way in WAYS if bench.device.type == "cuda" else WAYS[:-2]:
                bench.report(way)


class Bench:
    """One generator and one CLIP, inverted with in each way."""

    def __init__(self, options: argparse.Namespace, clip: str) -> None:
        self.options = options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        network = Generator(GeneratorConfig(resolution=options.resolution)).eval().requires_grad_(False)
        self.network = network.to(self.device)
        self.encoder = open_clip_model(clip, str(self.device))
        self.settings = MmistSettings(
            clip=clip,
            size=options.size,
            crop_size=options.size // 2,
            crops=options.crops,
            contents=1,
            steps=options.steps + 1,
        )
        self.first = 0.0

    def report(self, way: Way) -> None:
        """Time a way and print it."""
        choose_operators(self.network, way.zero_insertion)
        inverter, goals = self.open_inverter(way)
        self.reset()
        start_seconds = self.timed(partial(self.score_first, inverter, goals[0], way)) / self.options.starts
        step_seconds = self.timed(partial(optimise, inverter, goals)) / (self.options.steps * len(goals))
        total = REPRESENTATIONS * (STARTS * start_seconds + STEPS * step_seconds)
        self.first = total if way == WAYS[0] else self.first
        memory = torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else 0.0
        print(
            f"{self.device.type}, {self.options.resolution} px, {self.encoder.name}, {way.name}: a first latent "
            f"{1e3 * start_seconds:.1f} ms, a step of a picture {1e3 * step_seconds:.1f} ms, a style {total:.1f} s, "
            f"{self.first / total:.2f} times as fast" + (f", {memory:.1f} GB" if memory else ""),
            flush=True,
        )

    def open_inverter(self, way: Way) -> tuple[Inverter, list[Goal]]:
        """The inverter of a way, and what it has in one program."""
        settings = self.settings.model_copy(update={"precision": "auto" if way.half else "float32"})
        half = torch.float16 if way.half else None
        generator = StyleganPictures(self.network, settings.size, 1.0, self.device, half)
        generator.checkpoint = way.checkpoint
        reader = GoalReader(self.encoder, settings)
        goals = [reader.read(STYLE, number, 0) for number in range(1 if way.one_by_one else self.options.at_once)]
        return Inverter(generator, self.encoder, reader.contents, settings), goals

    @torch.no_grad()
    def score_first(self, inverter: Inverter, goal: Goal, way: Way) -> None:
        """Some first latents made into pictures, and the best found."""
        draws, content = torch.Generator().manual_seed(0), torch.tensor([0], device=self.device)
        losses = []
        for start in range(0, self.options.starts, self.options.made):
            latents = inverter.generator.draw(min(self.options.made, self.options.starts - start), draws).latents
            parts = inverter.generator.pictures(latents).split(1 if way.scored_singly else self.options.made)
            losses += [inverter.whole_losses(part, [goal], content).min().item() for part in parts]
        min(losses)

    def timed(self, run: Callable[[], None]) -> float:
        """Seconds that it takes, the device's queue empty before and after."""
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def optimise(inverter: Inverter, goals: list[Goal]) -> None:
    """The updates that are timed; the picture after the last of them is not made."""
    latents = inverter.generator.draw(len(goals), torch.Generator().manual_seed(0)).latents
    trials = islice(inverter.draw_trials(goals), inverter.settings.steps - 1)
    for _ in inverter.optimise(goals, First(latents, torch.zeros(len(goals))), trials):
        pass


def choose_operators(network: Generator, zero_insertion: bool) -> None:
    """The network's own filters, or their definition, with zeros between samples."""
    for layer in network.synthesis.layers():
        vars(layer).pop("resample", None)
        if zero_insertion and not layer.spec.colours:
            vars(layer)["resample"] = partial(resample_by_zeros, layer)


def resample_by_zeros(layer: SynthesisLayer, features_NCHW: Tensor) -> Tensor:
    """The leaky ReLU between two filters as its definition says it."""
    taps = (layer.up_filter.to(features_NCHW), layer.down_filter.to(features_NCHW))
    return reference_filtered_leaky_relu(features_NCHW, *taps, layer.resampling)


if __name__ == "__main__":
    main()
