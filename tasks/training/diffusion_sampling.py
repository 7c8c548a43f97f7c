"""Pictures of captions from a latent diffusion model, and sheets of them.

Dimension key: N pictures, C channels (RGB), S side, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from tasks.report.lettering import Lettering
from tasks.training.diffusion_settings import DenoiserSettings

SHOWN, COLUMNS = 12, 8  # captions on a sheet, and pictures of each
LETTERS, WORDS_WIDTH = 11, 160  # pixels: size of the captions, and room for them
BATCH = 32


@torch.no_grad()
def sample(pipeline: Any, captions: Sequence[str], seeds: Sequence[int], guidance: float, steps: int) -> Tensor:
    """A picture of each caption, N3SS in [0, 1] on the CPU; its noise is of its own seed."""
    made = []
    for start in range(0, len(captions), BATCH):
        chosen = slice(start, start + BATCH)
        made.append(
            pipeline(
                list(captions[chosen]),
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds[chosen]],
                output_type="pt",
            ).images
        )
    return torch.cat(made).float().cpu()


def draw_sheet(pipeline: Any, captions: Sequence[str], settings: DenoiserSettings, seed: int) -> Tensor:
    """A row of pictures a caption, each column of one noise, 3HW in [0, 1]."""
    seeds = [seed + column for column in range(COLUMNS)]
    repeated = [caption for caption in captions for _ in seeds]
    made_N3SS = sample(pipeline, repeated, seeds * len(captions), settings.guidance, settings.sampling_steps)
    rows = [torch.cat(list(row), dim=2) for row in made_N3SS.split(COLUMNS)]
    return torch.cat([torch.cat([write(*pair), pair[1]], dim=2) for pair in zip(captions, rows, strict=True)], dim=1)


def write(caption: str, row_3HW: Tensor) -> Tensor:
    """The caption as a picture as high as its row."""
    height, lettering = row_3HW.shape[1], Lettering([caption])
    picture = Image.new("RGB", (WORDS_WIDTH, height), "white")
    lines = lettering.wrap(caption, LETTERS, WORDS_WIDTH - 8, max(1, height // (LETTERS + 3)))
    ImageDraw.Draw(picture).multiline_text((4, 2), "\n".join(lines), "black", lettering.font(LETTERS))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
