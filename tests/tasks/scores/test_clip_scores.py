"""CLIP scores: known answers, means over references, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.images.fitting import Pixels
from tasks.methods.base import Reference, Style
from tasks.scores.clip import ClipScorer, Scores

NAMES = ("clip_text", "clip_image", "clip_content", "clip_direction")


def picture(seed: int, height: int = 40, width: int = 56) -> Pixels:
    """Coloured blocks with grain, unlike one another."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (4, 4, 3)).repeat(-(-height // 4), 0).repeat(-(-width // 4), 1)
    return (blocks[:height, :width] * 0.8 + generator.integers(0, 50, (height, width, 3))).astype(np.uint8)


def image(pixels_HWC: Pixels, weight: float = 1.0) -> Reference:
    return Reference(weight, image_CHW=torch.tensor(pixels_HWC).permute(2, 0, 1) / 255)


def style(*references: Reference) -> Style:
    return Style("some style", references)


@pytest.fixture(scope="module")
def scorer(encoder: ClipEncoder) -> ClipScorer:
    return ClipScorer(encoder, [picture(100 + i) for i in range(3)])


def score_one(scorer: ClipScorer, output: Pixels, content: Pixels, wanted: Style) -> Scores:
    return scorer.score([output], scorer.embed_contents([content]), scorer.prepare([wanted]))[0]


def unit(vector_D: Tensor) -> Tensor:
    return vector_D / vector_D.norm()


def test_an_output_that_is_its_content_scores_one_to_it_and_has_not_moved(scorer: ClipScorer) -> None:
    scores = score_one(scorer, picture(1), picture(1), style(Reference(text="ink")))
    assert scores.clip_content == pytest.approx(1, abs=1e-5)
    assert scores.clip_direction == 0


def test_a_picture_style_scores_one_to_itself(scorer: ClipScorer) -> None:
    scores = score_one(scorer, picture(2), picture(1), style(image(picture(2))))
    assert scores.clip_image == pytest.approx(1, abs=1e-5)
    assert scores.clip_content < 0.999


def test_without_a_content_an_output_is_scored_against_its_style_alone(scorer: ClipScorer) -> None:
    targets = scorer.prepare([style(image(picture(2)), Reference(text="ink"))])
    contents_PD = scorer.embed_contents([picture(1)])
    (made,), (prompted,) = (scorer.score([picture(3)], given, targets) for given in (contents_PD, None))
    assert (prompted.clip_text, prompted.clip_image) == (made.clip_text, made.clip_image)
    assert (prompted.clip_content, prompted.clip_direction) == (None, None)


def test_what_the_style_has_no_reference_for_is_none(scorer: ClipScorer) -> None:
    of_text = score_one(scorer, picture(1), picture(2), style(Reference(text="ink")))
    of_image = score_one(scorer, picture(1), picture(2), style(image(picture(3))))
    assert of_text.clip_image is None
    assert of_text.clip_text is not None
    assert of_image.clip_text is None
    assert of_image.clip_image is not None


def test_a_style_that_is_the_neutral_text_has_direction_zero(scorer: ClipScorer) -> None:
    scores = score_one(scorer, picture(1), picture(2), style(Reference(text="a photo")))
    assert scores.clip_direction == 0
    assert scores.clip_text is not None


def test_a_reference_without_direction_counts_as_zero_in_the_mean(scorer: ClipScorer) -> None:
    alone = score_one(scorer, picture(1), picture(2), style(Reference(text="ink")))
    beside = score_one(scorer, picture(1), picture(2), style(Reference(3.0, text="a photo"), Reference(text="ink")))
    assert alone.clip_direction
    assert beside.clip_direction == pytest.approx(alone.clip_direction / 4, abs=1e-6)


def test_scores_are_weighted_means_of_cosines_over_the_references(scorer: ClipScorer) -> None:
    """Computed here reference by reference, from embeddings alone."""
    output, content = picture(1), picture(2)
    pictures, texts = [(picture(3, 30, 30), 3.0), (picture(4), 1.0)], [("ink", 2.0), ("gold mosaic", 6.0)]
    wanted = style(*(image(p, w) for p, w in pictures), *(Reference(w, text=t) for t, w in texts))
    output_D, content_D, neutral_D = (
        scorer.encoder.embed_images(of).mean(0) for of in ([output], [content], scorer.neutral_images)
    )
    images_2D = scorer.encoder.embed_images([p for p, _ in pictures])
    texts_2D = scorer.encoder.embed_texts([t for t, _ in texts])
    photo_D = scorer.encoder.embed_texts(["a photo"])[0]
    directions = [unit(e - neutral_D) for e in images_2D] + [unit(e - photo_D) for e in texts_2D]
    moved_D = unit(output_D - content_D)

    scores = score_one(scorer, output, content, wanted)
    assert scores.clip_image == pytest.approx(float(0.75 * output_D @ images_2D[0] + 0.25 * output_D @ images_2D[1]))
    assert scores.clip_text == pytest.approx(float(0.25 * output_D @ texts_2D[0] + 0.75 * output_D @ texts_2D[1]))
    assert scores.clip_content == pytest.approx(float(output_D @ content_D))
    expected = sum(w * float(moved_D @ d) for w, d in zip((3, 1, 2, 6), directions, strict=True)) / 12
    assert scores.clip_direction == pytest.approx(expected, abs=1e-5)


