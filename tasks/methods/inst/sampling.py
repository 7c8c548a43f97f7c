"""Stochastic inversion, and denoising from there: latents to latents.

Dimension key: P outputs (pairs), C channels, H and W of a latent, T tokens, W their width (in conditions_PTW), D a
guidance's embedding.

Zhang et al. (arXiv 2211.13203), section 3.3, as it is run in InST.ipynb of zyxElsa/InST @ 71a8f01: noise is added, the
U-Net says what noise it sees, and the latent starts from that noise in the place of the one that was added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, LCMScheduler, StableDiffusionImg2ImgPipeline
from torch import Tensor

from tasks.encoders.diffusion.backbone import Diffusion
from tasks.methods.bars import tell
from tasks.methods.inst.settings import SamplingSettings

Draws = Sequence[torch.Generator]  # each output's own, on the CPU: the same picture on every device
SCHEDULERS = {"ddim": DDIMScheduler, "dpm": DPMSolverMultistepScheduler, "lcm": LCMScheduler}


@dataclass(frozen=True)
class Conditions:
    """What the U-Net is told of each output, and of none of them; `images` are an IP-Adapter's embeddings, if any.

    `images` has the embeddings of none first, then the outputs', as the U-Net reads them under guidance.
    """

    wanted_PTW: Tensor
    unwanted_PTW: Tensor
    images: Tensor | None = None


class Sampler:
    """One way through the noise: a scheduler of its own, so that calls do not meet."""

    def __init__(self, diffusion: Diffusion, settings: SamplingSettings) -> None:
        self.diffusion, self.settings = diffusion, settings
        self.scheduler: Any = SCHEDULERS[settings.sampler].from_config(diffusion.scheduler)

    @torch.inference_mode()
    def restyle(self, latents_PCHW: Tensor, noise_PCHW: Tensor, conditions: Conditions, seeds: Draws) -> Tensor:
        """Latents of contents to latents of outputs; at `strength` 0 as they are."""
        timesteps = self.choose_timesteps()
        if not len(timesteps):
            return latents_PCHW
        noisy_PCHW = self.add_noise(latents_PCHW, noise_PCHW, timesteps, conditions)
        return self.denoise(noisy_PCHW, timesteps, conditions, seeds)

    @torch.inference_mode()
    def paint(self, noise_PCHW: Tensor, conditions: Conditions, seeds: Draws) -> Tensor:
        """Latents of outputs from noise alone, over all steps."""
        self.scheduler.set_timesteps(self.settings.steps, device=noise_PCHW.device)
        start_PCHW = noise_PCHW * self.scheduler.init_noise_sigma
        return self.denoise(start_PCHW, self.scheduler.timesteps, conditions, seeds)

    def choose_timesteps(self) -> Tensor:
        """The last `strength` of the steps, from the noisiest on; LCM's are spread over that part."""
        steps, strength = self.settings.steps, self.settings.strength
        kept = min(int(steps * strength), steps)
        if self.settings.sampler == "lcm" and kept:
            self.scheduler.set_timesteps(steps, device=self.diffusion.device, strength=strength)
            timesteps: Tensor = self.scheduler.timesteps
            return timesteps
        self.scheduler.set_timesteps(steps, device=self.diffusion.device)
        start = (steps - kept) * self.scheduler.order
        if hasattr(self.scheduler, "set_begin_index"):  # those that count their steps
            self.scheduler.set_begin_index(start)
        timesteps = self.scheduler.timesteps[start:]
        return timesteps

    def add_noise(self, latents_PCHW: Tensor, noise_PCHW: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        """Where denoising starts: latents with the noise that was drawn, or with what the U-Net sees of it.

        At the first step's time, or at the authors', which is up to a step later: strength * 1000.
        """
        time = timesteps[0]
        if self.settings.noise_timestep == "official":
            last = self.scheduler.config.num_train_timesteps
            time = torch.tensor(min(round(self.settings.strength * last), last - 1), device=timesteps.device)
        times_P = time.repeat(len(latents_PCHW))
        noisy_PCHW: Tensor = self.scheduler.add_noise(latents_PCHW, noise_PCHW, times_P)
        if not self.settings.stochastic_inversion:
            return noisy_PCHW
        seen_PCHW = self._predict(noisy_PCHW, time, conditions, guided=False)
        inverted_PCHW: Tensor = self.scheduler.add_noise(latents_PCHW, seen_PCHW, times_P)
        return inverted_PCHW

    def denoise(self, latents_PCHW: Tensor, timesteps: Tensor, conditions: Conditions, seeds: Draws) -> Tensor:
        """Latents after all those steps; eta is 0."""
        draws: dict[str, Any] = {"generator": list(seeds)} if self.settings.sampler == "lcm" else {}
        for time in timesteps:
            tell("painting")
            noise_PCHW = self._predict(latents_PCHW, time, conditions, guided=True)
            latents_PCHW = self.scheduler.step(noise_PCHW, time, latents_PCHW, return_dict=False, **draws)[0]
        return latents_PCHW

    def _predict(self, latents_PCHW: Tensor, time: Tensor, conditions: Conditions, guided: bool) -> Tensor:
        """The noise in latents, float32; guided, led away from what is unwanted."""
        if not guided or not self._is_guided:
            return self._ask(latents_PCHW, time, conditions.wanted_PTW, _half(conditions.images, 1))
        both_PTW = torch.cat([conditions.unwanted_PTW, conditions.wanted_PTW])
        noise = self._ask(torch.cat([latents_PCHW] * 2), time, both_PTW, conditions.images)
        unwanted_PCHW, wanted_PCHW = noise.chunk(2)
        return unwanted_PCHW + self.settings.guidance * (wanted_PCHW - unwanted_PCHW)

    def _ask(self, latents_PCHW: Tensor, time: Tensor, conditions_PTW: Tensor, images: Tensor | None) -> Tensor:
        unet = self.diffusion.unet
        scaled_PCHW = self.scheduler.scale_model_input(latents_PCHW, time).to(unet.dtype)
        noise_PCHW: Tensor = unet(
            scaled_PCHW,
            time,
            encoder_hidden_states=conditions_PTW,
            timestep_cond=self._embed_guidance(len(latents_PCHW)),
            added_cond_kwargs=None if images is None else {"image_embeds": [images]},
            return_dict=False,
        )[0]
        return noise_PCHW.to(latents_PCHW.dtype)

    @property
    def _is_guided(self) -> bool:
        """Whether what is unwanted is asked for: a network distilled with guidance is told it as a number."""
        return self.settings.guidance > 1 and self.diffusion.unet.config.time_cond_proj_dim is None

    def _embed_guidance(self, count: int) -> Tensor | None:
        size = self.diffusion.unet.config.time_cond_proj_dim
        if size is None:
            return None
        scales_P = torch.full((count,), self.settings.guidance - 1)
        embed = StableDiffusionImg2ImgPipeline.get_guidance_scale_embedding
        embedded_PD: Tensor = embed(None, scales_P, embedding_dim=size)
        return embedded_PD.to(self.diffusion.device, self.diffusion.dtype)


def _half(images: Tensor | None, which: int) -> Tensor | None:
    return None if images is None else images.chunk(2)[which]
