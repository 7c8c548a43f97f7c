"""Our StyleGAN3 generator gives the numbers recorded from the published one: layers, filters, pictures, gradients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.stylegan3.architecture import GeneratorConfig, LayerSpec
from tasks.encoders.stylegan3.generator import Generator
from tasks.encoders.stylegan3.layers import design_down, design_up
from tests.golden.conftest import Golden

OF_MAX = 1e-5  # of the largest magnitude: recorded with the fixtures
GRADIENT_OF_MAX = 1e-4
SPECS = ("stylegan3_t1024", "stylegan3_t14", "stylegan3_t6")
OFFICIAL = {
    "in_channels": "channels_in",
    "out_channels": "channels_out",
    "in_size": "size_in",
    "out_size": "size_out",
    "in_rate": "rate_in",
    "out_rate": "rate_out",
    "tmp_rate": "rate_between",
    "in_cutoff": "cutoff_in",
    "out_cutoff": "cutoff_out",
    "in_half_width": "half_width_in",
    "out_half_width": "half_width_out",
    "is_torgb": "colours",
}


@dataclass(frozen=True)
class Recorded:
    """A generator with recorded weights, and what it gave."""

    generator: Generator
    tensors: dict[str, Tensor]


@pytest.fixture(scope="module", params=["stylegan3_t14", "stylegan3_t6"])
def recorded(golden: Golden, request: pytest.FixtureRequest) -> Recorded:
    fixture = golden.fixture(request.param)
    return Recorded(build(fixture.number("init_kwargs"), fixture.tensors, "state."), fixture.tensors)


def build(init_kwargs: dict[str, Any], tensors: dict[str, Tensor], prefix: str) -> Generator:
    generator = Generator(GeneratorConfig.read(init_kwargs))
    state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    generator.load_state_dict(state)
    return generator.eval().requires_grad_(False)


def assert_near(actual: Tensor, expected: Tensor, of_max: float = OF_MAX) -> None:
    assert_close(actual, expected, atol=of_max * float(expected.abs().max()), rtol=0)


def read_spec(golden: Golden, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((golden.folder / f"{name}.spec.json").read_text())
    return spec


@pytest.mark.parametrize("name", SPECS)
def test_the_layers_are_the_published_ones(golden: Golden, name: str) -> None:
    spec = read_spec(golden, name)
    config = GeneratorConfig.read(spec["init_kwargs"])
    first, *layers = spec["layers"]
    assert config.rows == spec["num_ws"]
    assert first["channels"] == config.channels[0]
    assert first["size"] == [config.sizes[0]] * 2
    assert first["sampling_rate"] == config.rates[0]
    assert first["bandwidth"] == config.cutoffs[0]
    assert len(layers) == len(config.layers_table())
    for recorded, ours in zip(layers, config.layers_table(), strict=True):
        compare(recorded, ours)


def compare(recorded: dict[str, Any], ours: LayerSpec) -> None:
    for official, value in recorded.items():
        mine = getattr(ours, OFFICIAL.get(official, official))
        assert (list(mine) * 2 if official == "padding" else mine) == pytest.approx(value), (ours.name, official)


def test_the_layers_in_half_precision_are_the_published_ones() -> None:
    assert [spec.name for spec in GeneratorConfig().layers_table() if not spec.half] == [
        "L0_36_512", "L1_36_512", "L2_52_512", "L3_52_512", "L4_84_512",
    ]  # fmt: skip


def test_the_tensors_are_the_published_ones(golden: Golden) -> None:
    spec = read_spec(golden, "stylegan3_t1024")
    with torch.device("meta"):
        state = Generator(GeneratorConfig.read(spec["init_kwargs"])).state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == spec["tensors"]


def test_the_filters_are_the_published_ones(golden: Golden) -> None:
    spec = read_spec(golden, "stylegan3_t1024")
    layers = {layer.name: layer for layer in GeneratorConfig.read(spec["init_kwargs"]).layers_table()}
    assert spec["filters"]
    for key, taps in spec["filters"].items():
        _, name, kind = key.split(".")
        design = design_up if kind == "up_filter" else design_down
        assert_close(design(layers[name]), torch.tensor(taps), atol=1e-7, rtol=0)


def test_styles(recorded: Recorded) -> None:
    generator, tensors = recorded.generator, recorded.tensors
    latents_NZ = tensors["z"]
    assert_near(generator.map(latents_NZ)[:, 0], tensors["w_psi1"])
    assert_near(generator.map(latents_NZ, psi=0.7)[:, -1], tensors["w_psi0.7"])
    assert_near(generator.map(latents_NZ[:1], psi=0.7, cutoff=3), tensors["ws_psi0.7_cutoff3"])


def test_pictures_of_latents(recorded: Recorded) -> None:
    generator, tensors = recorded.generator, recorded.tensors
    assert_near(generator(tensors["z"][:2]), tensors["image_from_z_psi1"])
    assert_near(generator.synthesize(generator.map(tensors["z"][:2], psi=0.7)), tensors["image_from_z_psi0.7"])


def test_activations_pictures_and_gradients(recorded: Recorded) -> None:
    generator, tensors = recorded.generator, recorded.tensors
    names = [name.removeprefix("act.") for name in tensors if name.startswith("act.")]
    activations: dict[str, Tensor] = {}
    hooks = [
        generator.synthesis.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: activations.update({name: output.detach()})
        )
        for name in names
    ]
    ws_NLW = tensors["ws"].clone().requires_grad_()
    images_N3HW = generator.synthesize(ws_NLW)
    for hook in hooks:
        hook.remove()
    assert names
    for name in names:
        assert_near(activations[name][:1], tensors[f"act.{name}"])
    assert_near(images_N3HW, tensors["image_wplus"])
    halves_N3HW = (0.5 * F.avg_pool2d(images_N3HW, 2) + 0.5).clamp(0, 1)
    assert_near(halves_N3HW, tensors["rep_half_res_01"])
    loss = images_N3HW.square().mean()
    assert_near(loss, tensors["loss_mean_square"])
    (gradients_NLW,) = torch.autograd.grad(loss, ws_NLW)
    assert_near(gradients_NLW, tensors["grad_ws"], GRADIENT_OF_MAX)


def test_the_generator_of_a_snapshot(golden: Golden) -> None:
    fixture = golden.fixture("stylegan3_tiny_expected")
    generator = build(fixture.number("G_init_kwargs"), fixture.tensors, "G_ema.")
    ws_NLW = generator.map(fixture.tensors["forward.z"])
    assert_near(ws_NLW[:, 0], fixture.tensors["forward.w"])
    assert_near(generator.synthesize(ws_NLW), fixture.tensors["forward.image"])
