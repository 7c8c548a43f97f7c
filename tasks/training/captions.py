"""Captions that claim something of a picture: its style, what it shows, its colours; and of which pictures it is true.

Dimension key: N pictures, T captions. A claim is an index, or NONE where a caption says nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.training.objects import KINDS, Label

NONE = -1
Generator = np.random.Generator
Ids = NDArray[np.int64]

STYLE_ONLY = (
    "{style}",
    "{style}",
    "{style}.",
    "a picture in the style of {style}",
    "an image that looks like {style}",
    "the look of {style}",
    "in the manner of {style}",
    "a photo turned into {style}",
    "rendered as {style}",
    "art that resembles {style}",
    "a scene done as {style}",
    "style: {style}",
    "a photo of {style}.",
    "a close-up of {style}.",
    "a cropped picture of {style}.",
    "an example of {style}",
    "{style}, full picture",
    "everything looks like {style}",
)
STYLE_AND_OBJECT = (
    "{style} of {object}",
    "{style} showing {object}",
    "{style} with {object}",
    "{object} as {style}",
    "{object} in the style of {style}",
    "{object}, {style}",
    "{object} rendered as {style}",
    "a picture of {object} that looks like {style}",
)
STYLE_AND_COLOURS = (
    "{style} in {colours}",
    "{style}, mostly {colours}",
    "{colours}, {style}",
    "{style} with {colours} tones",
)
OBJECT_ONLY = (
    "{object}",
    "a picture of {object}",
    "{object} in the picture",
    "this shows {object}",
    "a scene with {object}",
)
COLOURS_ONLY = ("mostly {colours}", "a picture in {colours}", "{colours} tones", "{colours} colours")
# For figures: no training caption follows these, apart from the bare phrase.
UNSEEN_TEMPLATES = (
    "{style}",
    "this photograph redrawn as {style}",
    "a view that could be {style}",
    "my holiday snapshot made into {style}",
    "{style}, scanned page",
    "we see {style} here",
)
UNSEEN_WITH_OBJECT = ("{style} which shows {object}", "{object} seen as {style}", "{object} made into {style}")


@dataclass(frozen=True)
class Vocabulary:
    """What can be claimed, by index: phrases of each style, labels of objects, names of colours."""

    styles: tuple[tuple[str, ...], ...]
    objects: tuple[str, ...]
    kinds: tuple[str, ...]
    colours: tuple[str, ...]


@dataclass(frozen=True)
class Truths:
    """What is true of N pictures: style, object and kind (or NONE) as indices, colours as bits.

    A picture of no style is captioned by its colours, and so must have one.
    """

    style_N: Ids
    object_N: Ids
    kind_N: Ids
    colours_N: Ids

    def __len__(self) -> int:
        return len(self.style_N)

    def join(self, other: Truths) -> Truths:
        """These pictures, then the others."""
        mine, more = (vars(truths).values() for truths in (self, other))
        return Truths(*(np.concatenate(pair) for pair in zip(mine, more, strict=True)))

    def rows(self, index: Ids) -> Truths:
        return Truths(self.style_N[index], self.object_N[index], self.kind_N[index], self.colours_N[index])


@dataclass(frozen=True)
class Captions:
    """T texts and what each claims: indices as in Truths with NONE for no claim; colours as bits, 0 for none."""

    texts: list[str]
    claims: Truths

    def true_of(self, pictures: Truths) -> NDArray[np.bool_]:
        """TN: whether all that a caption claims holds of a picture."""
        claims = self.claims
        true_TN = (claims.colours_N[:, None] & ~pictures.colours_N) == 0
        for claimed_T, fact_N in (
            (claims.style_N, pictures.style_N),
            (claims.object_N, pictures.object_N),
            (claims.kind_N, pictures.kind_N),
        ):
            true_TN &= (claimed_T[:, None] == NONE) | (claimed_T[:, None] == fact_N)
        return true_TN


def write_captions(
    truths: Truths, vocabulary: Vocabulary, frames: Sequence[str], share_framed: float, rng: Generator
) -> Captions:
    """One caption a picture, of a random part of what is true of it.

    A share of the style-only ones stands in one of the `frames` (such as CLIP's prompt templates, with `{}`).
    """
    texts, claims = [], []
    for style, thing, kind, colours in zip(
        truths.style_N, truths.object_N, truths.kind_N, truths.colours_N, strict=True
    ):
        text, claim = write_caption((int(style), int(thing), int(kind), int(colours)), vocabulary, rng)
        if claim[0] != NONE and claim[1:] == (NONE, NONE, 0) and rng.random() < share_framed:
            text = pick(frames, rng).format(pick(vocabulary.styles[style], rng))
        texts.append(text)
        claims.append(claim)
    return Captions(texts, Truths(*np.array(claims, np.int64).T))


def write_caption(
    truth: tuple[int, int, int, int], vocabulary: Vocabulary, rng: Generator
) -> tuple[str, tuple[int, int, int, int]]:
    """A text, and its claims: style, object, kind, colours."""
    style, thing, kind, colours = truth
    use_kind = kind != NONE and rng.random() < 0.5
    shows = thing != NONE
    names = [name for bit, name in enumerate(vocabulary.colours) if colours >> bit & 1]
    words = {
        "style": "" if style == NONE else pick(vocabulary.styles[style], rng),
        "object": (vocabulary.kinds[kind] if use_kind else vocabulary.objects[thing]) if shows else "",
        "colours": " and ".join(names),
    }
    thing_claim = (NONE, kind) if use_kind else (thing, NONE)
    if style == NONE:
        return pick(COLOURS_ONLY, rng).format(**words), (NONE, NONE, NONE, colours)
    draw = rng.random()
    if shows and draw < 0.35:
        return pick(STYLE_AND_OBJECT, rng).format(**words), (style, *thing_claim, 0)
    if shows and draw < 0.45:
        return pick(OBJECT_ONLY, rng).format(**words), (NONE, *thing_claim, 0)
    if names and draw > 0.92:
        return pick(COLOURS_ONLY, rng).format(**words), (NONE, NONE, NONE, colours)
    if names and draw > 0.8:
        return pick(STYLE_AND_COLOURS, rng).format(**words), (style, NONE, NONE, colours)
    return pick(STYLE_ONLY, rng).format(**words), (style, NONE, NONE, 0)


def index_labels(labels: Sequence[Label | None]) -> tuple[tuple[str, ...], Ids, Ids]:
    """Words of the objects there are, and of each picture the index of its object and of its kind."""
    words = tuple(sorted({label.words for label in labels if label}))
    known = {text: index for index, text in enumerate(words)}
    objects = [known[label.words] if label else NONE for label in labels]
    kinds = [KINDS.index(label.kind) if label and label.kind else NONE for label in labels]
    return words, np.array(objects, np.int64), np.array(kinds, np.int64)


def pick(texts: Sequence[str], rng: Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
