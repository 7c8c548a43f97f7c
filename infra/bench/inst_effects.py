"""Does a painting's word do anything? python -m infra.bench.inst_effects MODEL PHOTOGRAPHS ART OUTPUT.

Learns some paintings with a small diffusion model, paints unseen photographs with each word, and compares with what the
same model paints without a word: the distance to the painting, what is kept of the photograph, and whether the judge,
which no loss has seen, finds the painting that was meant. At several strengths, and with the inversion on and off.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from infra.bench.text_styles import load_squares, write_sheet
from tasks.encoders.clip import open_clip_model
from tasks.methods.base import Method, Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.extractors import open_extractor
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.settings import open_method
from tasks.samples.photographs import neutral_photographs
from tasks.scores.arrival import measure_arrival
from tasks.scores.clip import ClipScorer
from tasks.training.figures import judge_pairs

JUDGE = "embedded:clip-judge-small"
NO_WORD = Style("no word", (Reference(text=""),))
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def main() -> None:
    """Learn, paint, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("art", type=Path)
    parser.add_argument("output", type=Path, help="start of the sheets' names")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--paintings", type=int, default=6)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--method", default="{}", help="settings of inst as in a job, YAML")
    options = parser.parse_args()
    contents_N3SS = load_squares(options.photographs, options.photos, options.size)
    paintings_R3SS = spread(load_squares(options.art, 1000, options.size), options.paintings)
    styles = [Style(f"painting {number}", (Reference(1.0, one),)) for number, one in enumerate(paintings_R3SS)]
    named: dict[str, Any] = {
        "weights": f"local-dir:{options.model}",
        "clip": "embedded:clip-small",
        "size": options.size,
    }
    values = named | yaml.safe_load(options.method)
    started = time.perf_counter()
    reps = learn(open_method(InversionSettings(**values)), styles)
    print(f"{len(styles)} paintings learned in {time.perf_counter() - started:.0f} s")
    for strength in STRENGTHS:
        method = open_method(InversionSettings(**values | {"strength": strength}))
        report(f"strength {strength}", method, reps, contents_N3SS, paintings_R3SS, styles, options.output)
    off = open_method(InversionSettings(**values | {"stochastic_inversion": False}))
    report("no inversion", off, reps, contents_N3SS, paintings_R3SS, styles, options.output)


def learn(method: Any, styles: Sequence[Style]) -> list[Representation]:
    """Words of the paintings, with their losses; last, a representation without a word."""
    inverted = method.invert(styles)
    for style, rep in zip(styles, inverted, strict=True):
        losses = json.loads(rep.metadata["losses"])
        print(f"{style.name}: loss {losses[0]:.4f} to {losses[-1]:.4f}")
    return [*method.represent_inverted(styles, [[rep] for rep in inverted]), *method.represent([NO_WORD])]


def report(
    name: str,
    method: Method,
    reps: Sequence[Representation],
    contents_N3SS: Tensor,
    paintings_R3SS: Tensor,
    styles: Sequence[Style],
    output: Path,
) -> None:
    """One line of figures, and a sheet."""
    count, rows = len(styles), len(contents_N3SS)
    content = method.encode(contents_N3SS)
    pairs = [(row, index) for row in range(rows) for index in range(count + 1)]
    seeds = [row for row, _ in pairs]  # the noise of a photograph is the same with every word
    found = method.render(content, reps, Pairs([row for row, _ in pairs], [index for _, index in pairs], seeds))
    outputs_NS = found.unflatten(0, (rows, count + 1))
    told, untold = (
        outputs_NS[:, :count].flatten(0, 1),
        outputs_NS[:, count:].expand(-1, count, -1, -1, -1).flatten(0, 1),
    )
    extractor = open_extractor(OptimizeSettings(mode="optimize"), torch.device("cpu"))
    contents = contents_N3SS.repeat_interleave(count, 0)
    judge = partial(judge_pairs, contents, paintings_R3SS.repeat(rows, 1, 1, 1), lambda x: list(extractor(x).values()))
    figures = {kind: judge(images) for kind, images in (("word", told), ("no word", untold))}
    line = "; ".join(
        f"{kind}: style distance {one.style_distance:.3f}, SSIM {one.structure:.3f}" for kind, one in figures.items()
    )
    print(f"{name}: {line}; first by the judge {first_by_judge(styles, contents_N3SS, told):.3f}")
    write_sheet(Path(f"{output}-{name.replace(' ', '-')}.png"), contents_N3SS, outputs_NS.flatten(0, 1), count + 1)


def first_by_judge(styles: Sequence[Style], contents_N3SS: Tensor, outputs_PCHW: Tensor) -> float:
    """The share of outputs whose own painting is the nearest of all, as reports measure it."""
    scorer = ClipScorer(open_clip_model(JUDGE), neutral_photographs())
    contents_PD = scorer.embed_contents(contents_N3SS).repeat_interleave(len(styles), 0)
    cosines_SP = scorer.compare_directions(outputs_PCHW, contents_PD, scorer.prepare(styles))
    numbers = [number for _ in contents_N3SS for number in range(len(styles))]
    return float(measure_arrival(cosines_SP, numbers).first_S.mean())


def spread(pictures_N3SS: Tensor, count: int) -> Tensor:
    """Some of them, from all over."""
    return pictures_N3SS[:: max(1, len(pictures_N3SS) // count)][:count]


if __name__ == "__main__":
    main()
