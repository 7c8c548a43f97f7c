from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.statistics import channel_statistics
from tasks.encoders.vgg_decoder import DoublingConvolution
from tasks.methods.adain.backbones import small_layout
from tasks.methods.adain.coral import measure_colors, recolor
from tasks.methods.adain.method import AdaIn, open_method
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base import Pairs
from tasks.records import RequestError
from tests.tasks.methods.conftest import adain_small, adain_vgg, picture, render_one, stripes, style


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> AdainSettings:
    return adain_small(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def adain(settings: AdainSettings) -> AdaIn:
    return open_method(settings)


def varied(adain: AdaIn, **changes: object) -> AdaIn:
    return open_method(adain.settings.model_copy(update=changes))


def test_the_authors_mix_of_features_is_a_mix_of_statistics(adain: AdaIn) -> None:
    """Theirs: decode(w1 t1 + w2 t2), with t the features transferred to one style alone."""
    first, second = picture(48, 64, seed=1)[0], stripes(56, 40)
    content = adain.encode(picture(32, 48, seed=4))
    reps = adain.represent([style(first), style(second), style(first, second, weights=(0.3, 0.7))])
    one, other, ours = (adain.transfer(content, reps, Pairs([0], [i], [0])) for i in range(3))
    for one_level, other_level, our_level in zip(one, other, ours, strict=True):
        assert_close(our_level, 0.3 * one_level + 0.7 * other_level, atol=1e-5, rtol=1e-5)


def test_strength_goes_from_the_contents_own_features_to_the_styles(adain: AdaIn) -> None:
    image = picture(32, 48, seed=4)
    reps, pairs = adain.represent([style(stripes(56, 40))]), Pairs([0], [0], [0])
    features = adain.backbone.content_features(image)
    none, half, full = (varied(adain, strength=s).transfer(adain.encode(image), reps, pairs) for s in (0.0, 0.5, 1.0))
    for depth, own in enumerate(features):
        mean, deviation = reps[0].tensors[f"mean{depth}"], reps[0].tensors[f"deviation{depth}"]
        assert_close(none[depth], own, atol=1e-5, rtol=1e-5)
        assert_close(half[depth], (none[depth] + full[depth]) / 2, atol=1e-5, rtol=1e-5)
        for measured, wanted in zip(channel_statistics(full[depth]), (mean, deviation), strict=True):
            assert_close(measured[0], wanted, atol=5e-3, rtol=1e-3)


def test_a_large_style_picture_is_made_smaller_and_a_small_one_left(adain: AdaIn) -> None:
    large, small = picture(90, 120, seed=1)[0], picture(30, 60, seed=1)[0]
    (whole, reduced), (small_whole, small_reduced) = (
        [varied(adain, style_size=size).represent([style(image)])[0].tensors["mean0"] for size in (128, 64)]
        for image in (large, small)
    )
    assert not torch.equal(whole, reduced)
    assert torch.equal(small_whole, small_reduced)
    (kept,) = varied(adain, style_size=64, preserve_color=True).represent([style(large)])
    assert kept.tensors["picture0"].shape == (3, 48, 64)


def test_colors_are_kept_by_recoloring_each_style_for_each_content(adain: AdaIn) -> None:
    """By hand: recolour, then the method without `preserve_color`."""
    keeping = varied(adain, preserve_color=True)
    first, second = stripes(40, 56), (picture(48, 32, seed=2)[0] * 255).round() / 255
    contents = picture(32, 48, seed=4, count=2)
    reps = keeping.represent([style(first, second, weights=(1.0, 3.0))])
    pictures = keeping.render(keeping.encode(contents), reps, Pairs([0, 1], [0, 0], [0, 0]))
    for content, output in zip(contents, pictures, strict=True):
        colors = measure_colors(content)
        recolored = style(recolor(first, colors), recolor(second, colors), weights=(1.0, 3.0))
        (rep,) = adain.represent([recolored])
        assert_close(output[None], render_one(adain, content[None], rep), atol=1e-4, rtol=0)


def test_recoloring_gives_the_contents_colors() -> None:
    content, recolored_from = picture(60, 90, seed=1)[0], picture(31, 45, seed=2)[0]
    recolored = recolor(recolored_from, measure_colors(content))
    wanted, got = content.flatten(1), recolored.flatten(1)
    assert_close(got.mean(1), wanted.mean(1), atol=1e-4, rtol=0)
    assert_close(got.cov(), wanted.cov(), atol=2e-3, rtol=0.05)


def test_a_larger_content_adds_no_contrast_to_a_recolored_style() -> None:
    """The authors' sum over pixels, not divided by their number, would double it here."""
    small, style_picture = picture(30, 40, seed=1)[0], picture(30, 40, seed=2)[0]
    large = small.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    expected, got = (recolor(style_picture, measure_colors(content)) for content in (small, large))
    assert_close(got, expected, atol=2e-3, rtol=0)


def test_settings_with_the_same_weights_share_their_networks(adain: AdaIn) -> None:
    assert varied(adain, strength=0.5).backbone is adain.backbone


def test_foreign_weights_are_refused_by_name(adain: AdaIn, tmp_path: Path) -> None:
    vgg = adain_vgg(tmp_path)
    assert vgg.weights is not None
    with pytest.raises(RequestError, match=r"not the weights of adain's small network: the tensor \S+ is missing"):
        open_method(AdainSettings(weights=str(tmp_path / "decoder.pth")))
    swapped = vgg.model_copy(update={"weights": vgg.weights.model_copy(update={"decoder": vgg.weights.encoder})})  # type: ignore[union-attr]
    with pytest.raises(RequestError, match=r"AdaIN's decoder \(decoder\.pth\): the tensor 1\.weight is missing"):
        open_method(swapped)


def test_half_precision_weights_open_as_single(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in small_layout().items()}
    save_file(tensors, tmp_path / "half.safetensors")
    method = open_method(AdainSettings(weights=str(tmp_path / "half.safetensors")))
    (rep,) = method.represent([style(stripes(16, 16))])
    assert render_one(method, picture(16, 16, seed=1), rep).dtype == torch.float32


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_folded_doubling_is_doubling_then_convolving(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(5, 4, 3, 3, generator=generator), torch.randn(5, generator=generator)
    features = torch.randn(2, 4, 2, 7, generator=generator).contiguous(memory_format=layout)
    doubled = F.pad(F.interpolate(features, scale_factor=2, mode="nearest"), (1, 1, 1, 1), mode="reflect")
    folded = DoublingConvolution(weight, bias)(features)
    assert_close(folded, F.conv2d(doubled, weight, bias), atol=1e-5, rtol=1e-5)
    assert folded.is_contiguous(memory_format=layout)
