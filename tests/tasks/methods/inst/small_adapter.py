"""An IP-Adapter for the small diffusion model, and its image tower: random weights in the published layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tasks.methods.inst.settings import AdapterWeights

TOWER = CLIPVisionConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=32,
    patch_size=8,
    projection_dim=24,
)
TOKENS = 4  # that an embedding becomes, as in ip-adapter_sd15


def save_small_adapter(folder: Path, model: Path) -> AdapterWeights:
    """For the U-Net of a model in diffusers' layout."""
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    width, size = unet.config.cross_attention_dim, TOWER.projection_dim
    with torch.random.fork_rng():
        torch.manual_seed(7)
        tensors = {
            "image_proj.proj.weight": torch.randn(TOKENS * width, size) / size**0.5,
            "image_proj.proj.bias": torch.zeros(TOKENS * width),
            "image_proj.norm.weight": torch.ones(width),
            "image_proj.norm.bias": torch.zeros(width),
        }
        for number, name in enumerate(unet.attn_processors):
            if name.endswith("attn2.processor"):
                layer = unet.get_submodule(name.removesuffix(".processor"))
                for kind in ("to_k", "to_v"):
                    weight = getattr(layer, kind).weight
                    tensors[f"ip_adapter.{number}.{kind}_ip.weight"] = torch.randn(weight.shape) / width**0.5
        CLIPVisionModelWithProjection(TOWER).save_pretrained(folder / "image_encoder")
    save_file(tensors, folder / "ip-adapter.safetensors")
    return AdapterWeights(weights=str(folder / "ip-adapter.safetensors"), image_encoder=str(folder / "image_encoder"))
