"""Renders: drawn once and found again, decided by pictures and settings alone, and known for what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.training.captions import NONE
from tasks.training.data import load_pictures
from tasks.training.objects import KINDS
from tasks.training.renderings.catalogue import PHRASES, RENDERINGS
from tasks.training.renderings.palettes import NAMED_COLOURS
from tasks.training.renders import (
    APART,
    COLOUR_NAMES,
    Pixels,
    Renders,
    RenderSettings,
    Source,
    digest,
    draw_row,
    draw_texture,
    name_colours,
    open_renders,
    square_of,
    take_views,
    to_bytes,
)
from tests.tasks.training.conftest import Drawn

SETTINGS = RenderSettings(views=6, side=40)
ROWS = 2 + 1 + 2  # photographs, art, textures
BLOCKS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8).repeat(12, 0).repeat(12, 1)
PHOTOGRAPH = Source(BLOCKS, "a.jpg", photograph=True)


@pytest.fixture
def renders(drawn: Drawn) -> Renders:
    return drawn.renders


def style_RV(renders: Renders) -> np.ndarray:
    return renders.truths.style_N.reshape(ROWS, 6)


def test_every_picture_has_its_views_and_what_is_true_of_them(renders: Renders) -> None:
    assert renders.views_RVSS3.shape == (ROWS, 6, 40, 40, 3)
    assert renders.views_RVSS3.dtype == np.uint8
    assert len(renders) == ROWS
    assert len(renders.truths) == ROWS * 6
    assert renders.vocabulary.styles == PHRASES
    assert renders.vocabulary.objects == ("a goldfish", "a poodle")
    assert renders.truths.object_N[::6].tolist() == [0, NONE, 1, NONE, NONE]
    fish, dog = KINDS.index("a fish"), KINDS.index("a dog")
    assert renders.truths.kind_N.reshape(ROWS, 6).tolist() == [[kind] * 6 for kind in (fish, NONE, dog, NONE, NONE)]


def test_a_photographs_first_view_is_the_photograph_and_the_others_are_not(drawn: Drawn) -> None:
    renders = drawn.renders
    for row, picture in enumerate(load_pictures([drawn.photos]).images):
        itself = to_bytes(square_of(picture, 40))
        assert np.array_equal(renders.views_RVSS3[row, 0], itself)
        assert not any(np.array_equal(view, itself) for view in renders.views_RVSS3[row, 1:])
    assert (style_RV(renders)[:2] == 0).sum(1).tolist() == [1, 1]


def test_views_drawn_larger_are_as_large_as_the_others() -> None:
    views_VSS3, styles, _ = draw_row(replace(SETTINGS, scales=(2.0,)), 0, PHOTOGRAPH)
    assert views_VSS3.shape == (6, 40, 40, 3)
    plain_VSS3, same, _ = draw_row(SETTINGS, 0, PHOTOGRAPH)
    assert styles.tolist() == same.tolist()
    assert np.abs(views_VSS3[0].astype(int) - plain_VSS3[0]).mean() < 8  # the photograph itself
    assert not np.array_equal(views_VSS3[1:], plain_VSS3[1:])


def test_art_is_never_called_a_photograph(drawn: Drawn) -> None:
    itself = to_bytes(square_of(load_pictures([drawn.art]).images[0], 40))
    assert (style_RV(drawn.renders)[2] > 0).all()
    assert not any(np.array_equal(view, itself) for view in drawn.renders.views_RVSS3[2])


def test_views_of_a_picture_are_all_in_different_styles_and_textures_in_theirs(renders: Renders) -> None:
    assert all(len(set(styles)) == 6 for styles in style_RV(renders)[:3])
    assert (style_RV(renders)[:3] < len(RENDERINGS)).all()
    assert (style_RV(renders)[3:] >= len(RENDERINGS)).all()
    assert (style_RV(renders)[3:] < len(PHRASES)).all()


def test_textures_are_drawn_in_two_colours_that_have_a_name(renders: Renders) -> None:
    colours = renders.truths.colours_N.reshape(ROWS, 6)[3:].ravel()
    assert [int(bits).bit_count() for bits in colours] == [2] * 12
    assert (colours < 1 << len(COLOUR_NAMES)).all()


def test_renders_are_found_again(drawn: Drawn) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in drawn.folder.iterdir()}
    assert len(before) == 2
    again = open_renders(load_pictures([drawn.photos]), load_pictures([drawn.art]), drawn.settings, drawn.folder)
    assert {path.name: path.stat().st_mtime_ns for path in drawn.folder.iterdir()} == before
    assert np.array_equal(again.views_RVSS3, drawn.renders.views_RVSS3)
    assert np.array_equal(again.truths.style_N, drawn.renders.truths.style_N)


def test_the_files_hold_what_a_row_is_drawn_as(drawn: Drawn) -> None:
    sources = [*load_pictures([drawn.photos]).images, *load_pictures([drawn.art]).images, None]
    for row, picture in enumerate(sources):
        views, styles, _ = draw_row(drawn.settings, row, Source(picture, photograph=row < 2))
        assert np.array_equal(drawn.renders.views_RVSS3[row], views)
        assert np.array_equal(style_RV(drawn.renders)[row], styles)


def test_a_changed_picture_or_setting_makes_others() -> None:
    base = digest([PHOTOGRAPH, Source()], SETTINGS)
    assert base == digest([replace(PHOTOGRAPH), Source()], replace(SETTINGS))
    picture = BLOCKS.copy()
    picture[0, 0, 0] ^= 1
    others = [
        digest([replace(PHOTOGRAPH, picture_HW3=picture), Source()], SETTINGS),
        digest([replace(PHOTOGRAPH, name="b.jpg"), Source()], SETTINGS),
        digest([replace(PHOTOGRAPH, photograph=False), Source()], SETTINGS),
        digest([Source(), PHOTOGRAPH], SETTINGS),
        digest([PHOTOGRAPH], SETTINGS),
        *(digest([PHOTOGRAPH, Source()], replace(SETTINGS, **{name: 9})) for name in ("views", "side", "seed")),
    ]
    assert len({base, *others}) == 1 + len(others)


@pytest.mark.parametrize("source", [PHOTOGRAPH, Source(BLOCKS), Source()], ids=["photograph", "art", "textures"])
def test_a_row_is_decided_by_seed_and_place(source: Source) -> None:
    views, styles, colours = draw_row(SETTINGS, 7, source)
    again = draw_row(SETTINGS, 7, source)
    assert all(np.array_equal(one, other) for one, other in zip((views, styles, colours), again, strict=True))
    assert not np.array_equal(draw_row(SETTINGS, 8, source)[0], views)
    assert not np.array_equal(draw_row(replace(SETTINGS, seed=1), 7, source)[0], views)


def test_a_texture_shows_the_two_colours_that_it_claims() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        _, style, colours = draw_texture(32, rng)
        bits = [bit for bit in range(len(COLOUR_NAMES)) if colours >> bit & 1]
        assert tuple(bits) in APART
        assert len(RENDERINGS) <= style < len(PHRASES)


def filled(*names: str) -> Pixels:
    """As many equal stripes of named colours."""
    colours = np.array([NAMED_COLOURS[name] for name in names], np.float32)
    return to_bytes(np.broadcast_to(colours.repeat(96 // len(names), 0)[:, None], (96, 96, 3)))


@pytest.mark.parametrize("names", [(name,) for name in COLOUR_NAMES] + [("red", "blue"), ("white", "green", "black")])
def test_a_colour_is_named_where_a_good_share_is_near_it(names: tuple[str, ...]) -> None:
    assert name_colours(filled(*names)) == sum(1 << COLOUR_NAMES.index(name) for name in names)


def test_no_colour_is_named_where_there_are_many() -> None:
    assert name_colours(filled("red", "green", "blue", "white")) == 0


def test_the_square_is_the_middle_of_a_picture() -> None:
    picture = np.zeros((30, 90, 3), np.uint8)
    picture[:, 30:60] = 255
    square = square_of(picture, 30)
    assert (square.shape, square.dtype) == ((30, 30, 3), np.float32)
    assert square.min() == 1


def test_views_are_taken_with_what_is_true_of_them(renders: Renders) -> None:
    views, truths = take_views(renders, [3, 0, 2], 4, np.random.default_rng(0))
    assert len(views) == len(truths) == 12
    taken = []
    for view, style, thing in zip(views, truths.style_N, truths.object_N, strict=True):
        places = [at for at in np.ndindex(ROWS, 6) if np.array_equal(renders.views_RVSS3[at], view)]
        assert len(places) == 1
        row, number = places[0]
        assert style == style_RV(renders)[row, number]
        assert thing == renders.truths.object_N[row * 6]
        taken.append(places[0])
    assert [row for row, _ in taken] == [3] * 4 + [0] * 4 + [2] * 4
    assert len(set(taken)) == 12
