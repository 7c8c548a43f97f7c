"""What methods of style pictures share: prepared styles are kept while they fit; masks reach the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.local import LocalMethod, Prepared, PreparedStyles
from tasks.methods.regions import draw_cell
from tasks.methods.settings import open_method
from tests.tasks.methods.conftest import METHODS, picture, stripes

LOCAL = ("adaattn-small", "style-kernel-small", "style-kernel-vgg", "adaattn-vgg")


def representation() -> Representation:
    return Representation({"picture0": torch.zeros(3, 4, 4, dtype=torch.uint8), "weights": torch.ones(1)})


class Counting:
    """Prepares 400 bytes, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, rep: Representation) -> list[Prepared]:
        self.count += 1
        return [{"keys": torch.zeros(100)}]


def test_what_is_kept_is_not_prepared_again() -> None:
    kept, prepare, rep = PreparedStyles(1000), Counting(), representation()
    assert kept.get(rep, prepare) is kept.get(rep, prepare)
    assert prepare.count == 1


def test_bytes_are_bounded_and_the_longest_unused_goes_first() -> None:
    kept, prepare = PreparedStyles(1000), Counting()
    first, second, third = (representation() for _ in range(3))
    for rep in (first, second, first, third):  # two fit
        kept.get(rep, prepare)
    assert kept.bytes() == 800
    kept.get(first, prepare)
    assert prepare.count == 3
    kept.get(second, prepare)
    assert prepare.count == 4


def test_one_that_is_larger_than_the_bound_is_kept_while_it_is_used() -> None:
    kept, prepare, rep = PreparedStyles(0), Counting(), representation()
    kept.get(rep, prepare)
    kept.get(rep, prepare)
    assert prepare.count == 1


class Weights:
    """A backbone that shows its weights: the picture is the first reference's share."""

    def encode(self, images_NChw: Tensor) -> dict[str, Tensor]:
        return {"images": images_NChw}

    def prepare(self, picture_13HW: Tensor) -> dict[str, Tensor]:
        return {"picture": picture_13HW}

    def render(self, content: Mapping[str, Tensor], styles: Sequence[Prepared], weights_1Rhw: Tensor) -> Tensor:
        return weights_1Rhw[:, :1].expand_as(content["images"])

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        return contents_NCHW


@pytest.fixture(params=LOCAL)
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalMethod:
    opened = open_method(METHODS[request.param](tmp_path_factory.mktemp("weights")))
    assert isinstance(opened, LocalMethod)
    return opened


def render(method: LocalMethod, style: Style, image_13HW: Tensor) -> Tensor:
    return method.render(method.encode(image_13HW), method.represent([style]), Pairs([0], [0], [0]))


def test_masks_are_stretched_over_each_content(method: LocalMethod) -> None:
    shown = LocalMethod(method.settings, Weights(), torch.device("cpu"))
    masks = [draw_cell((1, 2), (0, column), 0.0) for column in range(2)]
    style = Style("s", tuple(Reference(1.0, picture(20, 20, seed)[0], mask_HW=m) for seed, m in enumerate(masks)))
    for size in ((40, 60), (33, 21)):
        share = render(shown, style, torch.zeros(1, 3, *size))
        assert share.shape == (1, 3, *size)
        assert share[..., : size[1] // 2 - 1].min() > 0.99
        assert share[..., size[1] // 2 + 2 :].max() < 0.01


def test_each_region_looks_like_its_own_style(method: LocalMethod) -> None:
    """Far from the seam a picture in two regions is nearer to the region's style than to the other's."""
    image = picture(32, 128, seed=9)
    pictures = [picture(40, 48, seed=1)[0], stripes(56, 40)]
    masks = [draw_cell((1, 2), (0, column), 0.0) for column in range(2)]
    both = Style("b", tuple(Reference(1.0, p, mask_HW=m) for p, m in zip(pictures, masks, strict=True)))
    together = render(method, both, image)
    left, right = (render(method, Style("s", (Reference(1.0, p),)), image) for p in pictures)
    for part, near, far in ((..., slice(0, 40)), left, right), ((..., slice(-40, None)), right, left):
        assert (together - near)[part].abs().mean() < 0.5 * (together - far)[part].abs().mean()