def test_moving_all_the_way_to_the_style_from_a_neutral_content_has_direction_one(encoder: ClipEncoder) -> None:
    scorer = ClipScorer(encoder, [picture(1)])
    scores = score_one(scorer, picture(2), picture(1), style(image(picture(2))))
    assert scores.clip_direction == pytest.approx(1, abs=1e-4)


def test_a_batch_of_pairs_equals_its_pairs_one_by_one(scorer: ClipScorer) -> None:
    contents = [picture(1), picture(2, 30, 70)]
    styles = [
        style(Reference(text="ink")),
        style(image(picture(5)), Reference(2.0, text="gold")),
        style(image(picture(6))),
    ]
    pairs = [(row, index) for row in range(2) for index in range(3)]
    outputs = [picture(10 + i, 40 + i % 2, 56) for i in range(len(pairs))]
    targets, contents_ND = scorer.prepare(styles), scorer.embed_contents(contents)
    together = scorer.score(outputs, contents_ND[[row for row, _ in pairs]], [targets[index] for _, index in pairs])
    for output, (row, index), got in zip(outputs, pairs, together, strict=True):
        alone = score_one(scorer, output, contents[row], styles[index])
        for name in NAMES:
            assert getattr(got, name) == pytest.approx(getattr(alone, name), abs=1e-4), name


def test_tensors_rounded_to_eight_bits_score_as_their_bytes(scorer: ClipScorer) -> None:
    targets, contents_1D = scorer.prepare([style(image(picture(3)))]), scorer.embed_contents([picture(1)])
    bytes_1CHW = torch.tensor(picture(2)).permute(2, 0, 1)[None]
    as_array, as_bytes, as_floats = (
        scorer.score(output, contents_1D, targets) for output in ([picture(2)], bytes_1CHW, bytes_1CHW / 255)
    )
    assert as_array == as_bytes == as_floats


def test_flat_and_tiny_pictures_give_finite_scores(scorer: ClipScorer) -> None:
    white, black, dot, line = (
        np.full(shape, value, np.uint8)
        for shape, value in (((20, 20, 3), 255), ((20, 20, 3), 0), ((1, 1, 3), 127), ((1, 300, 3), 9))
    )
    targets = scorer.prepare([style(image(white), Reference(text=""))]) * 4
    rows = scorer.score([white, black, dot, line], scorer.embed_contents([white, white, black, dot]), targets)
    values = [
        getattr(row, name) for row in rows for name in ("clip_text", "clip_image", "clip_content", "clip_direction")
    ]
    assert all(math.isfinite(value) and -1 <= value <= 1 for value in values)


def test_nothing_scores_to_nothing(scorer: ClipScorer) -> None:
    assert scorer.prepare([]) == []
    assert scorer.score([], scorer.embed_contents([]), []) == []


def test_contents_and_styles_are_embedded_once_however_many_pairs_there_are(
    encoder: ClipEncoder,
) -> None:
    """Counts the pictures that pass through the network."""
    seen: list[int] = []
    visual = encoder.model.get_submodule("visual")
    hook = visual.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    try:
        scorer = ClipScorer(encoder, [picture(100)])
        targets = scorer.prepare([style(image(picture(3))), style(image(picture(4)))])
        contents_ND = scorer.embed_contents([picture(1), picture(2)])
        scorer.score([picture(5 + i) for i in range(4)], contents_ND[[0, 0, 1, 1]], targets * 2)
    finally:
        hook.remove()
    assert sorted(seen) == [1, 2, 2, 4]  # the neutral photograph, styles, contents, outputs


def test_directions_of_all_styles_are_compared_as_the_scores_of_one(scorer: ClipScorer) -> None:
    outputs, contents = [picture(1), picture(2), picture(3)], scorer.embed_contents([picture(4)] * 3)
    targets = scorer.prepare([style(Reference(text="ink")), style(image(picture(5)), Reference(2.0, text="gold leaf"))])
    cosines_SP = scorer.compare_directions(outputs, contents, targets)
    for row, target in enumerate(targets):
        scores = [score.clip_direction for score in scorer.score(outputs, contents, [target] * 3)]
        assert cosines_SP[row].tolist() == pytest.approx(scores, abs=1e-6)
    assert not torch.allclose(cosines_SP[0], cosines_SP[1], atol=1e-3)
