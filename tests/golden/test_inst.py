"""InST against numbers recorded from its authors' code; tolerances are those of the README."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.diffusion.backbone import Diffusion
from tasks.methods.inst.attention import OfficialAttention
from tasks.methods.inst.inversion import prediction_errors
from tasks.methods.inst.latents import decode_latents, encode_pictures, measure_tone, set_tone
from tasks.methods.inst.sampling import Conditions, Sampler
from tasks.methods.inst.settings import InversionSettings
from tests.golden.conftest import Fixture, Golden


class TestAttention:
    @pytest.fixture
    def attention(self, golden: Golden) -> OfficialAttention:
        layout = golden.layout("inst_attention", "attention")
        attention = OfficialAttention(768, dropout=0.05)
        attention.load_state_dict(golden.weights(layout, layout["namespace"]))
        return attention.eval()

    def test_it_has_the_authors_parameters(self, golden: Golden, attention: OfficialAttention) -> None:
        layout = golden.layout("inst_attention", "attention")
        assert sum(parameter.numel() for parameter in attention.parameters()) == layout["elements"]

    def test_words(self, golden: Golden, attention: OfficialAttention) -> None:
        tensors = golden.fixture("inst_attention").tensors
        pooled_BD = tensors["image_embedding"][:, 0]
        words_BW = attention(pooled_BD, pooled_BD[:, None])
        assert_close(words_BW[:, None], tensors["attention.single_token_out"], atol=1e-5, rtol=0)

    def test_several_tokens(self, golden: Golden, attention: OfficialAttention) -> None:
        tensors = golden.fixture("inst_attention").tensors
        tokens = tensors["tokens"]
        assert_close(attention.attn1(tokens, tokens), tensors["attention.attn1_multi_token_out"], atol=1e-5, rtol=0)
        assert_close(attention.net(attention.attend(tokens)), tensors["attention.multi_token_out"], atol=1e-5, rtol=0)

    def test_what_learns_and_what_never_does(self, golden: Golden, attention: OfficialAttention) -> None:
        fixture = golden.fixture("inst_attention")
        pooled_BD = fixture.tensors["image_embedding"][:, 0]
        attention(pooled_BD, pooled_BD[:, None]).square().mean().backward()
        named = dict(attention.named_parameters())
        norms = torch.stack([named[name].grad.norm() for name in fixture.number("grad_norm_order")])
        assert_close(norms, fixture.tensors["attention.grad_norms"], atol=1e-9, rtol=1e-4)  # those of attn1 are 0
        assert_close(attention.net[1].bias.grad, fixture.tensors["attention.grad.net.1.bias"], atol=1e-8, rtol=1e-4)


class TestPainting:
    """Two contents through the tiny model."""

    @pytest.fixture
    def numbers(self, golden: Golden) -> Fixture:
        return golden.fixture("inst_ddim")

    @pytest.fixture
    def diffusion(self, golden: Golden) -> Diffusion:
        config = json.loads((golden.folder / "inst_sd_tiny.config.json").read_text())
        networks = {"unet": UNet2DConditionModel(**config["unet"]), "vae": AutoencoderKL(**config["vae"])}
        for name, network in networks.items():
            layout = golden.layout("inst_sd_tiny", name)
            network.load_state_dict(golden.weights(layout, layout["namespace"]))
            network.eval().requires_grad_(False)
        return Diffusion("tiny", networks["unet"], networks["vae"], None, None, config["scheduler"])

    @pytest.fixture
    def latents(self, numbers: Fixture) -> Tensor:
        tensors = numbers.tensors
        deviation = (tensors["vae_logvar"] / 2).exp()
        return numbers.number("scaling_factor") * (tensors["vae_mean"] + deviation * tensors["vae_noise"])

    @pytest.fixture
    def sampler(self, diffusion: Diffusion, numbers: Fixture) -> Sampler:
        names = {"strength": "strength", "steps": "ddim_steps", "guidance": "guidance"}
        settings = InversionSettings(weights="tiny", **{name: numbers.number(key) for name, key in names.items()})
        return Sampler(diffusion, settings)

    @pytest.fixture
    def conditions(self, numbers: Fixture) -> Conditions:
        wanted_PTW = numbers.tensors["cond"]
        return Conditions(wanted_PTW, numbers.tensors["uncond"].expand_as(wanted_PTW))

    def test_latents(self, diffusion: Diffusion, numbers: Fixture) -> None:
        mean, deviation = encode_pictures(diffusion, numbers.tensors["content"] / 2 + 0.5, tiling=False)
        assert_close(mean, numbers.tensors["vae_mean"], atol=2e-5, rtol=0)
        assert_close(deviation.log() * 2, numbers.tensors["vae_logvar"], atol=2e-5, rtol=0)

    def test_times_and_their_noise(self, sampler: Sampler, numbers: Fixture) -> None:
        assert sampler.choose_timesteps().tolist() == numbers.tensors["timesteps"].tolist()
        assert_close(sampler.scheduler.alphas_cumprod, numbers.tensors["alphas_cumprod"], atol=1e-6, rtol=0)

    @torch.no_grad()
    def test_stochastic_inversion(
        self, sampler: Sampler, numbers: Fixture, latents: Tensor, conditions: Conditions
    ) -> None:
        start = sampler.add_noise(latents, numbers.tensors["eps"], sampler.choose_timesteps(), conditions)
        assert_close(start, numbers.tensors["z_T"], atol=2e-5, rtol=0)

    @torch.no_grad()
    def test_every_step_of_the_trajectory(
        self, sampler: Sampler, numbers: Fixture, conditions: Conditions, diffusion: Diffusion
    ) -> None:
        found, latents = [], numbers.tensors["z_T"]
        for time in sampler.choose_timesteps():
            latents = sampler.denoise(latents, time[None], conditions, ())
            found.append(latents)
        assert_close(torch.stack(found), numbers.tensors["trajectory"], atol=1e-3, rtol=0)
        assert_close(decode_latents(diffusion, latents, tiling=False), numbers.tensors["image"], atol=5e-4, rtol=0)

    def test_in_the_tones_of_the_painting(
        self, diffusion: Diffusion, sampler: Sampler, numbers: Fixture, latents: Tensor, conditions: Conditions
    ) -> None:
        mean, _ = encode_pictures(diffusion, numbers.tensors["style"] / 2 + 0.5, tiling=False)
        toned = set_tone(latents, *measure_tone(numbers.number("scaling_factor") * mean))
        assert_close(toned, numbers.tensors["adain.z0_adain"], atol=2e-5, rtol=0)
        painted = sampler.restyle(toned, numbers.tensors["eps"], conditions, ())
        assert_close(painted, numbers.tensors["adain.z_final"], atol=1e-3, rtol=0)

    def test_the_loss_that_words_learn_by(self, diffusion: Diffusion, numbers: Fixture, latents: Tensor) -> None:
        tensors = numbers.tensors
        cond = tensors["cond"].clone().requires_grad_()
        loss = prediction_errors(diffusion, latents, tensors["eps"], tensors["train_t"], cond).mean()
        loss.backward()
        assert_close(loss.detach(), tensors["train_loss"], atol=0, rtol=1e-5)
        expected = tensors["train_grad_cond"]
        assert_close(cond.grad, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
