"""Latents of all pictures, made once: the second stage changes nothing in the first.

Dimension key: N pictures, C channels of latents, M moments (means, then logarithms of variances), S side; h, w sides
of latents.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from tasks.training.data import step_generator
from tasks.training.diffusion_pictures import CaptionedPictures
from tasks.training.diffusion_settings import LATENTS, DiffusionSettings
from tasks.training.loop import place
from tasks.training.views import crop_view

LATENTS_FILE = "latents.safetensors"
WINDOWS = 12  # purpose of random numbers
BATCH = 64


@dataclass(frozen=True)
class Latents:
    """The distribution of each picture's latents, and the factor that brings them to a deviation of 1."""

    moments_NMhw: Tensor  # half precision
    scale: float

    def __len__(self) -> int:
        return len(self.moments_NMhw)

    def draw(self, index: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Scaled latents NChw of these pictures, each drawn from its own distribution."""
        means_NChw, logs_NChw = self.moments_NMhw[torch.from_numpy(index)].float().chunk(2, dim=1)
        noise_NChw = torch.from_numpy(rng.standard_normal(means_NChw.shape, dtype="float32"))
        return self.scale * (means_NChw + (logs_NChw / 2).exp() * noise_NChw)


def open_latents(
    autoencoder: AutoencoderKL, pictures: CaptionedPictures, settings: DiffusionSettings, folder: Path
) -> Latents:
    """The latents of these pictures, from `folder` where they are there already, made with progress otherwise."""
    path, wanted = folder / LATENTS_FILE, digest(autoencoder, pictures, settings)
    if path.exists():
        with safe_open(path, "pt") as file:
            if file.metadata()["digest"] == wanted:
                return Latents(file.get_tensor("moments"), float(file.metadata()["scale"]))
    moments_NMhw = encode(autoencoder, pictures, settings)
    scale = 1 / deviation(moments_NMhw)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({"moments": moments_NMhw}, part, {"digest": wanted, "scale": repr(scale)})
    os.replace(part, path)
    return Latents(moments_NMhw, scale)


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, pictures: CaptionedPictures, settings: DiffusionSettings) -> Tensor:
    """Moments NMhw of a random window of each picture, half of the time mirrored."""
    parts = []
    for start in tqdm(range(0, len(pictures), BATCH), unit="batch", desc="latents", mininterval=10):
        windows = [show(pictures, index, settings) for index in range(start, min(start + BATCH, len(pictures)))]
        images_N3SS = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float() / 255
        latents = autoencoder.encode(place(2 * images_N3SS - 1, autoencoder.device)).latent_dist
        parts.append(torch.cat([latents.mean, latents.logvar], dim=1).half().cpu().contiguous())
    return torch.cat(parts)


def show(pictures: CaptionedPictures, index: int, settings: DiffusionSettings) -> np.ndarray:
    rng = step_generator(settings.seed, index, WINDOWS)
    return crop_view(pictures.images[index], settings.denoiser.smallest_window, rng, settings.size)


def deviation(moments_NMhw: Tensor) -> float:
    """Of all numbers of all latents, as they are drawn: the spread of the means, and what each has around its own."""
    means_NChw, logs_NChw = moments_NMhw.float().split(LATENTS, dim=1)
    spread = means_NChw.double().var() + logs_NChw.double().exp().mean()
    return float(spread.sqrt())


def digest(autoencoder: AutoencoderKL, pictures: CaptionedPictures, settings: DiffusionSettings) -> str:
    """Of all that the latents depend on."""
    shown = [settings.size, settings.seed, settings.denoiser.smallest_window]
    hashed = hashlib.sha256(json.dumps(shown).encode())
    for tensor in autoencoder.state_dict().values():
        hashed.update(tensor.cpu().contiguous().numpy().tobytes())
    for image_SS3 in pictures.images:
        hashed.update(image_SS3.tobytes())
    return hashed.hexdigest()
