"""Several styles on one picture, for every method that has regions; and the weights of positions behind it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.methods.base import Method, Pairs, Reference, Representation, Style
from tasks.methods.regions import blend_pictures, render_apart, rows_of, shrink_weights, weigh_positions
from tasks.methods.settings import MethodSettings
from tests.tasks.methods.conftest import picture, stripes, style

CPU = torch.device("cpu")
WEIGHTS = torch.tensor([0.25, 0.75])
FIRST, SECOND = picture(48, 64, seed=1)[0], stripes(56, 40)


def halves(height: int, width: int) -> Tensor:
    """Shares of two references: the left half the first's, the right half the second's."""
    left_W = (torch.arange(width) < width / 2).float().expand(height, width)
    return torch.stack([left_W, 1 - left_W])


def weigh(*regions: Tensor | None, size: tuple[int, int] = (16, 24)) -> Tensor:
    return weigh_positions(WEIGHTS, regions, size, 8, CPU)


def test_without_regions_weights_are_the_same_everywhere() -> None:
    assert_close(weigh(None, None), WEIGHTS.reshape(1, 2, 1, 1))
    assert weigh().shape == (1, 2, 1, 1)


def test_outputs_that_share_regions_share_weights() -> None:
    shares = halves(16, 24)
    assert weigh(shares, shares, shares).shape == (1, 2, 16, 24)
    mixed = weigh(shares, None, shares.flip(2))
    assert mixed.shape == (3, 2, 16, 24)
    assert_close(mixed[0, :, 0, 0], torch.tensor([1.0, 0.0]))
    assert_close(mixed[1], WEIGHTS[:, None, None].expand(2, 16, 24))
    assert torch.equal(rows_of(mixed, slice(2, 3))[0], shares.flip(2))
    assert len(rows_of(weigh(shares, shares), slice(1, 2))) == 1


def test_weights_follow_the_contents_padding() -> None:
    weights = weigh(halves(11, 13), size=(11, 13))
    assert weights.shape == (1, 2, 16, 16)
    assert_close(weights[..., 13], weights[..., 11])  # mirrored at the content's edge


def test_shrunk_weights_are_means_of_what_they_cover() -> None:
    small = shrink_weights(weigh(halves(16, 24)), (2, 3))
    assert_close(small.sum(1), torch.ones(1, 2, 3))
    assert_close(small[0, 0, 0], torch.tensor([1.0, 0.5, 0.0]))
    assert shrink_weights(weigh(None), (2, 3)).shape == (1, 2, 2, 3)


def test_pairs_with_regions_are_rendered_apart_and_come_in_their_order() -> None:
    shares = halves(4, 6)

    def fill(value: float, some: Pairs) -> Tensor:
        return torch.stack([torch.full((3, 4, 6), value + seed) for seed in some.seeds])

    def render(*regions: Tensor | None) -> list[float]:
        pairs = Pairs([0] * len(regions), [0] * len(regions), range(len(regions)), regions)
        made = render_apart(pairs, plain=lambda some: fill(0, some), composite=lambda some: fill(10, some))
        return made[:, 0, 0, 0].tolist()

    assert render(None, shares, None, shares) == [0, 11, 2, 13]
    assert render(shares, shares) == [10, 11]
    assert render(None, None) == [0, 1]


def test_whole_pictures_are_blended_by_their_shares() -> None:
    rendered: list[int] = []

    def render(reference: int) -> Tensor:
        rendered.append(reference)
        return torch.full((2, 3, 4, 6), float(reference + 1))

    shares = torch.zeros(2, 3, 4, 6)
    shares[:, 0], shares[:, 2] = 0.25, 0.75  # the second reference counts nowhere
    assert_close(blend_pictures(render, shares), torch.full((2, 3, 4, 6), 2.5))
    assert rendered == [0, 2]


@pytest.fixture(scope="module")
def composite(settings: MethodSettings, method: Method) -> list[Representation]:
    """A composite style of two pictures, and each of them alone."""
    if not settings.accepts_masks:
        pytest.skip(f"{settings.name} has no regions")
    both = Style("both", (Reference(1.0, FIRST), Reference(3.0, SECOND)), composite=True)
    return method.represent([both, style(FIRST), style(SECOND)])


def render(method: Method, image_13HW: Tensor, rep: Representation, shares_RHW: Tensor | None = None) -> Tensor:
    return method.render(method.encode(image_13HW), [rep], Pairs([0], [0], [0], [shares_RHW]))


def test_a_reference_that_has_the_whole_content_is_alone(method: Method, composite: list[Representation]) -> None:
    image, everywhere = picture(40, 56, seed=4), torch.ones(40, 56)
    both, *alone = composite
    for place, rep in enumerate(alone):
        shares = torch.stack([everywhere * (place == 0), everywhere * (place == 1)])
        assert_close(render(method, image, both, shares), render(method, image, rep), atol=1e-4, rtol=0)


def test_each_half_looks_like_its_own_style(method: Method, composite: list[Representation]) -> None:
    """Far from the seam a picture in two halves is nearer to the half's style than to the other's."""
    image = picture(32, 128, seed=9)
    together = render(method, image, composite[0], halves(32, 128))
    left, right = (render(method, image, rep) for rep in composite[1:])
    assert (left - right).abs().mean() > 1e-3
    for part, near, far in ((slice(0, 40), left, right), (slice(-40, None), right, left)):
        assert (together - near)[..., part].abs().mean() < 0.5 * (together - far)[..., part].abs().mean()


def test_without_regions_a_composite_style_is_a_mixture(method: Method, composite: list[Representation]) -> None:
    image = picture(33, 40, seed=5)
    # Of two parts, which a method that inverts all of a style together keeps apart.
    parts = (Reference(1.0, FIRST, part=0), Reference(3.0, SECOND, part=1))
    (mixture,) = method.represent([Style("mixture", parts)])
    assert_close(render(method, image, composite[0]), render(method, image, mixture), atol=1e-4, rtol=0)


def test_regions_of_each_output_of_a_batch_are_its_own(method: Method, composite: list[Representation]) -> None:
    images, shares = picture(33, 40, seed=6, count=3), halves(33, 40)
    wholes: list[tuple[int, int, Tensor | None]] = [
        (0, 0, shares),
        (1, 0, shares.flip(2)),
        (2, 1, None),
        (0, 0, shares.flip(0)),
        (1, 0, shares),
    ]
    rows, of, regions = zip(*wholes, strict=True)
    content = method.encode(images)
    together = method.render(content, composite, Pairs(rows, of, [0] * len(rows), regions))
    for place, (row, index, region) in enumerate(wholes):
        alone = render(method, images[row : row + 1], composite[index], region)
        assert_close(together[place : place + 1], alone, atol=1 / 255, rtol=0)
    assert (together[0] - together[3]).abs().mean() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (40, 3000)], ids=str)
def test_regions_of_any_size_do_no_harm(method: Method, composite: list[Representation], size: tuple[int, int]) -> None:
    rendered = render(method, torch.ones(1, 3, *size), composite[0], halves(*size))
    assert rendered.shape == (1, 3, *size)
    assert bool(rendered.isfinite().all())
