"""CLIPstyler: a style in words or pictures, reached by what CLIP sees (Kwon and Ye, CVPR 2022)."""

from __future__ import annotations

import torch

from tasks.methods.base import Method
from tasks.methods.clipstyler.fast import FastMethod
from tasks.methods.clipstyler.optimize import OptimizeMethod
from tasks.methods.clipstyler.settings import FastSettings, OptimizeSettings


def open_method(settings: OptimizeSettings | FastSettings, device: str = "cpu") -> Method:
    """The method in its mode. Raises RequestError where its weights or its CLIP cannot be had."""
    if isinstance(settings, FastSettings):
        return FastMethod(settings, torch.device(device))
    return OptimizeMethod(settings, torch.device(device))
