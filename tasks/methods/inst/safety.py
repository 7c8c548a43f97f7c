"""The safety checker that a diffusion model brings, where a job asks for it.

Dimension key: P outputs, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tasks.encoders.diffusion.backbone import OPEN_ERRORS, Diffusion
from tasks.encoders.diffusion.models import find_diffusion
from tasks.images.padding import to_pixels
from tasks.methods.base import WITHHELD
from tasks.methods.inst.settings import SamplingSettings
from tasks.records import RequestError
from tasks.storage import shorten_error

Checker = Callable[[Tensor], list[bool]]


def open_checker(settings: SamplingSettings, diffusion: Diffusion) -> Checker | None:
    """What says of images_PCHW which are to be withheld; None where none was asked for. Raises RequestError."""
    if settings.safety == "none":
        return None
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPImageProcessor

    folder = find_diffusion(settings.weights).folder
    try:
        network = StableDiffusionSafetyChecker.from_pretrained(
            folder / "safety_checker", local_files_only=True, use_safetensors=True, dtype=diffusion.dtype
        )
        prepare = CLIPImageProcessor.from_pretrained(folder / "feature_extractor", local_files_only=True)
    except OPEN_ERRORS as error:
        raise RequestError(
            f"The safety checker of {settings.weights} cannot be opened: {shorten_error(error)}"
        ) from error
    network = network.eval().requires_grad_(False).to(diffusion.device)

    def check(images_PCHW: Tensor) -> list[bool]:
        pixels = prepare(list(to_pixels(images_PCHW)), return_tensors="pt").pixel_values
        _, found = network(images=images_PCHW.cpu().numpy(), clip_input=pixels.to(diffusion.device, diffusion.dtype))
        return [bool(one) for one in found]

    return check


def withhold(checker: Checker | None, images_PCHW: Tensor) -> Tensor:
    """The images, those that the checker finds replaced by WITHHELD."""
    if checker is None:
        return images_PCHW
    found_P = torch.tensor(checker(images_PCHW), device=images_PCHW.device)
    return torch.where(found_P[:, None, None, None], WITHHELD, images_PCHW)
