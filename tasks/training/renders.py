"""The pictures that a CLIP learns from: every photograph in many renderings and palettes, and sheets of textures.

Dimension key: R rows (a photograph, or a sheet of textures), V views of a row, S side, C channels (RGB).

Rendering takes as long as a training step, so it is done once, by all cores, into one file that a run reads through
the page cache; a second run on the same pictures and renderers finds it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from skimage.color import rgb2lab
from tqdm import tqdm

from tasks.training.captions import Ids, Truths, Vocabulary, index_labels
from tasks.training.data import Pictures, centre_square
from tasks.training.objects import KINDS, read_label
from tasks.training.renderings import catalogue
from tasks.training.renderings.canvas import Generator, Picture
from tasks.training.renderings.palettes import NAMED_COLOURS

Pixels = NDArray[np.uint8]

COLOUR_SHARE = 0.3  # of the pixels that have to be near a named colour for a caption to name it
COLOUR_NAMES = tuple(NAMED_COLOURS)
COLOURS_LAB = rgb2lab(np.array(list(NAMED_COLOURS.values()))[None])[0]
# Pairs of named colours that a texture can be drawn in: apart enough to be seen (CIE 1976 difference).
APART = [
    (first, second)
    for first, second in permutations(range(len(COLOUR_NAMES)), 2)
    if np.linalg.norm(COLOURS_LAB[first] - COLOURS_LAB[second]) > 40
]


@dataclass(frozen=True)
class RenderSettings:
    """How many views of each picture, how large, and how many rows of textures."""

    views: int = 26
    side: int = 192
    # A view is drawn at one of these times the side, and then reduced to it: large pictures are scored reduced.
    scales: Annotated[tuple[Annotated[float, Field(ge=1, le=8)], ...], Field(min_length=1)] = (1.0,)
    texture_rows: int = 96
    seed: int = 0


@dataclass(frozen=True)
class Renders:
    """Views, RVSS3 uint8, and for each what is true of it, R*V long in the order of the views."""

    views_RVSS3: Pixels
    truths: Truths
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.views_RVSS3)


@dataclass(frozen=True)
class Source:
    """What a row is made of: a photograph, a work of art, or nothing (textures). `label` is read from its name."""

    picture_HW3: Pixels | None = None
    name: str = ""
    photograph: bool = False


def open_renders(photographs: Pictures, art: Pictures, settings: RenderSettings, folder: Path) -> Renders:
    """The renders of these pictures, from `folder` where they are there already, made with progress otherwise."""
    sources = [
        *(Source(*pair, photograph=True) for pair in zip(photographs.images, photographs.names, strict=True)),
        *(Source(*pair) for pair in zip(art.images, art.names, strict=True)),
        *[Source()] * settings.texture_rows,
    ]
    path = folder / f"renders-{digest(sources, settings)}.npy"
    facts = path.with_suffix(".facts.npy")
    if not (path.exists() and facts.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        write_renders(sources, settings, path, facts)
    style_RV, colours_RV = np.load(facts)
    words, objects_R, kinds_R = index_labels([read_label(source.name) for source in sources])
    objects, kinds = (np.repeat(known, settings.views) for known in (objects_R, kinds_R))
    truths = Truths(style_RV.ravel(), objects, kinds, colours_RV.ravel())
    vocabulary = Vocabulary(catalogue.PHRASES, words, KINDS, COLOUR_NAMES)
    return Renders(np.load(path, mmap_mode="r"), truths, vocabulary)


def write_renders(sources: Sequence[Source], settings: RenderSettings, path: Path, facts: Path) -> None:
    """Draw all rows on all cores; the files appear whole, and two runs at once do not write into one another's."""
    rows = len(sources)
    part = path.with_suffix(f".{uuid.uuid4().hex}.part")
    shape = (rows, settings.views, settings.side, settings.side, 3)
    views = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    known = np.empty((2, rows, settings.views), np.int64)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        drawn = pool.map(partial(draw_row, settings), range(rows), sources, chunksize=4)
        for row, (images_VSS3, style_V, colours_V) in enumerate(tqdm(drawn, total=rows, unit="picture")):
            views[row], known[0, row], known[1, row] = images_VSS3, style_V, colours_V
    views.flush()
    with part.with_suffix(".facts").open("wb") as file:
        np.save(file, known)
    os.replace(file.name, facts)
    os.replace(part, path)


