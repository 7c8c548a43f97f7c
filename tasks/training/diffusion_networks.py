"""The parts of a small latent diffusion model, in diffusers' classes, and the pipeline that they make."""

from __future__ import annotations

from typing import Any

from diffusers.models import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextModel

from tasks.training.diffusion_settings import BETAS, GROUPS, LATENTS, STEPS, DiffusionSettings
from tasks.training.diffusion_text import make_tokenizer


def build_autoencoder(settings: DiffusionSettings) -> AutoencoderKL:
    """With its first weights; pictures in [-1, 1] to latents at 1/2^(levels - 1)."""
    levels = settings.autoencoder.channels
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(levels),
        up_block_types=("UpDecoderBlock2D",) * len(levels),
        block_out_channels=levels,
        layers_per_block=settings.autoencoder.layers,
        latent_channels=LATENTS,
        norm_num_groups=GROUPS,
        sample_size=settings.size,
        scaling_factor=1.0,
    )


def build_denoiser(settings: DiffusionSettings, text_width: int) -> UNet2DConditionModel:
    """With its first weights; levels past the plain ones attend to the tokens of a caption."""
    chosen = settings.denoiser
    attends = [level >= chosen.plain_levels for level in range(len(chosen.channels))]
    return UNet2DConditionModel(
        sample_size=settings.size // reduction(settings),
        in_channels=LATENTS,
        out_channels=LATENTS,
        down_block_types=tuple("CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attends)),
        block_out_channels=chosen.channels,
        layers_per_block=chosen.layers,
        cross_attention_dim=text_width,
        attention_head_dim=chosen.heads,  # diffusers' name for how many there are
        norm_num_groups=GROUPS,
    )


def reduction(settings: DiffusionSettings) -> int:
    """Pixels a side of one place of the latents."""
    return int(2 ** (len(settings.autoencoder.channels) - 1))


def make_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise; 50 steps of it end at the noise of step 1."""
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_start=BETAS[0],
        beta_end=BETAS[1],
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def assemble(autoencoder: AutoencoderKL, denoiser: UNet2DConditionModel, text: CLIPTextModel) -> Any:
    """The text-to-image pipeline of the parts; it asks nobody whether its pictures are safe, and shows no progress."""
    parts: dict[str, Any] = {
        "vae": autoencoder,
        "text_encoder": text,
        "tokenizer": make_tokenizer(text.config.max_position_embeddings),
        "unet": denoiser,
        "scheduler": make_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
