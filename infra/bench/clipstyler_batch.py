"""Many pairs at once against one by one: python -m infra.bench.clipstyler_batch [--pairs 16] [--steps 21] [--size 512].

The same code, pairs, seeds and steps, with `pairs_at_once: 1` and with all of them; on a GPU where there is one. Prints
images a second and peak memory of both. Contents are the sample photographs, so that it runs anywhere; `--untrained
ViT-B-32` takes a CLIP of that shape with random weights, which costs what the trained one does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Literal

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

from tasks.encoders.clip_models import CONFIG, WEIGHTS
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.optimize import OptimizeMethod
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.text_pictures import squares
from tasks.samples.photographs import sample_photographs

Precision = Literal["auto", "float32", "bfloat16"]


def main() -> None:
    """Alternate both, and print each pair of figures with its ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=21)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--crops", type=int, default=64)
    parser.add_argument("--clip", default="embedded:clip-small")
    parser.add_argument("--untrained", metavar="NAME", help="shape of open_clip, in place of --clip")
    parser.add_argument("--precision", default=["auto"], nargs="+", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    images = [pixels for _, pixels in sample_photographs()]
    contents = squares([images[n % len(images)] for n in range(options.pairs)], options.size)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_untrained(options.untrained, Path(folder)) if options.untrained else options.clip
        for precision in options.precision:
            compare(contents, open_methods(options, clip, precision), options, precision)


def open_methods(options: argparse.Namespace, clip: str, precision: Precision) -> list[OptimizeMethod]:
    """One by one, and all at once."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    published = {"start": "random", "crop_size": 128, "structure_weight": 0.0}  # also where the CLIP is an embedded one
    settings = {"steps": options.steps, "crops": options.crops, "clip": clip, "precision": precision, **published}
    return [
        OptimizeMethod(OptimizeSettings(mode="optimize", pairs_at_once=at_once, **settings), device)
        for at_once in (1, options.pairs)
    ]


def compare(contents: Tensor, methods: list[OptimizeMethod], options: argparse.Namespace, precision: Precision) -> None:
    reps = methods[0].represent([Style("fire", (Reference(text="fire and flames"),))])
    for method in methods:
        measure(method, contents[:, :, :64, :64], reps)  # the first call of all compiles and allocates
    clip = options.untrained or options.clip
    for _ in range(options.repeats):
        alone, together = (measure(method, contents, reps) for method in methods)
        print(
            f"{methods[0].device.type}, {clip}, {precision}, {options.pairs} pairs of {options.size} px, "
            f"{options.steps} steps, {options.crops} crops: "
            f"one by one {options.pairs / alone[0]:.3f} images/s ({alone[1]:.1f} GB), "
            f"at once {options.pairs / together[0]:.3f} ({together[1]:.1f} GB): {alone[0] / together[0]:.2f} times",
            flush=True,
        )


def write_untrained(name: str, folder: Path) -> str:
    """A model of this shape with random weights, as a reference."""
    model = open_clip.create_model(name, pretrained=None)
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, folder / WEIGHTS)
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": dict(model.visual.preprocess_cfg)}
    (folder / CONFIG).write_text(json.dumps(config))
    return f"local-dir:{folder}"


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
