"""AdaAttN behind the three verbs."""

from __future__ import annotations

import torch

from tasks.methods.adaattn.backbones import open_backbone
from tasks.methods.adaattn.settings import AdaattnSettings
from tasks.methods.local import LocalMethod


def open_method(settings: AdaattnSettings, device: str = "cpu") -> LocalMethod:
    """The method of these settings, its weights loaded. Raises RequestError."""
    return LocalMethod(settings, open_backbone(settings, device), torch.device(device))
