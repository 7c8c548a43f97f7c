"""Do styles in words arrive? python -m infra.bench.text_styles PHOTOGRAPHS OUTPUT [--method "{name: adain}"].

Represents each of six texts, stylizes unseen photographs with them, and asks the judge, which no loss has seen, which
of the six texts each output shows; the same of the plain photographs. Writes a sheet of the outputs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.images.decoding import read_picture
from tasks.images.settings import ImageSettings
from tasks.methods.base import Method, Pairs, Reference, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.methods.text_pictures import squares

TEXTS = (
    "a cyanotype print",
    "fire and flames",
    "a charcoal drawing",
    "a neon sign",
    "a sepia photograph",
    "a watercolour painting",
)


def main() -> None:
    """Represent, render, judge; one line of figures for each CLIP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--texts", nargs="*", default=TEXTS)
    parser.add_argument("--method", default="{name: adain}", help="method settings as in a job, YAML")
    options = parser.parse_args()
    contents_N3SS = load_squares(options.photographs, options.photos, options.size)
    settings = TypeAdapter(MethodSettings).validate_python(yaml.safe_load(options.method))
    method = open_method(settings, "cuda" if torch.cuda.is_available() else "cpu")
    started = time.perf_counter()
    reps = method.represent([Style(text, (Reference(text=text),)) for text in options.texts])
    print(f"represent: {(time.perf_counter() - started) / len(reps):.1f} s a text, {torch.get_num_threads()} threads")
    count, texts = len(contents_N3SS), len(reps)
    pairs = Pairs(
        [n for n in range(count) for _ in reps], [t for _ in range(count) for t in range(texts)], [0] * count * texts
    )
    started = time.perf_counter()
    outputs_PCHW = torch.cat([render(method, content_13SS, reps) for content_13SS in contents_N3SS.split(1)])
    print(f"render: {(time.perf_counter() - started) / len(pairs):.2f} s a pair")
    for name in ("embedded:clip-small", "embedded:clip-judge-small"):
        report(open_clip_model(name), list(options.texts), contents_N3SS, outputs_PCHW, pairs)
    write_sheet(options.output, contents_N3SS, outputs_PCHW, texts)


def render(method: Method, content_13SS: Tensor, reps: list[Representation]) -> Tensor:
    """One photograph in every style."""
    count = len(reps)
    return method.render(method.encode(content_13SS), reps, Pairs([0] * count, range(count), [0] * count)).cpu()


def load_squares(folder: Path, count: int, size: int) -> Tensor:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".png"})[:count]
    return squares([read_picture(path.read_bytes(), ImageSettings()).pixels_HWC for path in paths], size)


def report(encoder: ClipEncoder, texts: list[str], contents_N3SS: Tensor, outputs_PCHW: Tensor, pairs: Pairs) -> None:
    """Which text ranks first: by cosine, and by cosine centred over the outputs, for outputs and for plain contents."""
    texts_TD = encoder.embed_texts(texts)
    cosines_PT = encoder.embed_images(outputs_PCHW) @ texts_TD.T
    wanted_P = torch.tensor(pairs.representations)
    first = (cosines_PT.argmax(1) == wanted_P).float()
    centred = ((cosines_PT - cosines_PT.mean(0)).argmax(1) == wanted_P).float()
    plain_NT = encoder.embed_images(contents_N3SS) @ texts_TD.T
    each = {text: round(float(first[wanted_P == t].mean()), 2) for t, text in enumerate(texts)}
    share = F.one_hot(plain_NT.argmax(1), len(texts)).float().mean(0).max()
    print(f"{encoder.name}: first {first.mean():.3f}, centred {centred.mean():.3f}; {each}")
    print(f"plain photographs: the text that most of them are nearest to takes {share:.2f} of them")


def write_sheet(path: Path, contents_N3SS: Tensor, outputs_PCHW: Tensor, texts: int, rows: int = 6) -> None:
    """The contents at the left, then their outputs in each text's style."""
    grid = torch.cat([contents_N3SS[:, None], outputs_PCHW.unflatten(0, (-1, texts))], 1)[:rows]
    image_3HW = torch.cat([torch.cat(list(row), -1) for row in grid], -2)
    Image.fromarray((image_3HW.permute(1, 2, 0) * 255).round().byte().numpy().astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
