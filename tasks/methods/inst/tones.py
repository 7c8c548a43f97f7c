"""The tones of a style's paintings: of their latents, and of their colours; kept beside a representation.

Dimension key: R paintings, C channels of a latent, S side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.encoders.diffusion.backbone import Diffusion
from tasks.methods.inst.colors import measure_colors
from tasks.methods.inst.latents import encode_pictures, measure_tone, set_tone, squash


@dataclass(frozen=True)
class Tones:
    """Means and deviations, a row each: of scaled latents (2C), and of colours in Lab (23)."""

    latents_2C: Tensor
    colors_23: Tensor

    def give(self, latents_NChw: Tensor) -> Tensor:
        """Latents with these means and deviations."""
        mean_1C11, deviation_1C11 = self.latents_2C.to(latents_NChw)[:, None, :, None, None]
        return set_tone(latents_NChw, mean_1C11, deviation_1C11)


def measure_tones(picture_3HW: Tensor, diffusion: Diffusion, size: int) -> Tones:
    """The tones of a painting, squashed to a square."""
    square_13SS = squash(picture_3HW, size)
    mean_1Chw, _ = encode_pictures(diffusion, square_13SS, tiling=False)
    tones = measure_tone(diffusion.vae.config.scaling_factor * mean_1Chw)
    return Tones(torch.stack([tone.flatten().cpu() for tone in tones]), torch.stack(measure_colors(square_13SS[0])))


def mix_tones(tones: Sequence[Tones], weights_R: Tensor) -> Tones:
    """Means of several by weight."""
    columns = ([one.latents_2C for one in tones], [one.colors_23 for one in tones])
    return Tones(*(torch.tensordot(weights_R, torch.stack(column), 1) for column in columns))


def keep_tones(tones: Tones) -> dict[str, str]:
    """Tones as metadata."""
    return {"tones": json.dumps({"latents": tones.latents_2C.tolist(), "colors": tones.colors_23.tolist()})}


def read_tones(metadata: Mapping[str, str]) -> Tones | None:
    """Tones from metadata; None where there are none."""
    kept = json.loads(metadata.get("tones", "null"))
    return None if kept is None else Tones(torch.tensor(kept["latents"]), torch.tensor(kept["colors"]))
