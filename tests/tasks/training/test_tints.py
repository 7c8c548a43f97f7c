"""Photographs in one strange colour: what is true of them, and what no longer is."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2hsv

from tasks.training.captions import NONE, write_captions
from tasks.training.tints import HUES, draw_tinted
from tests.tasks.training.conftest import Drawn


def test_a_tinted_photograph_keeps_its_object_and_is_of_no_style(drawn: Drawn) -> None:
    tinted, truths = draw_tinted(drawn.renders, 12, np.random.default_rng(0))
    assert len(tinted) == len(truths) > 0
    assert (truths.style_N == NONE).all()
    assert (truths.colours_N > 0).all()
    photographs = drawn.renders.truths.rows(np.flatnonzero(drawn.renders.truths.style_N == 0))
    assert set(truths.object_N) <= set(photographs.object_N)


def test_it_is_all_in_one_colour(drawn: Drawn) -> None:
    for image in draw_tinted(drawn.renders, 12, np.random.default_rng(1))[0]:
        hue, saturation, _ = np.moveaxis(rgb2hsv(image), -1, 0)
        angles = np.deg2rad(360 * hue[saturation > 0.2])
        mean = np.exp(1j * angles).mean()
        assert abs(mean) > 0.95
        assert any(low - 15 <= (np.rad2deg(np.angle(mean)) - low) % 360 + low <= high + 15 for low, high in HUES)


def test_its_captions_claim_colours_alone(drawn: Drawn) -> None:
    _, truths = draw_tinted(drawn.renders, 12, np.random.default_rng(2))
    claims = write_captions(truths, drawn.renders.vocabulary, ("<{}>",), 1.0, np.random.default_rng(3)).claims
    assert (claims.style_N == NONE).all()
    assert (claims.colours_N == truths.colours_N).all()


def test_the_same_generator_draws_the_same(drawn: Drawn) -> None:
    first, again, other = (draw_tinted(drawn.renders, 6, np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(first) != len(other) or any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
