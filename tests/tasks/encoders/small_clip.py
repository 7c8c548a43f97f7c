"""A CLIP model of two layers with seeded weights, saved as open_clip saves models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 2},
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


def seeded_model(config: dict[str, Any] = CONFIG) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: torch.nn.Module = open_clip.model.CLIP(**config)
    return model


def save_small_clip(folder: Path, preprocess: dict[str, Any] = PREPROCESS) -> Path:
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    save_file(seeded_model().state_dict(), folder / "open_clip_model.safetensors")
    return folder
