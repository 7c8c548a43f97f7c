"""Captions: all that one claims holds of its own picture, and it is true of just the pictures of which it holds."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.training import captions
from tasks.training.captions import NONE, Captions, Truths, Vocabulary, index_labels, write_captions
from tasks.training.objects import KINDS, Label

# Made-up words, none part of another, so that a text shows what it speaks of.
VOCABULARY = Vocabulary(
    styles=(("zig", "zag"), ("hatch",), ("blot", "smear", "drip")),
    objects=("a gnu", "an emu", "a yak"),
    kinds=("a beast", "a fowl"),
    colours=("mauve", "ochre", "umber", "teal"),
)
KIND_OF = np.array([0, 1, NONE])  # of each object
FRAMES = ("<<{}>>", "[[{}]]")


def draw_truths(count: int, rng: np.random.Generator) -> Truths:
    """Pictures of any style; some show nothing known or have no colour that has a name."""
    objects = rng.integers(NONE, 3, count)
    kinds = np.where(objects == NONE, NONE, KIND_OF[objects])
    return Truths(rng.integers(0, 3, count), objects, kinds, rng.integers(0, 16, count))


def one(style: int = NONE, thing: int = NONE, kind: int = NONE, colours: int = 0) -> Truths:
    return Truths(*(np.array([value]) for value in (style, thing, kind, colours)))


def holds(claim: Truths, picture: Truths) -> bool:
    return bool(Captions([""], claim).true_of(picture)[0, 0])


@pytest.fixture(scope="module")
def pictures() -> Truths:
    return draw_truths(3_000, np.random.default_rng(0))


@pytest.fixture(scope="module")
def written(pictures: Truths) -> Captions:
    return write_captions(pictures, VOCABULARY, FRAMES, 0.25, np.random.default_rng(1))


def test_a_caption_is_true_of_its_own_picture(pictures: Truths, written: Captions) -> None:
    assert len(written.texts) == len(pictures) == 3_000
    for start in range(0, 3_000, 300):
        part = np.arange(start, start + 300)
        own = Captions(written.texts[start : start + 300], written.claims.rows(part)).true_of(pictures.rows(part))
        assert own.diagonal().all()


def test_some_captions_are_true_of_other_pictures_and_none_of_all(pictures: Truths, written: Captions) -> None:
    part = np.arange(300)
    true_TN = Captions(written.texts[:300], written.claims.rows(part)).true_of(pictures.rows(part))
    assert (true_TN.sum(1) > 1).any()
    assert not true_TN.all(1).any()


def test_a_text_says_what_it_claims_and_no_more(written: Captions) -> None:
    claims = written.claims
    for text, style, thing, kind, colours in zip(
        written.texts, claims.style_N, claims.object_N, claims.kind_N, claims.colours_N, strict=True
    ):
        said = [index for index, phrases in enumerate(VOCABULARY.styles) if any(p in text for p in phrases)]
        assert said == ([] if style == NONE else [style]), text
        assert [i for i, name in enumerate(VOCABULARY.objects) if name in text] == [i for i in [thing] if i != NONE]
        assert [i for i, name in enumerate(VOCABULARY.kinds) if name in text] == [i for i in [kind] if i != NONE]
        assert sum(1 << bit for bit, name in enumerate(VOCABULARY.colours) if name in text) == colours, text
        assert "{" not in text


def test_every_sort_of_claim_is_made(written: Captions) -> None:
    claims = written.claims
    style, thing, kind = claims.style_N != NONE, claims.object_N != NONE, claims.kind_N != NONE
    colours = claims.colours_N != 0
    for sort in (style & ~thing & ~kind & ~colours, style & thing, style & kind, style & colours):
        assert sort.sum() > 50
    for sort in (~style & thing, ~style & kind, ~style & colours):
        assert sort.sum() > 20
    assert not (thing & kind).any()


def test_a_style_is_claimed_in_all_of_its_phrases(written: Captions) -> None:
    for phrases in VOCABULARY.styles:
        for phrase in phrases:
            assert any(phrase in text for text in written.texts), phrase


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_frames_hold_a_share_of_the_captions_about_style_alone(pictures: Truths, share: float) -> None:
    captions = write_captions(pictures, VOCABULARY, FRAMES, share, np.random.default_rng(2))
    claims = captions.claims
    alone = (claims.object_N == NONE) & (claims.kind_N == NONE) & (claims.colours_N == 0) & (claims.style_N != NONE)
    framed = np.array([text.startswith(("<<", "[[")) for text in captions.texts])
    assert alone.sum() > 100
    assert (framed == (alone if share else False)).all()


def test_the_same_generator_writes_the_same_captions(pictures: Truths, written: Captions) -> None:
    again = write_captions(pictures, VOCABULARY, FRAMES, 0.25, np.random.default_rng(1))
    assert again.texts == written.texts
    other = write_captions(pictures, VOCABULARY, FRAMES, 0.25, np.random.default_rng(3))
    assert other.texts != written.texts


def test_a_claim_about_the_object_holds_in_any_style() -> None:
    for style in range(3):
        assert holds(one(thing=1), one(style, thing=1, kind=1, colours=5))
    assert not holds(one(thing=1), one(1, thing=0, kind=1))
    assert not holds(one(thing=1), one(1))
    assert not holds(one(style=1, thing=1), one(2, thing=1))


def test_a_claim_about_the_style_holds_for_any_object() -> None:
    assert holds(one(style=2), one(2, thing=1, kind=1, colours=3))
    assert holds(one(style=2), one(2))
    assert not holds(one(style=2), one(1, thing=1, kind=1))


def test_a_kind_is_claimed_of_every_object_of_the_kind() -> None:
    assert holds(one(kind=1), one(0, thing=1, kind=1))
    assert holds(one(kind=1), one(0, thing=2, kind=1))
    assert not holds(one(kind=1), one(0, thing=0, kind=0))
    assert not holds(one(kind=1), one(0))


def test_colours_hold_where_all_of_them_are_among_the_pictures() -> None:
    assert holds(one(colours=0b0101), one(0, colours=0b0111))
    assert holds(one(colours=0b0101), one(0, colours=0b0101))
    assert not holds(one(colours=0b0101), one(0, colours=0b0100))
    assert not holds(one(colours=0b0101), one(0))
    assert holds(one(style=1), one(1, colours=0b1000))


def test_pictures_without_a_label_have_neither_object_nor_kind() -> None:
    labels = [Label("a wolf", "a wild dog"), None, Label("an axe", None), Label("a wolf", "a wild dog")]
    words, objects, kinds = index_labels(labels)
    assert words == ("a wolf", "an axe")
    assert objects.tolist() == [0, NONE, 1, 0]
    assert kinds.tolist() == [KINDS.index("a wild dog"), NONE, NONE, KINDS.index("a wild dog")]


def test_templates_of_figures_are_not_those_of_training() -> None:
    trained = {*captions.STYLE_ONLY, *captions.STYLE_AND_OBJECT, *captions.STYLE_AND_COLOURS, *captions.OBJECT_ONLY}
    assert trained & {*captions.UNSEEN_TEMPLATES, *captions.UNSEEN_WITH_OBJECT} == {"{style}"}
