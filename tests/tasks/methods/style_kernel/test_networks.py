"""The networks: AdaIN at first, whatever is drawn; parts that can be turned off; an encoder that stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.attention import shallow_keys
from tasks.encoders.statistics import channel_statistics
from tasks.encoders.vgg import NormalisedVgg, normalised_layout
from tasks.encoders.vgg_decoder import VggDecoder, decoder_layout
from tasks.methods.adain.small import transfer_statistics
from tasks.methods.style_kernel.architecture import Architecture
from tasks.methods.style_kernel.network import StyleKernelNetwork, Switches
from tasks.methods.style_kernel.small import SmallStyleKernel, build_small
from tasks.methods.style_kernel.vgg import VggPyramid, VggStyleKernel, build_vgg
from tests.tasks.methods.conftest import picture, random_tensors

OFF = [Switches(gated=False), Switches(shuffled=False), Switches(taps=3), Switches(taps=1)]


def stir(network: StyleKernelNetwork) -> StyleKernelNetwork:
    """As if trained: kernels far from the identity, a gate that looks at the content, features of unit size."""
    for name, parameter in network.named_parameters():
        starts_at_zero = name.startswith("decoder.") and not parameter.any()
        if name.endswith("weight") and parameter.requires_grad and ("encoder." in name or starts_at_zero):
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    for head in network.heads:
        torch.nn.init.normal_(head.last.weight, std=0.2)
    torch.nn.init.normal_(network.alignment.gate.levels.weight, std=0.05)
    return network


@pytest.fixture
def small() -> SmallStyleKernel:
    torch.manual_seed(0)
    return SmallStyleKernel()


@pytest.fixture(scope="module")
def vgg() -> VggStyleKernel:
    torch.manual_seed(0)
    return VggStyleKernel(Architecture(taps=5, hidden=16, key_depth=32))


def contents_and_styles() -> tuple[Tensor, Tensor]:
    return picture(32, 48, seed=1, count=2), picture(40, 24, seed=2, count=2)


@torch.no_grad()
@pytest.mark.parametrize("make", [SmallStyleKernel, VggStyleKernel])
def test_at_first_it_is_adain_of_the_same_weights(make: type[StyleKernelNetwork]) -> None:
    torch.manual_seed(0)
    network = make()
    contents, styles = contents_and_styles()
    encoded, wanted = network.content_encoder(contents), (network.style_encoder or network.content_encoder)(styles)
    transferred = [transfer_statistics(encoded[d], *channel_statistics(wanted[d])) for d in network.decoded]
    expected = network.decode(transferred)
    assert_close(network(contents, styles), expected, atol=float(1e-4 * expected.std()), rtol=1e-4)
    assert torch.equal(network.reconstruct(contents), network.decode([encoded[d] for d in network.decoded]))


@torch.no_grad()
@pytest.mark.parametrize("off", OFF, ids=str)
def test_each_switch_changes_the_features_that_are_decoded(small: SmallStyleKernel, off: Switches) -> None:
    """At every depth that goes through kernels, and at no other."""
    contents, styles = contents_and_styles()
    content, style = stir(small).encode(contents), small.represent(styles)

    def render(switches: Switches) -> list[Tensor]:
        kernels = small.make_kernels(small.align(content, style, switches.gated))
        return small.stylize(content, kernels, style.statistics, switches)

    for depth, whole, changed in zip(small.decoded, render(Switches()), render(off), strict=True):
        if depth in small.convolved:
            assert (whole - changed).abs().mean() > 1e-4 * whole.std()
        else:
            assert torch.equal(whole, changed)


@torch.no_grad()
def test_a_row_does_not_depend_on_its_neighbours(small: SmallStyleKernel) -> None:
    contents, styles = contents_and_styles()
    stir(small)
    alone = torch.cat([small(contents[i : i + 1], styles[i : i + 1]) for i in range(2)])
    assert_close(small(contents, styles), alone, atol=1e-4, rtol=0)


@torch.no_grad()
def test_without_restored_statistics_convolved_features_are_decoded(small: SmallStyleKernel) -> None:
    plain = SmallStyleKernel(architecture=Architecture(restore_statistics=False, group=8))
    contents, styles = contents_and_styles()
    content, style = plain.encode(contents), plain.represent(styles)
    features = plain.stylize(content, plain.make_kernels(plain.align(content, style, True)), style.statistics, OFF[0])
    for found, normalised in zip(features, content.normalised, strict=True):
        assert_close(found, normalised)


@pytest.mark.parametrize("make", [SmallStyleKernel, VggStyleKernel])
def test_all_that_is_trained_learns(make: type[StyleKernelNetwork]) -> None:
    torch.manual_seed(0)
    network = stir(make())
    contents, styles = contents_and_styles()
    network(contents[:1], styles[:1]).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.requires_grad and not p.grad.abs().sum()]  # type: ignore[union-attr]
    # One bias for all keys shifts all scores of a query alike: a softmax does not see it, and with alpha 1 no gate.
    assert silent == [] or silent == ["alignment.key.bias"]


def test_the_compact_networks_own_file_opens_it_again(small: SmallStyleKernel) -> None:
    contents, styles = contents_and_styles()
    halves = {name: tensor.half() for name, tensor in stir(small).state_dict().items()}
    with torch.no_grad():
        opened, wide = build_small(halves), SmallStyleKernel((8, 16, 24, 32))
        assert_close(opened(contents, styles), small(contents, styles), atol=0.05, rtol=0.05)
        assert build_small(wide.state_dict())(contents, styles).shape == contents.shape
    assert not opened.training


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 48), (37, 53), (16, 16)], ids=str)
def test_levels_that_are_only_compared_are_the_same_kept_small(vgg: VggStyleKernel, size: tuple[int, int]) -> None:
    pyramid: VggPyramid = vgg.content_encoder  # type: ignore[assignment]
    images = picture(*size, seed=1)
    whole, reduced = pyramid.vgg(images), pyramid(images)
    assert {level.shape[2:] for level in reduced} == {whole[3].shape[2:]}
    assert torch.equal(reduced[3], whole[3])
    assert torch.equal(shallow_keys(reduced, 3), shallow_keys(whole, 3))


@torch.no_grad()
def test_the_plain_decoder_is_the_one_that_inference_folds(vgg: VggStyleKernel) -> None:
    tensors = vgg.decoder.state_dict()
    assert {name: list(tensor.shape) for name, tensor in tensors.items()} == decoder_layout()
    features = torch.rand(1, 512, 3, 4, generator=torch.Generator().manual_seed(0))
    assert_close(vgg.decoder(features), VggDecoder(tensors)(features), atol=1e-5, rtol=0)


def test_the_encoder_is_frozen_and_not_among_what_is_trained(vgg: VggStyleKernel) -> None:
    trained = {name for name, parameter in vgg.named_parameters() if parameter.requires_grad}
    assert trained == set(vgg.trained_tensors())
    assert {name.split(".")[0] for name in trained} == {"alignment", "heads", "decoder"}


@torch.no_grad()
def test_what_was_trained_opens_with_the_published_encoder() -> None:
    architecture = Architecture(hidden=16, key_depth=32)
    torch.manual_seed(0)
    encoder, network = random_tensors(normalised_layout()), stir(VggStyleKernel(architecture))
    assert isinstance(network, VggStyleKernel)
    network.load_encoder(encoder)
    contents, styles = contents_and_styles()
    opened = build_vgg(encoder, network.trained_tensors(), architecture)
    assert_close(opened(contents, styles), network(contents, styles), atol=1e-4, rtol=0)
    assert_close(opened.content_encoder(contents)[3], NormalisedVgg.open(encoder, 4)(contents)[3])
    assert not any(parameter.requires_grad for parameter in opened.parameters())
