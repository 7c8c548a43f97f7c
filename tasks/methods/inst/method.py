"""InST behind the three verbs: paintings to words once, contents to latents, and latents painted with the words."""

from __future__ import annotations

import torch

from tasks.encoders.diffusion.backbone import open_diffusion
from tasks.methods.base import Method
from tasks.methods.inst.adapter import AdapterMethod
from tasks.methods.inst.settings import AdapterSettings, InversionSettings
from tasks.methods.inst.words import WordMethod


def open_method(settings: InversionSettings | AdapterSettings, device: str = "cpu") -> Method:
    """The method of these settings. Raises RequestError where its weights are missing, or of another network."""
    place = torch.device(device)
    diffusion = open_diffusion(settings.weights, place, settings.precision)
    if isinstance(settings, AdapterSettings):
        return AdapterMethod(settings, diffusion)
    return WordMethod(settings, diffusion)
