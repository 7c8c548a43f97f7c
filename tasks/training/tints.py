"""Photographs all in one strange colour: of no style, so that a model does not take a colour alone for one.

What is optimised through a model goes where the model was never taught: fire came out all green before this.
Dimension key: S side, C channels (RGB).
"""

from __future__ import annotations

import numpy as np
from skimage.color import hsv2rgb

from tasks.training.captions import NONE, Truths
from tasks.training.renderings.canvas import BLACK, WHITE, Generator, luminance, mix, ramp
from tasks.training.renders import Pixels, Renders, name_colours, to_bytes

# Hues in degrees that no monochrome rendering has: not sepia's and amber's, nor cyanotype's.
HUES = ((60.0, 185.0), (255.0, 375.0))


def draw_tinted(renders: Renders, count: int, rng: Generator) -> tuple[list[Pixels], Truths]:
    """At most `count` tinted photographs SS3, those whose colour has a name; their objects are true of them too."""
    photographs = np.flatnonzero(renders.truths.style_N == 0)
    chosen = rng.choice(photographs, count)
    views = renders.views_RVSS3.shape[1]
    tinted = [tint(renders.views_RVSS3[index // views, index % views], rng) for index in chosen]
    colours_N = np.array([name_colours(image) for image in tinted], np.int64)
    named = np.flatnonzero(colours_N)
    known = renders.truths.rows(chosen[named])
    return [tinted[n] for n in named], Truths(np.full(len(named), NONE), known.object_N, known.kind_N, colours_N[named])


def tint(picture_SS3: Pixels, rng: Generator) -> Pixels:
    """From black over one colour to white by luminance, flattened towards that colour by a random amount."""
    low, high = HUES[int(rng.integers(len(HUES)))]
    hue = rng.uniform(low, high) % 360 / 360
    colour = tuple(float(c) for c in hsv2rgb([hue, rng.uniform(0.55, 1), rng.uniform(0.5, 1)]))
    grey_SS = luminance(picture_SS3.astype(np.float32) / np.float32(255))
    drawn_SS3 = ramp(grey_SS, (BLACK, colour, WHITE))  # type: ignore[arg-type]
    return to_bytes(mix(drawn_SS3, colour, np.full_like(grey_SS, rng.uniform(0, 0.9))))  # type: ignore[arg-type]
