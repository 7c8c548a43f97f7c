"""The contract of DESIGN.md, held over every method alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from tasks.methods.base import Method, Pairs, PromptedMethod, Reference, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.records import RequestError
from tests.tasks.methods.conftest import picture, render_one, stripes, style

SIZES = [(37, 53), (64, 64), (1, 1), (3000, 40), (8, 200)]
CLOSE = {"atol": 1e-4, "rtol": 0.0}  # a fortieth of one level of 255
BARELY = 1e-15  # a weight that makes no difference: deviations under attention go with the root of a weight
SEEDS = (11, 12, 13, 14, 15, 16)


def assert_is_picture(images_NCHW: Tensor, size: tuple[int, int]) -> None:
    assert images_NCHW.shape[-3:] == (3, *size)
    assert images_NCHW.dtype == torch.float32
    assert torch.isfinite(images_NCHW).all()
    assert images_NCHW.min() >= 0
    assert images_NCHW.max() <= 1


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_size_in_is_size_out(method: Method, reps: Sequence[Representation], size: tuple[int, int]) -> None:
    assert_is_picture(render_one(method, picture(*size, seed=4), reps[0]), size)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(40, 24), (1, 1)], ids=str)
def test_a_content_of_one_color(
    method: Method, reps: Sequence[Representation], level: float, size: tuple[int, int]
) -> None:
    assert_is_picture(render_one(method, torch.full((1, 3, *size), level), reps[0]), size)


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (3000, 40)], ids=str)
def test_a_style_of_one_color(method: Method, size: tuple[int, int]) -> None:
    (rep,) = method.represent([style(torch.ones(3, *size))])
    assert all(torch.isfinite(tensor).all() for tensor in rep.tensors.values())
    assert_is_picture(render_one(method, picture(24, 40, seed=4), rep), (24, 40))


def test_styles_differ(method: Method, reps: Sequence[Representation]) -> None:
    """Without this, a method that gave always the same picture would keep the rest of the contract."""
    image = picture(40, 48, seed=4)
    first, second = (render_one(method, image, rep) for rep in reps)
    assert (first - second).abs().mean() > 20 * CLOSE["atol"]
    assert first.std() > 0.01


def test_a_batch_equals_its_images_one_by_one(method: Method, reps: Sequence[Representation]) -> None:
    images = picture(37, 53, seed=5, count=3)
    batch = method.render(method.encode(images), reps, Pairs([0, 1, 2], [0, 0, 0], SEEDS[:3]))
    alone = [render_one(method, image[None], reps[0], seed) for image, seed in zip(images, SEEDS, strict=False)]
    assert_close(batch, torch.cat(alone), **CLOSE)


def test_many_styles_on_one_image(method: Method, reps: Sequence[Representation]) -> None:
    image = picture(37, 53, seed=5)
    together = method.render(method.encode(image), reps, Pairs([0, 0], [1, 0], SEEDS[:2]))
    assert_close(together[:1], render_one(method, image, reps[1], SEEDS[0]), **CLOSE)
    assert_close(together[1:], render_one(method, image, reps[0], SEEDS[1]), **CLOSE)


def test_any_mixture_of_pairs_equals_its_pairs(method: Method, reps: Sequence[Representation]) -> None:
    images = picture(24, 40, seed=6, count=3)
    rows, styles = [2, 0, 2, 1, 0, 2], [0, 1, 1, 0, 0, 0]
    mixture = method.render(method.encode(images), reps, Pairs(rows, styles, SEEDS))
    for output, row, index, seed in zip(mixture, rows, styles, SEEDS, strict=True):
        assert_close(output[None], render_one(method, images[row : row + 1], reps[index], seed), **CLOSE)


def test_the_order_of_pairs_changes_nothing(method: Method, reps: Sequence[Representation]) -> None:
    content = method.encode(picture(24, 40, seed=6, count=2))
    there = method.render(content, reps, Pairs([0, 1], [0, 1], SEEDS[:2]))
    back = method.render(content, reps, Pairs([1, 0], [1, 0], SEEDS[1::-1]))
    assert_close(there, back.flip(0), **CLOSE)


def test_rows_of_a_content_render_as_they_would_have(method: Method, reps: Sequence[Representation]) -> None:
    content = method.encode(picture(24, 40, seed=6, count=3))
    whole = method.render(content, reps, Pairs([2], [0], SEEDS[:1]))
    picked = method.render(content.rows(torch.tensor([2, 0])), reps, Pairs([0], [0], SEEDS[:1]))
    assert_close(whole, picked, **CLOSE)


def test_identical_batches_give_identical_pictures(method: Method, reps: Sequence[Representation]) -> None:
    images, pairs = picture(37, 53, seed=7, count=2), Pairs([0, 1, 1], [0, 0, 1], SEEDS[:3])
    first, second = (method.render(method.encode(images), reps, pairs) for _ in range(2))
    assert torch.equal(first, second)


def test_an_encoded_content_is_not_changed_by_rendering(method: Method, reps: Sequence[Representation]) -> None:
    content, pairs = method.encode(picture(24, 40, seed=8)), Pairs([0], [0], SEEDS[:1])
    assert torch.equal(method.render(content, reps, pairs), method.render(content, reps, pairs))


def test_a_representation_survives_the_store(
    method: Method, reps: Sequence[Representation], tmp_path: pytest.TempPathFactory
) -> None:
    path, image = f"{tmp_path}/rep.safetensors", picture(24, 40, seed=8)
    for rep in reps:
        save_file(dict(rep.tensors), path, dict(rep.metadata))
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            stored = Representation(tensors, file.metadata() or {})
        assert stored.metadata == dict(rep.metadata)
        assert torch.equal(render_one(method, image, stored), render_one(method, image, rep))


def test_weights_of_references_go_from_one_picture_to_the_other(method: Method) -> None:
    first, second = picture(40, 48, seed=1)[0], stripes(56, 40)
    image = picture(40, 48, seed=9)

    def mixed(share: float) -> Tensor:
        (rep,) = method.represent([style(first, second, weights=(1 - share, share))])
        return render_one(method, image, rep)

    ends = [render_one(method, image, rep) for rep in method.represent([style(first), style(second)])]
    between = mixed(0.5)
    assert_close(mixed(BARELY), ends[0], **CLOSE)
    assert_close(mixed(1 - BARELY), ends[1], **CLOSE)
    assert (mixed(0.501) - between).abs().max() < 0.02
    distances = [(end - between).abs().mean() for end in ends]
    assert 0 < max(distances) < (ends[0] - ends[1]).abs().mean()


def test_a_text_is_a_style_or_refused(method: Method, settings: MethodSettings) -> None:
    ink = Style("ink", (Reference(text="black ink"),))
    if not settings.accepts_texts:
        with pytest.raises(RequestError, match=r"ink.*text"):
            method.represent([ink])
        return
    image = picture(40, 48, seed=9)
    (rep,) = method.represent([ink])
    stylized = render_one(method, image, rep)
    assert_is_picture(stylized, (40, 48))
    (other,) = method.represent([Style("gold", (Reference(text="leaves of gold"),))])
    assert not torch.equal(render_one(method, image, other), stylized)
    (again,) = open_method(settings).represent([ink])
    assert_close(render_one(method, image, again), stylized, **CLOSE)


@pytest.mark.parametrize("text", ["墨絵 🌊", "x " * 2_000, "{} {0} %s </s>"], ids=["signs", "long", "braces"])
def test_no_text_is_too_strange(method: Method, settings: MethodSettings, text: str) -> None:
    if not settings.accepts_texts:
        pytest.skip("this method reads no texts")
    (rep,) = method.represent([Style("strange", (Reference(text=text),))])
    assert_is_picture(render_one(method, picture(24, 40, seed=4), rep), (24, 40))


def test_weights_go_from_a_picture_to_a_text(method: Method, settings: MethodSettings) -> None:
    if not settings.accepts_texts:
        pytest.skip("this method reads no texts")
    image, stripe = picture(40, 48, seed=9), stripes(56, 40)

    def mixed(share: float) -> Tensor:
        references = (Reference(1 - share, image_CHW=stripe), Reference(share, text="leaves of gold"))
        (rep,) = method.represent([Style("mixed", references)])
        return render_one(method, image, rep)

    (of_picture, of_text) = method.represent([style(stripe), Style("gold", (Reference(text="leaves of gold"),))])
    ends = [render_one(method, image, rep) for rep in (of_picture, of_text)]
    assert_close(mixed(BARELY), ends[0], **CLOSE)
    assert_close(mixed(1 - BARELY), ends[1], **CLOSE)
    steps = [(mixed(share) - mixed(share + 0.01)).abs().max() for share in (0.1, 0.5, 0.9)]
    assert 0 < max(steps) < 0.1


def test_prompts_are_pictures_of_their_size_alone_as_in_a_batch(
    method: Method, settings: MethodSettings, reps: Sequence[Representation]
) -> None:
    if not settings.accepts_prompts:
        pytest.skip("this method reads no prompts")
    prompted, prompts = cast(PromptedMethod, method), ["a boat", "墨絵, seen from far away"]
    rows, styles, size = [0, 1, 1, 1], [0, 0, 1, 0], (37, 53)
    batch = method.render(prompted.encode_prompts(prompts, *size), reps, Pairs(rows, styles, SEEDS[:4]))
    assert_is_picture(batch, size)
    for output, row, index, seed in zip(batch, rows, styles, SEEDS, strict=False):
        alone = method.render(prompted.encode_prompts([prompts[row]], *size), [reps[index]], Pairs([0], [0], [seed]))
        assert_close(output[None], alone, **CLOSE)
    assert (batch[1] - batch[3]).abs().max() > 20 * CLOSE["atol"], "another seed, another picture"


def test_each_pair_has_its_own_strength(
    settings: MethodSettings, method: Method, reps: Sequence[Representation]
) -> None:
    if not settings.varies_strength:
        pytest.skip("this method renders all pairs at one strength")
    content = method.encode(picture(37, 53, seed=5, count=3))
    own = float(getattr(settings, "strength"))  # noqa: B009 (not every method has one)
    rows, which, seeds = [0, 1, 2], [0, 1, 0], SEEDS[:3]
    plain = method.render(content, reps, Pairs(rows, which, seeds))
    assert_close(method.render(content, reps, Pairs(rows, which, seeds, (), [own] * 3)), plain, **CLOSE)
    mixed = method.render(content, reps, Pairs(rows, which, seeds, (), [0.0, 0.4, own]))
    for place, strength in enumerate((0.0, 0.4, own)):
        pairs = Pairs(rows[place : place + 1], which[place : place + 1], seeds[:1], (), [strength])
        assert_close(mixed[place], method.render(content, reps, pairs)[0], **CLOSE)
    assert (mixed[0] - plain[0]).abs().mean() > 5 * CLOSE["atol"]
    if "strength" in type(settings).model_fields:
        weaker = open_method(settings.model_copy(update={"strength": 0.4}))
        assert_close(mixed[1], weaker.render(content, reps, Pairs([1], [1], seeds[:1]))[0], **CLOSE)
