"""adain against numbers recorded from naoto0804/pytorch-AdaIN; tolerances are those of the fixtures' README."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.statistics import channel_statistics
from tasks.losses.perceptual import feature_loss, style_loss
from tasks.methods.adain.backbones import VggBackbone
from tasks.methods.adain.coral import measure_colors, recolor
from tasks.methods.adain.method import AdaIn, open_method
from tasks.methods.adain.settings import AdainSettings, VggWeights
from tasks.methods.base import Content, Pairs, Reference, Style
from tests.golden.conftest import Fixture, Golden

FEATURES = {"atol": 2e-5, "rtol": 0.0}
IMAGES = {"atol": 5e-5, "rtol": 0.0}
LOSSES = {"atol": 0.0, "rtol": 1e-5}
COLORS = {"atol": 1e-5, "rtol": 0.0}
CHECKPOINTS = {"vgg_normalised.pth": "weights_namespace_vgg", "decoder.pth": "weights_namespace_decoder"}


@pytest.fixture(scope="module")
def recorded(golden: Golden) -> Fixture:
    return golden.fixture("adain")


@pytest.fixture(scope="module")
def weights(golden: Golden, recorded: Fixture, save_checkpoint: Callable[..., Path]) -> VggWeights:
    """The two official checkpoints, with the recorded implementation's values, on disk."""
    paths = [
        save_checkpoint(name, golden.weights(golden.layout("adain", name), recorded.number(namespace)))
        for name, namespace in CHECKPOINTS.items()
    ]
    return VggWeights(encoder=str(paths[0]), decoder=str(paths[1]))


@pytest.fixture(scope="module")
def open_adain(weights: VggWeights) -> Callable[..., AdaIn]:
    return lambda **settings: open_method(AdainSettings(encoder="vgg", weights=weights, **settings))


@pytest.fixture(scope="module")
def backbone(open_adain: Callable[..., AdaIn]) -> VggBackbone:
    backbone = open_adain().backbone
    assert isinstance(backbone, VggBackbone)
    return backbone


def style_of(pictures_N3HW: Tensor, weights: list[float]) -> Style:
    references = [Reference(weight, picture) for weight, picture in zip(weights, pictures_N3HW, strict=True)]
    return Style("recorded", tuple(references))


def render_unclamped(method: AdaIn, content_N3HW: Tensor, style: Style) -> Tensor:
    """Through the three verbs, but for the clamp, which the recorded pictures precede."""
    with torch.inference_mode():
        content, reps = method.encode(content_N3HW), method.represent([style])
        return method.backbone.decode(method.transfer(content, reps, Pairs([0], [0], [0])))


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_weights_follow_the_recipe(golden: Golden, recorded: Fixture, name: str) -> None:
    layout = golden.layout("adain", name)
    weights = golden.weights(layout, layout["namespace"])
    for key, entry in layout["tensors"].items():
        assert golden.recipe.probe(weights[key]) == pytest.approx(entry["probe"], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["content", "style"])
def test_features_are_those_of_the_published_encoder(recorded: Fixture, backbone: VggBackbone, name: str) -> None:
    with torch.inference_mode():
        features = backbone.content_features(recorded.tensors[name])
    assert_close(features[-1], recorded.tensors[f"{name}_relu4_1"], **FEATURES)


def test_style_statistics_at_every_recorded_level(recorded: Fixture, backbone: VggBackbone) -> None:
    levels = sorted(name.removesuffix("_mean") for name in recorded.tensors if name.endswith("_mean"))
    assert levels
    with torch.inference_mode():
        features = backbone.encoder(recorded.tensors["style"])
    for level in levels:
        depth = int(level.removeprefix("style_relu")[0]) - 1
        mean_1C, deviation_1C = channel_statistics(features[depth])
        assert_close(mean_1C[0], recorded.tensors[f"{level}_mean"], **FEATURES)
        assert_close(deviation_1C[0], recorded.tensors[f"{level}_std"], **FEATURES)


