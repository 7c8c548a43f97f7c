"""What a small CLIP knows, in numbers: styles in unseen words on unseen photographs, retrieval both ways, objects.

Dimension key: N pictures, S styles, T texts, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from tasks.encoders.clip import ClipEncoder
from tasks.records import RequestError
from tasks.training.captions import UNSEEN_TEMPLATES, UNSEEN_WITH_OBJECT, pick
from tasks.training.data import Pictures
from tasks.training.objects import KINDS, read_label
from tasks.training.renderings.catalogue import RENDERINGS
from tasks.training.renders import Pixels, square_of, to_bytes

SIDE = 256  # of the renders, larger than those of training: styles have to be known at other sizes
SEED = 7_919  # other draws of the renderers than training's


@dataclass(frozen=True)
class ClipFigures:
    """Shares of first guesses that are right, in [0, 1]; chance is 1 over the number guessed among."""

    style_top1: float  # of every style on every photograph: mean embedding of the unseen phrasings of each
    style_top5: float
    style_top1_one_phrasing: float  # the same with one unseen phrasing at a time
    styles: int
    image_to_text_top1: float  # retrieval among as many captions (style and object) as pictures
    text_to_image_top1: float
    image_to_text_top5: float
    text_to_image_top5: float
    pairs: int
    kind_top1: float  # kind of object (`a bird`) of unrendered pictures of classes that training never saw
    kinds: int
    kind_pictures: int
    kind_most_frequent: float  # what always naming the commonest kind would score


def measure_clip(encoder: ClipEncoder, photographs: Pictures, labelled: Pictures) -> dict[str, float | int]:
    """Figures on unseen photographs (in every style) and labelled pictures (retrieval, and kinds of objects).

    RequestError where no labelled picture is of a known kind.
    """
    if not any(label and label.kind for label in map(read_label, labelled.names)):
        raise RequestError("no labelled picture is of a known kind: name a folder with such as n01443537-goldfish.jpg")
    styles, retrieval = measure_styles(encoder, photographs), measure_retrieval(encoder, labelled)
    figures = ClipFigures(**styles, **retrieval, **measure_kinds(encoder, labelled))
    return {name: round(value, 4) for name, value in asdict(figures).items()}


def measure_styles(encoder: ClipEncoder, photographs: Pictures) -> dict[str, Any]:
    """Zero-shot accuracy over every rendering of every photograph."""
    views = (render_all(picture, number) for number, picture in enumerate(tqdm(photographs.images, unit="photograph")))
    return style_figures([encoder.embed_images(styles) for styles in views], embed_unseen(encoder))


def embed_unseen(encoder: ClipEncoder) -> list[Tensor]:
    """Of each style, its unseen phrasings in each of the unseen templates: TD."""
    prompts = [[t.format(style=phrase) for phrase in s.unseen for t in UNSEEN_TEMPLATES] for s in RENDERINGS]
    return [encoder.embed_texts(texts) for texts in prompts]


def style_figures(images: Sequence[Tensor], each: Sequence[Tensor]) -> dict[str, Any]:
    """Of photographs, each in all styles (SD), and the texts of those styles (TD): how often the own one is found."""
    means_SD = F.normalize(torch.stack([texts_TD.mean(0) for texts_TD in each]), dim=-1)
    ranks = torch.cat([rank_of_own(images_SD @ means_SD.T) for images_SD in images])
    single = torch.cat([single_phrasings(images_SD, each, number) for number, images_SD in enumerate(images)])
    return {
        "style_top1": float((ranks < 1).float().mean()),
        "style_top5": float((ranks < 5).float().mean()),
        "style_top1_one_phrasing": float(single.float().mean()),
        "styles": len(each),
    }


def render_all(picture: Pixels, number: int) -> list[Pixels]:
    square = square_of(picture, SIDE)
    return [
        to_bytes(style.draw(square, np.random.default_rng([SEED, number, index])))
        for index, style in enumerate(RENDERINGS)
    ]


def single_phrasings(images_SD: Tensor, each: Sequence[Tensor], number: int) -> Tensor:
    """Whether each style's render is told by one phrasing a style, drawn anew for every photograph."""
    rng = np.random.default_rng([SEED, number])
    drawn_SD = torch.stack([texts_TD[int(rng.integers(len(texts_TD)))] for texts_TD in each])
    return rank_of_own(images_SD @ drawn_SD.T) < 1


def rank_of_own(scores_NN: Tensor) -> Tensor:
    """How many others of each row are not below the one on the diagonal: neither ties nor NaN look like knowledge."""
    return (~(scores_NN < scores_NN.diagonal()[:, None])).sum(1) - 1


def measure_retrieval(encoder: ClipEncoder, labelled: Pictures) -> dict[str, Any]:
    """Each labelled picture in one style, with one caption that names both in unseen words."""
    images, texts = [], []
    for number, (picture, name) in enumerate(zip(labelled.images, labelled.names, strict=True)):
        label = read_label(name)
        if label is None:
            continue
        rng = np.random.default_rng([SEED, number])
        style = RENDERINGS[int(rng.integers(len(RENDERINGS)))]
        images.append(to_bytes(style.draw(square_of(picture, SIDE), rng)))
        texts.append(pick(UNSEEN_WITH_OBJECT, rng).format(style=pick(style.unseen, rng), object=label.words))
    scores_NT = encoder.embed_images(images) @ encoder.embed_texts(texts).T
    to_text, to_image = rank_of_own(scores_NT), rank_of_own(scores_NT.T)
    return {
        "image_to_text_top1": float((to_text < 1).float().mean()),
        "text_to_image_top1": float((to_image < 1).float().mean()),
        "image_to_text_top5": float((to_text < 5).float().mean()),
        "text_to_image_top5": float((to_image < 5).float().mean()),
        "pairs": len(texts),
    }


def measure_kinds(encoder: ClipEncoder, labelled: Pictures) -> dict[str, Any]:
    """Which kind of thing a picture shows, among all kinds; only pictures of a known kind count."""
    known = [
        (picture, label.kind)
        for picture, label in zip(labelled.images, map(read_label, labelled.names), strict=True)
        if label and label.kind
    ]
    wanted = torch.tensor([KINDS.index(kind) for _, kind in known])
    texts_TD = encoder.embed_texts([f"a photograph of {kind}" for kind in KINDS])
    guessed = (encoder.embed_images([picture for picture, _ in known]) @ texts_TD.T).argmax(1).cpu()
    return {
        "kind_top1": float((guessed == wanted).float().mean()),
        "kinds": len(KINDS),
        "kind_pictures": len(known),
        "kind_most_frequent": float(wanted.bincount().max()) / len(known),
    }