def draw_row(settings: RenderSettings, row: int, source: Source) -> tuple[Pixels, Ids, Ids]:
    """Views VSS3 of one picture (a photograph itself first), or V textures; their styles and their colours."""
    rng = np.random.default_rng([settings.seed, row])
    if source.picture_HW3 is None:
        drawn = [draw_texture(settings.side, rng) for _ in range(settings.views)]
        textures, names, colours = zip(*drawn, strict=True)
        return np.stack(textures), np.array(names), np.array(colours)
    squares = [square_of(source.picture_HW3, round(scale * settings.side)) for scale in settings.scales]
    others = 1 + rng.permutation(len(catalogue.RENDERINGS) - 1)
    styles = np.concatenate([[0], others])[0 if source.photograph else 1 :][: settings.views]
    pictures = [catalogue.RENDERINGS[style].draw(squares[int(rng.integers(len(squares)))], rng) for style in styles]
    views = [reduce(to_bytes(picture), settings.side) for picture in pictures]
    return np.stack(views), styles, np.array([name_colours(view) for view in views])


def draw_texture(side: int, rng: Generator) -> tuple[Pixels, int, int]:
    """A texture in two different named colours, its style and its colours."""
    texture = int(rng.integers(len(catalogue.TEXTURES)))
    first, second = APART[int(rng.integers(len(APART)))]
    values = list(NAMED_COLOURS.values())
    image = catalogue.TEXTURES[texture].draw((side, side), (values[first], values[second]), rng)
    return to_bytes(image), len(catalogue.RENDERINGS) + texture, 1 << first | 1 << second


def name_colours(image_SS3: Pixels) -> int:
    """Bits of the named colours that a good share of the pixels is nearest to (CIE Lab)."""
    lab = rgb2lab(image_SS3[4::8, 4::8]).reshape(-1, 3)
    nearest = np.linalg.norm(lab[:, None] - COLOURS_LAB, axis=-1).argmin(1)
    shares = np.bincount(nearest, minlength=len(COLOUR_NAMES)) / len(nearest)
    return int(sum(1 << bit for bit in np.flatnonzero(shares >= COLOUR_SHARE)))


def square_of(picture_HW3: Pixels, side: int) -> Picture:
    """The centred square, float32 SS3 in [0, 1]."""
    return np.ascontiguousarray(centre_square(picture_HW3, side).permute(1, 2, 0).numpy())


def reduce(view_SS3: Pixels, side: int) -> Pixels:
    """The view at this side, or larger than it, at this side."""
    return np.asarray(Image.fromarray(view_SS3).resize((side, side), Image.Resampling.BICUBIC))


def to_bytes(picture: Picture) -> Pixels:
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def digest(sources: Sequence[Source], settings: RenderSettings) -> str:
    """Of all that the renders depend on: pictures, settings, and the renderers' own code."""
    hashed = hashlib.sha256(json.dumps(vars(settings), sort_keys=True).encode())
    for path in (Path(__file__), *sorted(Path(catalogue.__file__).parent.glob("*.py"))):
        hashed.update(path.read_bytes())
    for source in sources:
        hashed.update(f"{source.name} {source.photograph}".encode())
        if source.picture_HW3 is not None:
            hashed.update(source.picture_HW3.tobytes())
    return hashed.hexdigest()[:16]


def take_views(renders: Renders, rows: Sequence[int] | Ids, views: int, rng: Generator) -> tuple[list[Pixels], Truths]:
    """Different views of each of the rows: images SS3, and what is true of them."""
    count = renders.views_RVSS3.shape[1]
    index = [(int(row), int(view)) for row in rows for view in rng.permutation(count)[:views]]
    flat = np.array([row * count + view for row, view in index])
    return [renders.views_RVSS3[row, view] for row, view in index], renders.truths.rows(flat)
