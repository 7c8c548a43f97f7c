"""Figures of a small CLIP: right guesses are counted, and neither ties nor NaN pass for them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.encoders.clip import ClipEncoder
from tasks.records import RequestError
from tasks.training.clip_figures import (
    measure_clip,
    measure_kinds,
    measure_retrieval,
    rank_of_own,
    render_all,
    single_phrasings,
    style_figures,
)
from tasks.training.data import Pictures
from tasks.training.objects import KINDS
from tasks.training.renderings.catalogue import RENDERINGS

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
PREPROCESS = {
    "size": 16, "mean": (0, 0, 0), "std": (1, 1, 1), "interpolation": "bicubic", "resize_mode": "squash",
    "fill_color": 0,
}  # fmt: skip


class Colours(nn.Module):
    """A model that embeds a picture as its mean colour, and a text as the colour that its tokens are."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = SimpleNamespace(preprocess_cfg=PREPROCESS)

    def encode_image(self, images_N3hw: Tensor) -> Tensor:
        return images_N3hw.mean((2, 3))

    def encode_text(self, tokens: Tensor) -> Tensor:
        return tokens


def encoder(colour_of: dict[str, tuple[float, float, float]]) -> ClipEncoder:
    """Knows the colours of the given words; grey is any other text."""

    def tokenize(texts: list[str]) -> Tensor:
        return torch.tensor([next((c for word, c in colour_of.items() if word in t), (1.0, 1.0, 1.0)) for t in texts])

    return ClipEncoder("colours", Colours(), tokenize, 3, "cpu")


def plain(colours: dict[str, tuple[float, float, float]]) -> Pictures:
    images = [np.full((20, 20, 3), np.multiply(colour, 255), np.uint8) for colour in colours.values()]
    return Pictures(images, list(colours), 0)


def test_the_rank_counts_what_scores_higher() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert rank_of_own(scores).tolist() == [0, 2, 1]
    assert rank_of_own(torch.eye(4)).tolist() == [0, 0, 0, 0]
    assert rank_of_own(-torch.eye(4)).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("value", [0.0, 1.0, math.nan])
def test_scores_that_are_all_the_same_are_no_right_guess(value: float) -> None:
    assert rank_of_own(torch.full((4, 4), value)).tolist() == [3, 3, 3, 3]


def test_a_single_phrasing_is_right_where_every_phrasing_is() -> None:
    each = [torch.stack([row, 0.5 * row]) for row in torch.eye(5)]
    assert single_phrasings(torch.eye(5), each, 0).tolist() == [True] * 5
    assert single_phrasings(torch.eye(5).roll(1, 0), each, 0).tolist() == [False] * 5


def test_single_phrasings_are_drawn_by_the_photographs_number() -> None:
    """One phrasing of two is right, for each style: which are drawn depends on the number alone."""
    each = [torch.stack([row, -row]) for row in torch.eye(20)]
    drawn = [single_phrasings(torch.eye(20), each, number).tolist() for number in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 0 < sum(drawn[0]) < 20


def test_a_style_is_found_where_its_texts_are_nearest() -> None:
    """Two photographs in three styles: of the second, two styles are mistaken for one another."""
    each = [torch.stack([row, row]) for row in torch.eye(3)]
    images = [torch.eye(3), torch.eye(3)[[1, 0, 2]]]
    figures = style_figures(images, each)
    assert figures["style_top1"] == figures["style_top1_one_phrasing"] == pytest.approx(4 / 6)
    assert figures["style_top5"] == 1
    assert figures["styles"] == 3


def test_kinds_are_told_from_pictures_whose_kind_is_known() -> None:
    pictures = plain(
        {
            "n01443537-goldfish.jpg": RED,
            "n01532829-house-finch.jpg": GREEN,
            "n02113712-poodle.jpg": BLUE,
            "n01440764-tench.jpg": BLUE,  # taken for a dog
            "n03100240-convertible.jpg": RED,  # of no kind
            "sunset.jpg": RED,
        }
    )
    figures = measure_kinds(encoder({"of a fish": RED, "of a bird": GREEN, "of a dog": BLUE}), pictures)
    assert figures == {
        "kind_top1": 0.75, "kinds": len(KINDS), "kind_pictures": 4, "kind_most_frequent": 0.5,
    }  # fmt: skip


def test_an_encoder_that_knows_nothing_retrieves_nothing() -> None:
    labelled = plain({"n01443537-goldfish.jpg": RED, "n01532829-finch.jpg": RED, "sunset.jpg": RED})
    figures = measure_retrieval(encoder({}), labelled)
    assert figures["pairs"] == 2
    assert figures["image_to_text_top1"] == 0
    assert figures["image_to_text_top5"] == figures["text_to_image_top5"] == 1  # of two, all are among five


def test_every_photograph_is_rendered_in_every_style_and_anew() -> None:
    picture = plain({"a": RED}).images[0]
    first, other = render_all(picture, 0), render_all(picture, 1)
    assert [view.shape for view in first] == [(256, 256, 3)] * len(RENDERINGS)
    assert not all(np.array_equal(one, another) for one, another in zip(first, other, strict=True))


def test_pictures_without_a_known_kind_are_a_request_error() -> None:
    unknown = plain({"n03100240-convertible.jpg": RED, "sunset.jpg": GREEN})
    with pytest.raises(RequestError, match="known kind"):
        measure_clip(encoder({}), unknown, unknown)
