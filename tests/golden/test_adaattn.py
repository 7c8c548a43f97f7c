"""adaattn against numbers recorded from Huage001/AdaAttN and its fork for many pictures, hywang66/AdaAttN.

Tolerances are those of the fixtures' README.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.attention import choose_tokens, shallow_keys
from tasks.encoders.statistics import normalise_channels
from tasks.losses.adaattn import content_loss, global_loss, local_loss
from tasks.methods.adaattn.backbones import AdaAttnBackbone, open_backbone, read_content, read_style
from tasks.methods.adaattn.settings import AdaattnSettings, VggWeights
from tasks.methods.adaattn.vgg import VggAdaAttN
from tests.golden.conftest import Fixture, Golden

FEATURES = {"atol": 2e-5, "rtol": 0.0}
# Normalising channels that hardly vary (a deviation of 0.003) makes rounding of features 300 times larger: our features
# in float64 are 2e-6 from the recorded ones, their keys 4e-4.
KEYS = {"atol": 1e-3, "rtol": 0.0}
ATTENDED = {"atol": 2e-3, "rtol": 0.0}
ATTENDED_FINEST = {"atol": 1e-3, "rtol": 0.0}
ATTENDED_UNION = {"atol": 5e-3, "rtol": 0.0}
IMAGES = {"atol": 1e-3, "rtol": 0.0}
LOSSES = {"atol": 0.0, "rtol": 1e-4}
# Of our names of the four checkpoints: the file, and the name of its weights' recipe.
CHECKPOINTS = {
    "encoder": ("vgg_normalised.pth", "weights_namespace_vgg"),
    "attention": ("latest_net_adaattn_3.pth", "weights_namespace_adaattn_3"),
    "transformer": ("latest_net_transformer.pth", "weights_namespace_transformer"),
    "decoder": ("latest_net_decoder.pth", "weights_namespace_decoder"),
}
RELU3_1, RELU4_1, RELU5_1 = 2, 3, 4  # levels


@pytest.fixture(scope="module")
def recorded(golden: Golden) -> Fixture:
    return golden.fixture("adaattn")


@pytest.fixture(scope="module")
def weights(golden: Golden, recorded: Fixture, save_checkpoint: Callable[..., Path]) -> VggWeights:
    """The four official checkpoints, with the recorded implementation's values, on disk."""
    paths = {
        name: save_checkpoint(file, golden.weights(golden.layout("adaattn", file), recorded.number(namespace)))
        for name, (file, namespace) in CHECKPOINTS.items()
    }
    return VggWeights(**{name: str(path) for name, path in paths.items()})


@pytest.fixture(scope="module")
def backbone(weights: VggWeights) -> AdaAttnBackbone:
    return open_backbone(AdaattnSettings(encoder="vgg", weights=weights), "cpu")


def varied(backbone: AdaAttnBackbone, **changes: object) -> AdaAttnBackbone:
    return AdaAttnBackbone(backbone.network, backbone.settings.model_copy(update=changes))


def network_of(backbone: AdaAttnBackbone) -> VggAdaAttN:
    assert isinstance(backbone.network, VggAdaAttN)
    return backbone.network


