"""What methods of style pictures share: prepared styles are kept while they fit; masks reach the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.local import LocalMethod, Prepared, PreparedStyles
from tasks.methods.settings import open_method
from tests.tasks.methods.conftest import METHODS, picture

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

    def render(
        self,
        content: Mapping[str, Tensor],
        styles: Sequence[Prepared],
        weights_PRhw: Tensor,
        strengths_P: Tensor | None = None,
    ) -> Tensor:
        return weights_PRhw[:, :1].expand_as(content["images"])

    def stylize(self, contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
        return contents_NCHW


@pytest.fixture(params=LOCAL)
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalMethod:
    opened = open_method(METHODS[request.param](tmp_path_factory.mktemp("weights")))
    assert isinstance(opened, LocalMethod)
    return opened


def test_regions_reach_the_networks_output_by_output(method: LocalMethod) -> None:
    shown = LocalMethod(method.settings, Weights(), torch.device("cpu"))
    style = Style("s", tuple(Reference(1.0, picture(20, 20, seed)[0]) for seed in range(2)), composite=True)
    left = (torch.arange(60) < 30).float().expand(40, 60)
    shares = torch.stack([left, 1 - left])
    pairs = Pairs([0, 1, 0], [0, 0, 0], [0, 0, 0], [shares, shares.flip(0), None])
    share = shown.render(shown.encode(torch.zeros(2, 3, 40, 60)), shown.represent([style]), pairs)
    assert torch.equal(share[0], left.expand(3, 40, 60))
    assert torch.equal(share[1], 1 - share[0])
    assert torch.equal(share[2], torch.full((3, 40, 60), 0.5))
