"""Pictures with what is true of them: the renders that CLIPs learn from, parts of photographs and parts of art.

Dimension key: N pictures, S side, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.losses.templates import TEMPLATES
from tasks.training.captions import NONE, Generator, Ids, Truths, Vocabulary, write_captions
from tasks.training.data import Pictures, draw_crop, step_generator
from tasks.training.renders import Pixels, Renders, name_colours

# Of art as its artist made it, which no rendering is: its own style has no name here.
ART = ("a work of art", "art", "a painting", "a work by an artist", "a picture by a painter")
PHOTOGRAPH = 0  # the style of photographs, first of the catalogue's
PHOTO_CROPS, ART_CROPS = 10, 11  # purposes of random numbers


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures SS3 (uint8), what is true of each, and the words for it."""

    images: Sequence[Pixels]
    truths: Truths
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.images)

    def write(self, index: Ids, share_framed: float, rng: Generator) -> list[str]:
        """A caption of each of these pictures, of a random part of what is true of it."""
        return write_captions(self.truths.rows(index), self.vocabulary, TEMPLATES, share_framed, rng).texts


def gather(
    renders: Renders, photographs: Pictures, art: Pictures, photo_crops: int, art_crops: int, seed: int
) -> CaptionedPictures:
    """All views of the renders, then so many parts of each photograph and of each work of art.

    A part is captioned by its kind and its colours; what the whole shows may not be in it.
    """
    side = renders.views_RVSS3.shape[2]
    views = [view_SS3 for views_VSS3 in renders.views_RVSS3 for view_SS3 in views_VSS3]
    photo_parts = draw_parts(photographs, photo_crops, side, seed, PHOTO_CROPS)
    art_parts = draw_parts(art, art_crops, side, seed, ART_CROPS)
    vocabulary = replace(renders.vocabulary, styles=(*renders.vocabulary.styles, ART))
    truths = renders.truths.join(truths_of(photo_parts, PHOTOGRAPH)).join(
        truths_of(art_parts, len(vocabulary.styles) - 1)
    )
    return CaptionedPictures([*views, *photo_parts, *art_parts], truths, vocabulary)


def draw_parts(pictures: Pictures, count: int, side: int, seed: int, purpose: int) -> list[Pixels]:
    """`count` windows SS3 of each picture, from `side` pixels to the whole short side."""
    generators = [step_generator(seed, index, purpose) for index in range(len(pictures))]
    return [
        draw_crop(image_HW3, side, rng)
        for image_HW3, rng in zip(pictures.images, generators, strict=True)
        for _ in range(count)
    ]


def truths_of(parts: Sequence[Pixels], style: int) -> Truths:
    """Of one style, with the colours that are seen."""
    nothing_N = np.full(len(parts), NONE, np.int64)
    colours_N = np.array([name_colours(part) for part in parts], np.int64)
    return Truths(np.full(len(parts), style, np.int64), nothing_N, nothing_N, colours_N)
