"""What is known of a painting before it is learned: how CLIP sees it, and its latents.

Dimension key: B paintings, T tokens of CLIP, D of its pooled embedding, E of a token; S side, C channels of a latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.diffusion.backbone import Diffusion
from tasks.methods.inst.latents import encode_pictures, squash

BYTES_OF_OFFICIAL = 255  # what -1 becomes as an unsigned byte; all between -1 and 1 becomes 0, and 1 stays 1


@dataclass(frozen=True)
class Painting:
    """One painting, and its mirror image: 2 rows each of CLIP's and of the latents."""

    pooled_2D: Tensor
    tokens_2TE: Tensor
    mean_2Chw: Tensor
    deviation_2Chw: Tensor


def read_painting(
    picture_3HW: Tensor, diffusion: Diffusion, encoder: ClipEncoder, size: int, official: bool
) -> Painting:
    """A painting as the authors train on it: squashed to a square, and its mirror image."""
    square_13SS = squash(picture_3HW, size).to(diffusion.device)
    both_23SS = torch.cat([square_13SS, square_13SS.flip(-1)])
    seen_23SS = darken(both_23SS) if official else both_23SS
    mean, deviation = encode_pictures(diffusion, both_23SS, tiling=False)
    return Painting(*see(encoder, seen_23SS), mean, deviation)


def darken(pictures_N3SS: Tensor) -> Tensor:
    """What CLIP is shown by the authors' code: [-1, 1] cast to bytes, which is black with specks of white.

    Their weights were trained on that, so that they are read with it, too.
    """
    scaled = 2 * pictures_N3SS - 1
    levels = torch.where(scaled <= -1, BYTES_OF_OFFICIAL, torch.where(scaled >= 1, 1, 0))
    return levels.float() / 255


@torch.no_grad()
def see(encoder: ClipEncoder, pictures_N3SS: Tensor) -> tuple[Tensor, Tensor]:
    """CLIP's pooled embeddings_ND of unit length, and what its last layer but one holds at each place, tokens_NTE.

    Of a ViT its class token and patches, of a ResNet the places of its last stage.
    """
    inputs_N3hw = encoder.preprocessing.prepare(pictures_N3SS, str(encoder.device))
    visual: Any = encoder.model.visual
    is_transformer = hasattr(visual, "transformer")
    seen = (
        visual.forward_intermediates(inputs_N3hw, indices=2, output_fmt="NLC", output_extra_tokens=True)
        if is_transformer
        else visual.forward_intermediates(inputs_N3hw, indices=1)
    )
    pooled_ND = F.normalize(seen["image_features"].float(), dim=-1)
    if not is_transformer:
        return pooled_ND, seen["image_intermediates"][0].flatten(2).transpose(1, 2).float()
    tokens = (seen["image_intermediates_prefix"][0], seen["image_intermediates"][0])
    return pooled_ND, torch.cat(tokens, 1).float()


def stack(paintings: Sequence[Painting], rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each painting the row of its mirror image or not: pooled, tokens, means, deviations."""
    columns = [
        (one.pooled_2D[row], one.tokens_2TE[row], one.mean_2Chw[row], one.deviation_2Chw[row])
        for one, row in zip(paintings, rows, strict=True)
    ]
    pooled, tokens, means, deviations = (torch.stack(column) for column in zip(*columns, strict=True))
    return pooled, tokens, means, deviations
