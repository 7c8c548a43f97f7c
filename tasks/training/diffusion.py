"""Training a small latent diffusion model in two stages, each with its own checkpoints: autoencoder, then denoiser."""

from __future__ import annotations

from pathlib import Path

from diffusers.models import AutoencoderKL

from tasks.training.data import Pictures, load_pictures
from tasks.training.diffusion_autoencoder import AutoencoderRecipe
from tasks.training.diffusion_denoiser import DenoiserRecipe
from tasks.training.diffusion_latents import open_latents
from tasks.training.diffusion_pictures import gather
from tasks.training.diffusion_settings import DiffusionTraining, check
from tasks.training.diffusion_text import open_text_tower
from tasks.training.loop import TrainingState, choose_device, prepare_folder, train
from tasks.training.perception import Perceptual, open_networks
from tasks.training.renders import Renders, open_renders

AUTOENCODER, DENOISER = "autoencoder", "denoiser"  # folders of the stages in a run's


def train_diffusion(training: DiffusionTraining, folder: Path, resume: bool = False) -> TrainingState:
    """Train both stages in `folder`; the state is the denoiser's.

    `resume` goes on from where the run stopped, in whichever stage, as if it never had. RequestError where a
    checkpoint is there and `resume` was not asked for, and where settings or pictures do not do.
    """
    check(training.recipe)
    text, perceptual = open_text_tower(training.recipe.text), open_networks(training.perceptual)
    photographs, art = (load_pictures(sources, image=training.image) for sources in (training.photos, training.art))
    for stage in (AUTOENCODER, DENOISER):
        prepare_folder(folder / stage, resume)
    renders = open_renders(photographs, art, training.renders, folder)
    originals = Pictures(photographs.images + art.images, photographs.names + art.names, 0)
    autoencoder = train_autoencoder(training, originals, renders, perceptual, folder / AUTOENCODER)
    chosen = training.recipe.denoiser
    pictures = gather(renders, photographs, art, chosen.photo_crops, chosen.art_crops, training.recipe.seed)
    latents = open_latents(autoencoder, pictures, training.recipe, folder)
    device = choose_device(training.loop.device)
    recipe = DenoiserRecipe(autoencoder, text, latents, pictures, training.recipe, device)
    return train(recipe, training.loop, folder / DENOISER, resume=True)


def train_autoencoder(
    training: DiffusionTraining, originals: Pictures, renders: Renders, perceptual: Perceptual, folder: Path
) -> AutoencoderKL:
    """The first stage up to its last step, of which nothing is left to do where it is done; its average."""
    loop = training.autoencoder_loop
    recipe = AutoencoderRecipe(originals, renders, perceptual, training.recipe, choose_device(loop.device))
    average = train(recipe, loop, folder, resume=True).average
    assert isinstance(average, AutoencoderKL)
    return average
