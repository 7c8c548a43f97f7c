"""Generators: batches, checkpoints, training's averages, precision, and the equivariances configuration R is for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import AVERAGE_BETA, Generator
from tests.tasks.encoders.stylegan3.small_generator import SMALL, SMALL_R, make_generator, make_styles


@pytest.mark.parametrize("config", [SMALL, SMALL_R])
def test_pictures_do_not_depend_on_their_batch(config: GeneratorConfig) -> None:
    generator = make_generator(config)
    ws_NLW = make_styles(generator, 3)
    with torch.no_grad():
        together_N3HW = generator.synthesize(ws_NLW)
        alone_N3HW = torch.cat([generator.synthesize(ws_1LW) for ws_1LW in ws_NLW.split(1)])
    assert together_N3HW.shape == (3, 3, config.resolution, config.resolution)
    assert_close(together_N3HW, alone_N3HW, atol=1e-5, rtol=0)
    assert float(together_N3HW.std()) > 0.05


@pytest.mark.parametrize("training", [False, True])
def test_a_checkpoint_changes_neither_pictures_nor_gradients(training: bool) -> None:
    found = []
    for checkpoint in (False, True):
        generator = make_generator().train(training)
        ws_NLW = make_styles(make_generator()).requires_grad_()
        images_N3HW = generator.synthesize(ws_NLW, checkpoint=checkpoint)
        images_N3HW.square().mean().backward()
        parameters = [parameter.grad for parameter in generator.synthesis.parameters()]
        found.append([images_N3HW, ws_NLW.grad, *parameters, *generator.buffers()])
    assert all(tensor is not None for tensor in found[0])
    for plain, checkpointed in zip(*found, strict=True):
        assert_close(plain, checkpointed)


def test_training_moves_averages_and_evaluation_does_not() -> None:
    generator = make_generator()
    before = {name: buffer.clone() for name, buffer in generator.named_buffers()}
    latents_NZ = torch.randn(4, SMALL.z_size)
    generator(latents_NZ)
    assert all(torch.equal(buffer, before[name]) for name, buffer in generator.named_buffers())
    ws_NLW = generator.train().map(latents_NZ)
    generator.synthesize(ws_NLW)
    changed = {name for name, buffer in generator.named_buffers() if not torch.equal(buffer, before[name])}
    assert changed == {name for name in before if name.endswith(("magnitude_ema", "w_avg"))}
    assert_close(generator.mapping.w_avg, (1 - AVERAGE_BETA) * ws_NLW[:, 0].mean(0).detach())


def test_a_magnitude_is_the_mean_square_of_what_goes_in() -> None:
    generator = make_generator().train()
    generator.magnitude_beta = 0.25
    ws_NLW = make_styles(generator)
    layer = generator.synthesis.layers()[0]
    generator.synthesize(ws_NLW)
    with torch.no_grad():
        expected = 0.75 * generator.synthesis.input(ws_NLW[:, 0]).square().mean() + 0.25
    assert_close(layer.magnitude_ema, expected)


def test_new_weights_are_of_an_equalised_learning_rate() -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(resolution=16, layers=6, channels_base=512, channels_max=64))
    layer = generator.synthesis.layers()[1]
    assert float(layer.weight.detach().std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(layer.affine.bias, torch.ones(64))
    assert float(generator.state_dict()["mapping.fc0.weight"].std()) == pytest.approx(100, abs=1)
    assert float(generator.synthesis.input.freqs.norm(dim=1).max()) <= generator.config.first_cutoff
    ws_NLW = generator.map(torch.randn(64, 512))
    assert float(ws_NLW.detach().square().mean()) == pytest.approx(1, abs=0.3)
    with torch.no_grad():
        assert float(generator.synthesis.input(ws_NLW[:2, 0]).square().mean()) == pytest.approx(0.5, abs=0.2)


def test_truncation_to_nothing_is_the_mean_style() -> None:
    generator = make_generator()
    generator.mapping.w_avg.normal_()
    ws_NLW = generator.map(torch.randn(2, SMALL.z_size), psi=0, cutoff=3)
    assert_close(ws_NLW[:, :3], generator.mapping.w_avg.expand(2, 3, -1))
    assert not torch.allclose(ws_NLW[:, 3], ws_NLW[:, 2])


def test_half_precision_is_of_the_high_rates_and_comes_near() -> None:
    generator = make_generator()
    assert any(spec.half for spec in SMALL.layers_table())
    ws_NLW = make_styles(generator)
    with torch.no_grad():
        exact_N3HW, near_N3HW = generator.synthesize(ws_NLW), generator.synthesize(ws_NLW, half=torch.bfloat16)
    assert near_N3HW.dtype == torch.float32
    assert 0 < float((exact_N3HW - near_N3HW).abs().max()) < 0.1 * float(exact_N3HW.abs().max())


def test_maps_follow_filters_to_another_precision_and_state() -> None:
    generator, other = make_generator(), make_generator(seed=1)
    ws_NLW = make_styles(generator)
    other.synthesis.layers()[0].up_filter.mul_(0.5)
    with torch.no_grad():
        generator.synthesize(ws_NLW)
        generator.load_state_dict(other.state_dict())
        assert torch.equal(generator.synthesize(ws_NLW), other.synthesize(ws_NLW))
        exact_N3HW = generator.double().synthesize(ws_NLW.double())
        assert_close(exact_N3HW.float(), other.synthesize(ws_NLW), atol=1e-4, rtol=0)


def move(generator: Generator, ws_NLW: Tensor, transform: list[list[float]]) -> Tensor:
    with torch.no_grad():
        generator.synthesis.input.transform.copy_(torch.tensor(transform))
        images_N3HW = generator.synthesize(ws_NLW)
        generator.synthesis.input.transform.copy_(torch.eye(3))
    return images_N3HW


def test_configuration_r_turns_with_its_input() -> None:
    generator = make_generator(SMALL_R)
    generator.synthesis.input.affine.weight.data.zero_()  # the style turns after the transform does
    ws_NLW = make_styles(generator)
    upright_N3HW = generator.synthesize(ws_NLW).detach()
    turned_N3HW = move(generator, ws_NLW, [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    expected = torch.rot90(upright_N3HW, 1, (2, 3)), torch.rot90(upright_N3HW, -1, (2, 3))
    errors = [float((turned_N3HW - image_N3HW).abs().max()) for image_N3HW in expected]
    assert min(errors) < 1e-4 * float(upright_N3HW.abs().max())
    assert max(errors) > 0.1 * float(upright_N3HW.abs().max())


@pytest.mark.parametrize("config", [SMALL, SMALL_R])
@pytest.mark.parametrize(("pixels", "most"), [(2, 1e-5), (1, 1e-3)])
def test_pictures_shift_with_their_input(config: GeneratorConfig, pixels: int, most: float) -> None:
    """By 2 pixels the layers of the lowest rate, 16 of 32, shift by a sample; by 1 they interpolate."""
    generator = make_generator(config)
    generator.synthesis.input.affine.weight.data.zero_()
    ws_NLW = make_styles(generator)
    still_N3HW = generator.synthesize(ws_NLW).detach()
    shift = pixels / config.resolution
    moved_N3HW = move(generator, ws_NLW, [[1.0, 0.0, shift], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    margin = 8
    errors = [
        float((moved_N3HW.roll(step, 3) - still_N3HW)[..., margin:-margin, margin:-margin].abs().max())
        for step in (pixels, -pixels)
    ]
    assert min(errors) < most * float(still_N3HW.abs().max())
    assert max(errors) > 0.1 * float(still_N3HW.abs().max())
