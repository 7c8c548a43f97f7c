"""Does a style of texts, or of texts and pictures, arrive? python -m infra.bench.mmist_styles PHOTOGRAPHS ART OUTPUT.

Inverts six texts, and each of them mixed with a picture of ART; stylizes unseen photographs, and asks the judge, which
no loss has seen, which of the six styles each output shows. Writes a sheet of the pictures found and one of outputs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from infra.bench.text_styles import TEXTS, load_squares, write_sheet
from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.images.decoding import read_picture
from tasks.images.settings import ImageSettings
from tasks.methods.base import Method, Pairs, Reference, Representation, Style
from tasks.methods.mmist.method import MmistMethod, open_method
from tasks.methods.mmist.settings import MmistSettings
from tasks.samples.photographs import neutral_photographs
from tasks.scores.arrival import measure_arrival
from tasks.scores.clip import ClipScorer

CLIPS = ("embedded:clip-small", "embedded:clip-judge-small")


def main() -> None:
    """Invert, render, judge: texts alone, then mixed with pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("art", type=Path)
    parser.add_argument("output", type=Path, help="start of the sheets' names")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--kinds", nargs="*", default=["texts", "mixed"], choices=["texts", "mixed", "pictures"])
    parser.add_argument(
        "--alike",
        action="store_true",
        help="mix each text with the picture that the CLIP of the losses finds most like it",
    )
    parser.add_argument("--text-weight", type=float, default=0.5)
    parser.add_argument("--method", default="{}", help="settings of mmist as in a job, YAML")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    method = open_method(MmistSettings(**yaml.safe_load(options.method)), device)
    contents_N3SS = load_squares(options.photographs, options.photos, options.size)
    judges = [open_clip_model(name, device) for name in CLIPS]
    alike = ClipScorer(judges[0], neutral_photographs()) if options.alike else None
    pictures = choose_pictures(options.art, alike)
    known: dict[str, Representation] = {}
    for kind in options.kinds:
        styles = make_styles(kind, pictures, options.text_weight)
        found = invert(method, styles, known)
        reps = method.represent_inverted(styles, found)
        outputs_PCHW = torch.cat([render(method, content_13SS, reps) for content_13SS in contents_N3SS.split(1)])
        print(kind)
        for judge in judges:
            report(judge, styles, contents_N3SS, outputs_PCHW)
        if any(found):
            write_pictures(Path(f"{options.output}-{kind}-pictures.png"), [rep for parts in found for rep in parts])
        write_sheet(Path(f"{options.output}-{kind}.png"), contents_N3SS, outputs_PCHW, len(styles))


def invert(
    method: MmistMethod, styles: Sequence[Style], known: dict[str, Representation]
) -> list[list[Representation]]:
    """What has to be inverted of each style; what is `known` of texts alone is not sought again."""
    wanted = [style.inverted(method.settings.inverts) for style in styles]
    left = [part for parts in wanted for part in parts if name_texts(part) not in known]
    started = time.perf_counter()
    found = {id(part): rep for part, rep in zip(left, method.invert(left), strict=True)}
    for part in left:
        losses = torch.tensor(json.loads(found[id(part)].metadata["last_losses"]))
        print(f"{part.name}: last loss {float(losses.mean()):.2f}")
        known |= {name_texts(part): found[id(part)]} if name_texts(part) else {}
    print(f"{len(left)} styles inverted in {time.perf_counter() - started:.0f} s")
    return [[found.get(id(part)) or known[name_texts(part)] for part in parts] for parts in wanted]


def name_texts(style: Style) -> str:
    """Texts of a style that has nothing else; else nothing."""
    texts = [reference.text for reference in style.references]
    return "" if None in texts else json.dumps(texts)


def make_styles(kind: str, pictures: Sequence[Reference], text_weight: float) -> list[Style]:
    """The six texts, or each with a picture, or the pictures alone."""
    styles = []
    for text, picture in zip(TEXTS, pictures, strict=True):
        mixed = (Reference(text_weight, text=text), replace(picture, weight=1 - text_weight))
        references = {"texts": (Reference(text=text),), "mixed": mixed, "pictures": (picture,)}
        styles.append(Style(text, references[kind]))
    return styles


def choose_pictures(art: Path, alike: ClipScorer | None) -> list[Reference]:
    """A picture for each text: spread over a folder's names, or those that a CLIP finds most like the texts."""
    paths = sorted(path for path in art.iterdir() if path.suffix.lower() in {".jpg", ".png"})
    if alike is None:
        return [load_picture(path) for path in paths[:: max(1, len(paths) // len(TEXTS))][: len(TEXTS)]]
    pictures = [load_picture(path) for path in paths]
    styles = [Style("", (reference,)) for reference in (*(Reference(text=text) for text in TEXTS), *pictures)]
    directions_SD = torch.stack(
        [target.direction_D for target in alike.prepare(styles) if target.direction_D is not None]
    )
    likeness_TR = directions_SD[: len(TEXTS)] @ directions_SD[len(TEXTS) :].T
    chosen = linear_sum_assignment(likeness_TR.cpu().numpy(), maximize=True)[1]
    print(f"pictures: {[paths[number].name for number in chosen]}")
    return [pictures[number] for number in chosen]


def load_picture(path: Path) -> Reference:
    pixels_HWC = read_picture(path.read_bytes(), ImageSettings(size=512)).pixels_HWC
    return Reference(image_CHW=torch.tensor(pixels_HWC).permute(2, 0, 1) / 255)


def render(method: Method, content_13SS: Tensor, reps: Sequence[Representation]) -> Tensor:
    """One photograph in every style."""
    count = len(reps)
    return method.render(method.encode(content_13SS), reps, Pairs([0] * count, range(count), [0] * count)).cpu()


def report(encoder: ClipEncoder, styles: Sequence[Style], contents_N3SS: Tensor, outputs_PCHW: Tensor) -> None:
    """Which style ranks first: along directions, each minus its mean over outputs (as reports do), and by cosines."""
    scorer = ClipScorer(encoder, neutral_photographs())
    targets = scorer.prepare(styles)
    contents_PD = scorer.embed_contents(contents_N3SS).repeat_interleave(len(styles), 0)
    numbers = [number for _ in contents_N3SS for number in range(len(styles))]
    cosines_SP = scorer.compare_directions(outputs_PCHW, contents_PD, targets)
    arrival = measure_arrival(cosines_SP, numbers)
    raw = (cosines_SP.argmax(0).cpu() == torch.tensor(numbers)).float().mean()
    each = [round(float(share), 2) for share in arrival.first_S]
    line = f"{encoder.name}: first {arrival.first_S.mean():.3f} {each}; by directions' cosines as they are {raw:.3f}"
    if all(reference.text for style in styles for reference in style.references):
        texts_TD = encoder.embed_texts([style.references[0].text or "" for style in styles])
        first_P = (encoder.embed_images(outputs_PCHW) @ texts_TD.T).argmax(1).cpu() == torch.tensor(numbers)
        line += f"; by texts' cosines {first_P.float().mean():.3f}"
    print(line)


def write_pictures(path: Path, found: Sequence[Representation]) -> None:
    """The pictures that were found, a row a style."""
    rows = [torch.cat(list(rep.tensors["pictures"]), -1) for rep in found]
    Image.fromarray(torch.cat(rows, -2).permute(1, 2, 0).cpu().numpy()).save(path)


if __name__ == "__main__":
    main()