def test_the_transfer_is_adaptive_instance_normalisation(recorded: Fixture, open_adain: Callable[..., AdaIn]) -> None:
    method = open_adain()
    style = style_of(recorded.tensors["style"], [1.0])
    content, reps = method.encode(recorded.tensors["content"]), method.represent([style])
    with torch.inference_mode():
        features = method.transfer(content, reps, Pairs([0], [0], [0]))
    assert_close(features[-1], recorded.tensors["adain"], **FEATURES)


def test_pictures_at_every_recorded_strength(recorded: Fixture, open_adain: Callable[..., AdaIn]) -> None:
    names = [name for name in recorded.tensors if name.startswith("image_alpha")]
    assert names
    for name in names:
        method = open_adain(strength=float(name.removeprefix("image_alpha")))
        style = style_of(recorded.tensors["style"], [1.0])
        image = render_unclamped(method, recorded.tensors["content"], style)
        assert_close(image, recorded.tensors[name], **IMAGES)


def test_mixed_statistics_are_the_authors_mixed_features(recorded: Fixture, open_adain: Callable[..., AdaIn]) -> None:
    style = style_of(recorded.tensors["interp_styles"], recorded.tensors["interp_weights"].tolist())
    image = render_unclamped(open_adain(), recorded.tensors["content"], style)
    assert_close(image, recorded.tensors["interp_image"], **IMAGES)


def test_a_style_in_the_colors_of_a_content(recorded: Fixture) -> None:
    content, style = recorded.tensors["content"][0], recorded.tensors["style"][0]
    colors = measure_colors(content)
    # The authors sum over pixels where we take the mean (NOTES.md): the same but between pictures of other sizes.
    published = replace(colors, root_33=colors.root_33 * (content.numel() / style.numel()) ** 0.5)
    recolored = recolor(style, published)
    assert_close(recolored, recorded.tensors["coral_style"], **COLORS)


def test_unpadded_networks_round_odd_sizes_up(recorded: Fixture, open_adain: Callable[..., AdaIn]) -> None:
    method = open_adain()
    reps = method.represent([style_of(recorded.tensors["style"], [1.0])])
    with torch.inference_mode():
        content = unpadded_content(method, recorded.tensors["odd_content"])
        image = method.backbone.decode(method.transfer(content, reps, Pairs([0], [0], [0])))
    assert_close(image, recorded.tensors["odd_image"], **IMAGES)


def test_training_losses(recorded: Fixture, backbone: VggBackbone) -> None:
    # The fixture's README: the losses are of the first 64 rows and columns.
    content, style = (recorded.tensors[name][..., :64, :64] for name in ("content", "style"))
    with torch.inference_mode():
        mean_1C, deviation_1C = channel_statistics(backbone.encoder(style)[-1])
        features = backbone.encoder(content)[-1]
        own_mean_1C, own_deviation_1C = channel_statistics(features)
        gain = (deviation_1C / own_deviation_1C)[..., None, None]
        target = (features - own_mean_1C[..., None, None]) * gain + mean_1C[..., None, None]
        outputs = backbone.encoder(backbone.decode([target]))
        styles = backbone.encoder(style)
    assert_close(feature_loss(outputs[-1], target), recorded.tensors["loss_content"], **LOSSES)
    assert_close(style_loss(outputs, styles), recorded.tensors["loss_style"], **LOSSES)


def unpadded_content(method: AdaIn, images_N3HW: Tensor) -> Content:
    """What `encode` gives for a size it does not have to pad, made by hand for one it would."""
    (features,) = method.backbone.content_features(images_N3HW)
    mean_NC, deviation_NC = channel_statistics(features)
    normalised = (features - mean_NC[..., None, None]) / deviation_NC[..., None, None]
    tensors = {"mean0": mean_NC, "deviation0": deviation_NC, "normalised0": normalised}
    return Content(tensors, *images_N3HW.shape[-2:])
