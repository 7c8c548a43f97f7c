"""The networks of a latent diffusion model, frozen, on a device: opened once, however many settings read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

from tasks.encoders.diffusion.models import DiffusionModel, find_diffusion
from tasks.records import RequestError
from tasks.storage import shorten_error

# What reading a folder that is no whole model raises, of diffusers, transformers, tokenizers and safetensors.
OPEN_ERRORS = (RuntimeError, OSError, ValueError, LookupError, TypeError, AttributeError)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_opened: WeakValueDictionary[tuple[str, str, torch.dtype], Diffusion] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A U-Net, a VAE, a text tower and its tokenizer, frozen; and the scheduler's configuration."""

    name: str
    unet: Any  # diffusers' UNet2DConditionModel, which mypy sees nothing of; so too the VAE, an AutoencoderKL
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: dict[str, Any]

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        device: torch.device = self.unet.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """What its networks compute in."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

    @property
    def width(self) -> int:
        """Of a token's embedding."""
        return int(self.text_encoder.config.hidden_size)

    @property
    def scale(self) -> int:
        """Pixels to a latent, along a side: 8 in Stable Diffusion."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @cached_property
    def noising(self) -> Any:
        """What adds noise, as the model was trained with it."""
        return DDPMScheduler.from_config(self.scheduler)

    @property
    def stride(self) -> int:
        """Pixels to a place at the U-Net's deepest level, along a side: 64 in Stable Diffusion."""
        return self.scale * int(2 ** (len(self.unet.config.block_out_channels) - 1))


def fit_pixels(memory: int, bytes_a_pixel: int) -> int:
    """Pixels of pictures that half of so much memory holds; the other half is for weights, the VAE, and CLIP."""
    return max(1, memory // 2 // bytes_a_pixel)


def find_memory(device: torch.device) -> int:
    """Bytes of a GPU that are this process's share."""
    total = torch.cuda.get_device_properties(device).total_memory
    return int(total * torch.cuda.get_per_process_memory_fraction(device))


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Of the networks' weights and arithmetic; auto: bfloat16 on a GPU, float32 on a CPU."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return DTYPES[precision]


def open_diffusion(reference: str, device: torch.device, precision: str = "auto") -> Diffusion:
    """The model that a reference names (see `models`), ready on a device.

    Raises RequestError where it cannot be found, or its files do not fit one another.
    """
    found, dtype = find_diffusion(reference), choose_dtype(precision, device)
    key = (found.digest(), str(device), dtype)
    model = _opened.get(key)
    if model is None:
        try:
            model = _opened[key] = _open(found, device, dtype)
        except OPEN_ERRORS as error:
            reason = shorten_error(error)
            raise RequestError(f"{reference} cannot be opened as a diffusion model: {reason}") from error
    return model


def _open(found: DiffusionModel, device: torch.device, dtype: torch.dtype) -> Diffusion:
    """From its own files alone: nothing is fetched, unpickled, or run out of them."""
    logging.disable_progress_bar()  # one of ours tells of what takes long
    networks = []
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel)):
        network: nn.Module = kind.from_pretrained(
            found.folder / part,
            variant=found.variants[part],
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
        )
        networks.append(network.eval().requires_grad_(False).to(device))
    unet, vae, text_encoder = networks
    if device.type == "cuda":  # convolutions in half precision read channels together
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    tokenizer = CLIPTokenizer.from_pretrained(found.folder / "tokenizer", local_files_only=True)
    return Diffusion(found.name, unet, vae, text_encoder, tokenizer, found.config("scheduler"))
