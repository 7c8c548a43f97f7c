"""Pictures to latents and back, and the tones of both.

Dimension key: N pictures, C channels of a latent, H and W pixels, h and w of a latent.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.diffusion.backbone import Diffusion

GPU_PIXELS = 4 * 512 * 512  # through the VAE at once: its widest layers hold 512 bytes a pixel
TILES_FROM = 1024  # longest side in pixels from which the VAE works in tiles, where `tiling` is auto
EPSILON = 1e-5  # of a deviation (InST.ipynb, adain)


@torch.no_grad()
def encode_pictures(diffusion: Diffusion, images_NCHW: Tensor, tiling: bool) -> tuple[Tensor, Tensor]:
    """Means and deviations of latents, NChw each, float32, of pictures in [0, 1]; not scaled."""
    _tile(diffusion, tiling)
    means, deviations = [], []
    for part in _parts(len(images_NCHW), images_NCHW.shape[-2:].numel(), diffusion.device):
        pixels = (2.0 * images_NCHW[part] - 1.0).to(diffusion.device, diffusion.dtype)
        posterior = diffusion.vae.encode(pixels).latent_dist
        means.append(posterior.mean.float())
        deviations.append(posterior.std.float())
    return torch.cat(means), torch.cat(deviations)


@torch.no_grad()
def decode_latents(diffusion: Diffusion, latents_NChw: Tensor, tiling: bool) -> Tensor:
    """Pictures_NCHW in [0, 1], float32, of scaled latents."""
    _tile(diffusion, tiling)
    pixels = latents_NChw.shape[-2:].numel() * diffusion.scale**2
    scaled_NChw = latents_NChw / diffusion.vae.config.scaling_factor
    decoded = [
        diffusion.vae.decode(scaled_NChw[part].to(diffusion.dtype), return_dict=False)[0].float()
        for part in _parts(len(latents_NChw), pixels, diffusion.device)
    ]
    return (torch.cat(decoded) * 0.5 + 0.5).clamp(0, 1)


def squash(picture_3HW: Tensor, size: int) -> Tensor:
    """A square, 13SS, whatever a painting's shape (ldm/data/personalized.py)."""
    resized = F.interpolate(picture_3HW[None], (size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


def measure_tone(latents_NChw: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, NC11 each (InST.ipynb, `calc_mean_std`)."""
    mean = latents_NChw.mean((2, 3), keepdim=True)
    return mean, (latents_NChw.var((2, 3), keepdim=True) + EPSILON).sqrt()


def set_tone(latents_NChw: Tensor, mean_NC11: Tensor, deviation_NC11: Tensor) -> Tensor:
    """The latents with another's means and deviations: AdaIN, in the place of pictures' features."""
    own_mean, own_deviation = measure_tone(latents_NChw)
    return (latents_NChw - own_mean) / own_deviation * deviation_NC11 + mean_NC11


def is_tiled(setting: str, height: int, width: int) -> bool:
    """Whether the VAE works in tiles on pictures of that size: seams are faint, and memory is that of one tile."""
    return setting == "auto" and max(height, width) > TILES_FROM


def _tile(diffusion: Diffusion, tiling: bool) -> None:
    diffusion.vae.use_tiling = tiling  # it has ways to turn this on and off, and none to set it


def _parts(count: int, pixels: int, device: torch.device) -> Iterator[slice]:
    """One picture at a time on a CPU, where more would only take more memory."""
    at_once = max(1, GPU_PIXELS // pixels) if device.type == "cuda" else 1
    return (slice(start, start + at_once) for start in range(0, count, at_once))
