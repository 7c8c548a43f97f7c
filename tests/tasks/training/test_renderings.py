"""Renderings, palettes and textures: pictures of the right kind, drawn from a seed, and phrases that do not mix."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import astronaut
from skimage.transform import resize

from tasks.training.renderings.canvas import Picture, Rendering
from tasks.training.renderings.catalogue import PHOTOGRAPH, PHRASES, RENDERINGS, STYLES
from tasks.training.renderings.palettes import NAMED_COLOURS, PALETTES, Palette
from tasks.training.renderings.textures import TEXTURES, Texture
from tasks.training.renderings.words import WORDS

RED_AND_BLUE = (NAMED_COLOURS["red"], NAMED_COLOURS["blue"])
PLAIN = {"black": 0.0, "grey": 0.5, "white": 1.0}

each_rendering = pytest.mark.parametrize("rendering", RENDERINGS, ids=lambda rendering: rendering.name)
each_texture = pytest.mark.parametrize("texture", TEXTURES, ids=lambda texture: texture.name)
both_shapes = pytest.mark.parametrize("shape", [(64, 64), (50, 70)], ids=["square", "odd"])


@pytest.fixture(scope="module")
def photograph() -> Picture:
    """A face before a flag, a rocket and a dark suit."""
    return resize(astronaut(), (96, 96), anti_aliasing=True).astype(np.float32)


def fit(picture: Picture, shape: tuple[int, int]) -> Picture:
    return resize(picture, shape, anti_aliasing=True).astype(np.float32)


def assert_picture(picture: Picture, shape: tuple[int, int]) -> None:
    assert picture.dtype == np.float32
    assert picture.shape == (*shape, 3)
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1


@each_rendering
@both_shapes
def test_a_rendering_is_a_picture_of_the_same_shape(
    rendering: Rendering, shape: tuple[int, int], photograph: Picture
) -> None:
    picture = fit(photograph, shape)
    before = picture.copy()
    assert_picture(rendering.draw(picture, np.random.default_rng(0)), shape)
    assert np.array_equal(picture, before)


@each_rendering
def test_the_seed_alone_decides_a_rendering(rendering: Rendering, photograph: Picture) -> None:
    # At 96 pixels: on smaller pictures a handheld game's pixels cannot shrink further, whatever is drawn.
    first, again, other = (rendering.draw(photograph, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (rendering is PHOTOGRAPH)


@each_rendering
def test_all_but_the_photograph_change_the_picture(rendering: Rendering, photograph: Picture) -> None:
    change = np.abs(rendering.draw(photograph, np.random.default_rng(0)) - photograph).mean()
    assert change == 0 if rendering is PHOTOGRAPH else change > 0.02


@each_rendering
@pytest.mark.parametrize("brightness", PLAIN.values(), ids=PLAIN)
def test_a_plain_picture_can_be_rendered(rendering: Rendering, brightness: float) -> None:
    plain = np.full((48, 48, 3), brightness, np.float32)
    assert_picture(rendering.draw(plain, np.random.default_rng(0)), (48, 48))


@each_texture
@both_shapes
def test_a_texture_is_a_picture_of_its_shape_and_its_seed(texture: Texture, shape: tuple[int, int]) -> None:
    first, again, other = (texture.draw(shape, RED_AND_BLUE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert_picture(first, shape)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@each_texture
def test_a_texture_has_the_colours_asked_for(texture: Texture) -> None:
    """Both at once, so that the green, which neither has much of, stays low."""
    picture = texture.draw((96, 96), RED_AND_BLUE, np.random.default_rng(0))
    assert picture[..., 0].max() > 0.5
    assert picture[..., 2].max() > 0.5
    assert picture[..., 1].mean() < 0.3


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_a_palettes_colours_run_from_dark_to_light(palette: Palette) -> None:
    colours = np.array(palette.colours)
    assert (np.diff(colours @ [0.299, 0.587, 0.114]) >= 0).all()
    assert 0 <= colours.min() <= colours.max() <= 1


def test_there_are_many_styles_each_with_a_name_of_its_own() -> None:
    names = [style.name for style in STYLES]
    assert len(set(names)) == len(names)
    assert len(RENDERINGS) - len(PALETTES) >= 40
    assert len(TEXTURES) >= 10
    assert RENDERINGS[0] is PHOTOGRAPH


def test_no_phrase_names_two_styles() -> None:
    unseen = [phrase for style in STYLES for phrase in style.unseen]
    phrases = [phrase.lower() for phrase in (*(phrase for phrases in PHRASES for phrase in phrases), *unseen)]
    assert len(set(phrases)) == len(phrases) > 500


def test_no_unseen_phrase_is_trained_on() -> None:
    trained = {phrase.lower() for phrases in PHRASES for phrase in phrases}
    unseen = {phrase.lower() for style in STYLES for phrase in style.unseen}
    assert len(PHRASES) == len(STYLES)
    assert unseen
    assert not trained & unseen


def test_every_rendering_has_words_that_people_type_and_they_are_trained_on() -> None:
    assert WORDS.keys() == {rendering.name for rendering in RENDERINGS}
    for style, phrases in zip(STYLES, PHRASES, strict=True):
        assert phrases == style.phrases + WORDS.get(style.name, ())


def test_no_word_for_a_style_is_just_the_name_of_a_colour() -> None:
    assert not {word for words in WORDS.values() for word in words} & set(NAMED_COLOURS)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_phrases_are_plain_text_that_a_caption_can_hold(style: Rendering | Texture) -> None:
    assert len(style.phrases) >= 3
    assert len(style.unseen) >= 2
    for text in (style.name, *style.phrases, *style.unseen, *WORDS.get(style.name, ())):
        assert text.isprintable()
        assert text.isascii()
        assert text == text.strip() != ""
        assert not set("{}") & set(text)
