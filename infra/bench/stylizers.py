"""Stylizers side by side on unseen pairs: python -m infra.bench.stylizers HOLDOUT WEIGHTS MICROAST --sheet OUT.png.

HOLDOUT has folders `photos` and `art`; pair n is photograph n in style n, as centred squares of --size, as in the cards
of the embedded weights. WEIGHTS has the judges: vgg19-normalised-relu3_1, vgg19-student16x-encoder-relu4_1 and
squeezenet1_1-features; MICROAST the four files of MicroAST. --row NAME 'YAML of method settings' adds a row.

N pairs, C channels, H and W pixels.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

from infra.bench.renderers import Renderer, Stylizer, measure_megabytes, measure_seconds
from tasks.encoders.squeezenet import FIRES, SqueezeNet
from tasks.encoders.taps import Extractor
from tasks.losses.taps import TapLoss
from tasks.training.data import load_pictures
from tasks.training.figures import judge_pairs, take
from tasks.training.perception import open_networks
from tasks.weights.catalog import embedded_names
from tasks.weights.loading import load_tensors

OURS = {"adain-small": "adain", "adaattn-small": "adaattn", "style-kernel-small": "style_kernel"}
VGGS = ("vgg19-normalised-relu3_1", "vgg19-student16x-encoder-relu4_1")
FIRE_MOMENTS = TapLoss("moments", dict.fromkeys(FIRES, 1.0))
STYLE_SIDE = 512  # pixels of the style while speed is measured; the quality's styles are as large as its contents


def main() -> None:
    """Render and judge all pairs, measure the cost, print one table."""
    options = parse()
    torch.set_num_threads(options.threads)
    stylizers = choose(options)
    renderers = [stylizer.open() for stylizer in stylizers]
    contents_N3HW, styles_N3HW = load_pairs(options.holdout, options.pairs, options.size)
    outputs = {"content": contents_N3HW}
    for stylizer, renderer in zip(stylizers, renderers, strict=True):
        outputs[stylizer.name] = render_pairs(renderer, contents_N3HW, styles_N3HW)
        print(f"rendered {len(contents_N3HW)} pairs with {stylizer.name}", file=sys.stderr, flush=True)
    if options.sheet:
        write_sheet(options.sheet, styles_N3HW, outputs, options.columns)
    table = judge(options.weights, styles_N3HW, outputs)
    for side in options.sides:
        for row, costs in measure_costs(options, stylizers, renderers, side).items():
            table[row] |= costs
    print(json.dumps(table, indent=2) if options.json else lay_out(table))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for folder in ("holdout", "weights", "microast"):
        parser.add_argument(folder, type=Path)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path, help="a PNG: rows content, style, each stylizer; a column a pair")
    parser.add_argument("--columns", type=int, default=10, help="pairs on the sheet, evenly spaced")
    parser.add_argument("--row", nargs=2, action="append", default=[], metavar=("NAME", "YAML"))
    parser.add_argument("--sides", type=int, nargs="*", default=[256, 512, 1024], help="of images to time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="peak memory, too: a process each")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def choose(options: argparse.Namespace) -> list[Stylizer]:
    """Our embedded networks as far as they are there, the rows asked for, MicroAST."""
    there = embedded_names()
    for name in OURS:
        if name not in there:
            print(f"{name} is left out: it is not among the embedded weights", file=sys.stderr)
    ours = [Stylizer(name, {"name": method}) for name, method in OURS.items() if name in there]
    asked = [Stylizer(name, yaml.safe_load(settings)) for name, settings in options.row]
    return [*ours, *asked, Stylizer("MicroAST", folder=options.microast)]


def load_pairs(holdout: Path, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Contents and styles, N3HW in [0, 1]; the shorter list is repeated."""
    photos, art = (load_pictures([holdout / folder]) for folder in ("photos", "art"))
    return take(photos, count, size), take(art, count, size)


def render_pairs(renderer: Renderer, contents_N3HW: Tensor, styles_N3HW: Tensor) -> Tensor:
    pairs = zip(contents_N3HW, styles_N3HW, strict=True)
    return torch.cat([renderer.render(content[None], renderer.represent(style)) for content, style in pairs])


@torch.inference_mode()
def judge(weights: Path, styles_N3HW: Tensor, outputs: dict[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Figures of each row; `squeezenet` next to those of training (tasks/training/figures.py)."""
    perceptual = open_networks([weights / f"{name}.safetensors" for name in VGGS])
    squeezenet = SqueezeNet.open(load_tensors(weights / "squeezenet1_1-features.safetensors"))

    table = {}
    for name, outputs_N3HW in outputs.items():
        figures = asdict(judge_pairs(outputs["content"], styles_N3HW, perceptual.style, outputs_N3HW))
        figures["squeezenet"] = fire_distance(squeezenet, outputs_N3HW, styles_N3HW)
        table[name] = {column: round(figure, 3) for column, figure in figures.items()}
    return table


def fire_distance(extractor: Extractor, outputs_N3HW: Tensor, styles_N3HW: Tensor) -> float:
    """Differences of means and deviations at each fire, relative to what two different styles differ by; the mean."""
    outputs, styles = extractor(outputs_N3HW), extractor(styles_N3HW)
    others = {tap: maps.roll(1, dims=0) for tap, maps in styles.items()}
    near, apart = FIRE_MOMENTS.terms(outputs, styles), FIRE_MOMENTS.terms(styles, others)
    return float(torch.stack([near[tap].mean() / apart[tap].mean() for tap in near]).mean())


def measure_costs(
    options: argparse.Namespace, stylizers: list[Stylizer], renderers: list[Renderer], side: int
) -> dict[str, dict[str, Any]]:
    """Seconds, and where asked for megabytes, of encoding and rendering one image of that side, by row."""
    contents_N3HW, _ = load_pairs(options.holdout, 1, side)
    _, styles_N3HW = load_pairs(options.holdout, 1, STYLE_SIDE)
    seconds = measure_seconds(renderers, contents_N3HW, styles_N3HW[0], options.repeats)
    costs: dict[str, dict[str, Any]] = {
        stylizer.name: {f"s at {side}": taken} for stylizer, taken in zip(stylizers, seconds, strict=True)
    }
    if options.memory:
        megabytes = measure_megabytes(stylizers, side, options.threads)
        for stylizer, added in zip(stylizers, megabytes, strict=True):
            costs[stylizer.name][f"MB at {side}"] = added
    return costs


def write_sheet(path: Path, styles_N3HW: Tensor, outputs: dict[str, Tensor], columns: int) -> None:
    """Rows: the content, the style, each stylizer."""
    rows = [outputs["content"], styles_N3HW, *(images for name, images in outputs.items() if name != "content")]
    count = len(styles_N3HW)
    shown = [index * count // columns for index in range(columns)] if columns < count else range(count)
    sheet_3HW = torch.cat([torch.cat([row_N3HW[index] for index in shown], dim=2) for row_N3HW in rows], dim=1)
    Image.fromarray(sheet_3HW.mul(255).round().byte().permute(1, 2, 0).numpy()).save(path)


def lay_out(table: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown."""
    columns = list(dict.fromkeys(column for figures in table.values() for column in figures))
    lines = [["", *columns], ["---"] * (1 + len(columns))]
    lines += [[name, *(str(figures.get(column, "")) for column in columns)] for name, figures in table.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
