"""The second stage: a U-Net that tells the noise in latents, given what a caption says of the picture.

Dimension key: N pictures, C channels of latents, L tokens, D width of the text tower, S side; h, w sides of latents.

Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, equation 14, over latents (Rombach et al., CVPR
2022); some captions are dropped, so that one network is both the conditional and the unconditional one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from diffusers.models import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from tasks.training.data import step_generator
from tasks.training.diffusion_latents import Latents
from tasks.training.diffusion_networks import assemble, build_denoiser, make_scheduler
from tasks.training.diffusion_pictures import CaptionedPictures
from tasks.training.diffusion_sampling import SHOWN, draw_sheet
from tasks.training.diffusion_settings import STEPS, DiffusionSettings
from tasks.training.diffusion_text import make_tokenizer, tokenize
from tasks.training.loop import move

CHOICE, CAPTIONS, NOISE = 3, 4, 5  # purposes of random numbers


class DenoiserRecipe:
    """Latents with captions, and the squared error of the noise that is told."""

    def __init__(
        self,
        autoencoder: AutoencoderKL,
        text: CLIPTextModel,
        latents: Latents,
        pictures: CaptionedPictures,
        settings: DiffusionSettings,
        device: torch.device,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.latents, self.pictures = settings, latents, pictures
        self.network: nn.Module = build_denoiser(settings, text.config.hidden_size)
        self.autoencoder, self.text = autoencoder, text
        for frozen in (autoencoder, text):
            move(frozen, device)
        self.tokenizer = make_tokenizer(text.config.max_position_embeddings)
        self.scheduler: Any = make_scheduler()

    def describe(self) -> dict[str, Any]:
        """The settings, counts of what there is to learn, and the latents' scale, which belongs to the autoencoder."""
        counts = {"pictures": len(self.pictures), "styles": len(self.pictures.vocabulary.styles)}
        return {"network": "diffusion", **asdict(self.settings), **counts, "scaling_factor": self.latents.scale}

    def draw(self, step: int) -> dict[str, Tensor]:
        """`latents` and `noise` NChw, `tokens` NL of captions, and the `times` N of the noise."""
        chosen, seed = self.settings.denoiser, self.settings.seed
        choice, captions, noises = (step_generator(seed, step, purpose) for purpose in (CHOICE, CAPTIONS, NOISE))
        index = choice.integers(len(self.pictures), size=chosen.batch)
        latents_NChw = self.latents.draw(index, choice)
        texts = self.pictures.write(index, chosen.framed, captions)
        texts = ["" if captions.random() < chosen.dropped else text for text in texts]
        noise = noises.standard_normal(tuple(latents_NChw.shape), dtype="float32")
        return {
            "latents": latents_NChw,
            "noise": torch.from_numpy(noise),
            "tokens": tokenize(self.tokenizer, texts),
            "times": torch.from_numpy(noises.integers(STEPS, size=chosen.batch)),
        }

    def loss(
        self,
        network: nn.Module,
        batch: dict[str, Tensor],
        step: int,  # noqa: ARG002 (the loss does not change over the run)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error of the noise; `early` where there is much of it, `late` where there is little."""
        assert isinstance(network, UNet2DConditionModel)
        with torch.no_grad():
            tokens_NLD = self.text(batch["tokens"]).last_hidden_state
        noisy_NChw = self.scheduler.add_noise(batch["latents"], batch["noise"], batch["times"])
        told_NChw = network(noisy_NChw, batch["times"], tokens_NLD).sample
        errors_N = F.mse_loss(told_NChw.float(), batch["noise"], reduction="none").mean((1, 2, 3))
        much_N = (batch["times"] >= STEPS // 2).float()
        parts = {
            "early": (errors_N * much_N).sum() / much_N.sum().clamp(min=1),
            "late": (errors_N * (1 - much_N)).sum() / (1 - much_N).sum().clamp(min=1),
        }
        return errors_N.mean(), parts

    def sheet(self, network: nn.Module) -> Tensor:
        """Pictures of fixed captions, a row each, of the same noise in every run; the captions stand beside them."""
        assert isinstance(network, UNet2DConditionModel)
        self.autoencoder.register_to_config(scaling_factor=self.latents.scale)
        pipeline = assemble(self.autoencoder, network, self.text)
        phrases = [phrases[0] for phrases in self.pictures.vocabulary.styles]
        styles = [phrases[index * len(phrases) // SHOWN] for index in range(SHOWN - 1)]
        return draw_sheet(pipeline, [*styles, phrases[-1]], self.settings.denoiser, self.settings.seed)