@torch.inference_mode()
def attended(backbone: AdaAttnBackbone, content_13HW: Tensor, pictures: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of the three attentions, the finest first: unpadded, all pictures alike."""
    network = backbone.network
    content, styles = backbone.encode(content_13HW), [backbone.prepare(picture) for picture in pictures]
    levels = [read_content(content, level) for level in network.levels]
    tokens = [[read_style(style, level) for level in network.levels] for style in styles]
    return network.transfer(levels, tokens, backbone.how, alike(pictures))


@torch.inference_mode()
def rendered(backbone: AdaAttnBackbone, content_13HW: Tensor, pictures: Sequence[Tensor]) -> Tensor:
    styles = [backbone.prepare(picture) for picture in pictures]
    return backbone.render(backbone.encode(content_13HW), styles, alike(pictures))


def alike(pictures: Sequence[Tensor]) -> Tensor:
    return torch.full((1, len(pictures), 1, 1), 1 / len(pictures))


def assert_recorded(
    found: Sequence[Tensor], tensors: dict[str, Tensor], prefix: str, tolerance: dict[str, float]
) -> None:
    """Every recorded attention; of relu3_1 only every second row and column is kept where tokens were left out."""
    names = [f"{prefix}.attn{level + 1}" for level in (RELU3_1, RELU4_1, RELU5_1)]
    assert any(name in tensors for name in names)
    for maps_NCHW, name in zip(found, names, strict=True):
        if name in tensors:
            thinned = maps_NCHW[..., ::2, ::2] if name.endswith("3") else maps_NCHW
            assert_close(thinned, tensors[name], **tolerance)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_weights_follow_the_recipe(golden: Golden, recorded: Fixture, name: str) -> None:
    layout = golden.layout("adaattn", CHECKPOINTS[name][0])
    weights = golden.weights(layout, layout["namespace"])
    for key, entry in layout["tensors"].items():
        assert golden.recipe.probe(weights[key]) == pytest.approx(entry["probe"], rel=1e-5, abs=1e-6)


def test_features_and_keys(golden: Golden, recorded: Fixture, backbone: AdaAttnBackbone) -> None:
    third = golden.fixture("adaattn_level3").tensors
    with torch.inference_mode():
        contents = backbone.network.content_features(recorded.tensors["content"])
        styles, _ = backbone.network.style_features(recorded.tensors["style"])
    assert_close(contents[RELU3_1], third["content_relu3_1"], **FEATURES)
    assert_close(contents[RELU4_1], recorded.tensors["content_relu4_1"], **FEATURES)
    assert_close(contents[RELU5_1], recorded.tensors["content_relu5_1"], **FEATURES)
    assert_close(styles[RELU3_1], third["style_relu3_1"], **FEATURES)
    assert_close(styles[RELU5_1], recorded.tensors["style_relu5_1"], **FEATURES)
    keys = recorded.tensors["content_key4"]
    assert_close(normalise_channels(recorded.tensors["content_relu4_1"]), keys[:, -512:], **FEATURES)
    assert_close(shallow_keys(contents, RELU4_1), keys, **KEYS)


def test_attention_over_all_tokens(golden: Golden, recorded: Fixture, backbone: AdaAttnBackbone) -> None:
    third, fourth, fifth = attended(backbone, recorded.tensors["content"], [recorded.tensors["style"]])
    assert_close(third, golden.fixture("adaattn_level3").tensors["attn3"], **ATTENDED_FINEST)
    assert_close(fourth, recorded.tensors["full.attn4"], **ATTENDED)
    assert_close(fifth, recorded.tensors["full.attn5"], **ATTENDED)
    with torch.inference_mode():
        assert_close(network_of(backbone).merge_deep(fourth, fifth), recorded.tensors["full.merged"], **IMAGES)


@pytest.mark.parametrize("megabytes", [1, 256])
def test_a_picture(recorded: Fixture, backbone: AdaAttnBackbone, megabytes: int) -> None:
    """Whatever the memory for scores."""
    bounded = varied(backbone, attention_megabytes=megabytes)
    image = rendered(bounded, recorded.tensors["content"], [recorded.tensors["style"]])
    assert_close(image, recorded.tensors["full.image"], **IMAGES)


def test_a_subset_of_tokens(golden: Golden, backbone: AdaAttnBackbone) -> None:
    fixture = golden.fixture("adaattn_subsampled")
    fewer, tensors = limited(backbone, fixture), fixture.tensors
    assert_chosen(tensors, "sub.index", "", tensors["style"], fixture)
    found = attended(fewer, tensors["content"], [tensors["style"]])
    assert_recorded(found, tensors, "sub", ATTENDED)
    with torch.inference_mode():
        assert_close(network_of(fewer).merge_deep(*found[1:]), tensors["sub.merged"], **IMAGES)
    assert_close(rendered(fewer, tensors["content"], [tensors["style"]]), tensors["sub.image"], **IMAGES)


def limited(backbone: AdaAttnBackbone, fixture: Fixture, **changes: object) -> AdaAttnBackbone:
    return varied(
        backbone,
        max_tokens=fixture.number("max_sample_level3"),
        max_tokens_deep=fixture.number("max_sample_level45"),
        token_seed=fixture.number("seed"),
        **changes,
    )


def assert_chosen(tensors: dict[str, Tensor], start: str, end: str, picture: Tensor, fixture: Fixture) -> None:
    """The very positions, in their order."""
    for level, most in ((3, "max_sample_level3"), (4, "max_sample_level45")):
        positions = (picture.shape[2] >> (level - 1)) * (picture.shape[3] >> (level - 1))
        chosen = choose_tokens(positions, fixture.number(most), fixture.number("seed"))
        assert chosen is not None
        assert torch.equal(chosen, tensors[f"{start}{level}{end}"])


@pytest.fixture(scope="module")
def fork(golden: Golden) -> Fixture:
    return golden.fixture("mmist_adaattn_multi")


def pictures_of(fork: Fixture) -> list[Tensor]:
    return [fork.tensors[name] for name in ("style0", "style1", "style2")]


def test_a_union_of_pictures(fork: Fixture, backbone: AdaAttnBackbone) -> None:
    forked, tensors = varied(backbone, epsilon=fork.number("std_eps")), fork.tensors
    found = attended(forked, tensors["content"], pictures_of(fork))
    assert_recorded(found, tensors, "multi", ATTENDED_UNION)
    with torch.inference_mode():
        assert_close(network_of(forked).merge_deep(*found[1:]), tensors["multi.merged"], **ATTENDED_UNION)
    assert_close(rendered(forked, tensors["content"], pictures_of(fork)), tensors["multi.image"], **IMAGES)


def test_a_union_of_subsets(fork: Fixture, backbone: AdaAttnBackbone) -> None:
    forked, tensors = limited(backbone, fork, epsilon=fork.number("std_eps")), fork.tensors
    for index, picture in enumerate(pictures_of(fork)):
        assert_chosen(tensors, "multi_sub.index", f".style{index}", picture, fork)
    assert_recorded(attended(forked, tensors["content"], pictures_of(fork)), tensors, "multi_sub", ATTENDED_UNION)
    assert_close(rendered(forked, tensors["content"], pictures_of(fork)), tensors["multi_sub.image"], **IMAGES)


def test_one_picture_with_either_epsilon(fork: Fixture, backbone: AdaAttnBackbone) -> None:
    """The fork's picture is met with the fork's epsilon, and the epsilon does something."""
    forked = varied(backbone, epsilon=fork.number("std_eps"))
    images = [rendered(b, fork.tensors["content"], pictures_of(fork)[:1]) for b in (forked, backbone)]
    assert_close(images[0], fork.tensors["single0.image"], **IMAGES)
    assert not torch.equal(*images)


def test_training_losses(golden: Golden, backbone: AdaAttnBackbone) -> None:
    fixture = golden.fixture("adaattn_losses")
    tensors, encoder = fixture.tensors, network_of(backbone).encoder
    with torch.inference_mode():
        outputs, contents, styles = (encoder(tensors[name]) for name in ("output", "content", "style"))
    weighed = {
        "loss_content": fixture.number("lambda_content") * content_loss(outputs, contents),
        "loss_global": fixture.number("lambda_global") * global_loss(outputs, styles),
        "loss_local": fixture.number("lambda_local") * local_loss(outputs, contents, styles),
    }
    for name, loss in weighed.items():
        assert_close(loss, tensors[name], **LOSSES)
    image = rendered(backbone, tensors["content"], [tensors["style"]])
    assert_close(image, tensors["output"], **IMAGES)


def test_a_checkpoint_saved_from_several_devices(
    backbone: AdaAttnBackbone, recorded: Fixture, golden: Golden, save_checkpoint: Callable[..., Path]
) -> None:
    """torch's DataParallel puts `module.` before each name."""
    file, namespace = CHECKPOINTS["decoder"]
    tensors = golden.weights(golden.layout("adaattn", file), recorded.number(namespace))
    prefixed = save_checkpoint("prefixed.pth", {f"module.{name}": tensor for name, tensor in tensors.items()})
    weights = backbone.settings.weights
    assert isinstance(weights, VggWeights)
    changed = weights.model_copy(update={"decoder": str(prefixed)})
    opened = open_backbone(backbone.settings.model_copy(update={"weights": changed}), "cpu")
    images = [rendered(b, recorded.tensors["content"], [recorded.tensors["style"]]) for b in (opened, backbone)]
    assert_close(*images, atol=0, rtol=0)
