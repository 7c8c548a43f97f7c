"""StyleKernel behind the three verbs, over either encoder."""

from __future__ import annotations

import torch

from tasks.methods.local import LocalMethod
from tasks.methods.style_kernel.backbones import open_backbone
from tasks.methods.style_kernel.settings import StyleKernelSettings


def open_method(settings: StyleKernelSettings, device: str = "cpu") -> LocalMethod:
    """The method of these settings, its weights loaded. Raises RequestError."""
    return LocalMethod(settings, open_backbone(settings, device), torch.device(device))
