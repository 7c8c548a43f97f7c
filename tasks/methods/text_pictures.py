"""A style picture for a text: optimised until photographs stylized with it move, in CLIP, as the text says.

Dimension key: T texts, N photographs, P outputs (PHOTOGRAPHS a text, text by text), K crops, C channels, H and W
pixels, S side of a painted picture, D embedding.

The loss is CLIPstyler's (Kwon and Ye, CVPR 2022, equations 2 to 4), on whole outputs and on tilted crops of them; what
is optimised is not a network but the style picture that the method reads, so that a text becomes what the method takes
already, once for all contents. The photographs are the neutral ones of the scores. Measured and looked at:
infra/bench/2026-11-21-clip.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.images.fitting import Pixels
from tasks.losses.clip import directional_losses, embed_crops, embed_pixels, text_directions, unit_directions
from tasks.losses.crops import draw_crops
from tasks.losses.perceptual import structure_losses, total_variation
from tasks.methods.starting_pictures import random_pictures
from tasks.methods.text_settings import TextSettings

SIDE = 128  # of a painted picture, and of the photographs that it is tried on
GRIDS = (2, 8, 32, 128)  # sides of the grids that change a picture: large shapes are found before noise is
TEXTS_AT_ONCE = 8  # which bounds memory: about 1 GB with clip-small
PHOTOGRAPHS = 2  # a text, drawn anew at every step
CROPS, CROP_SIDE = 4, 72  # of each stylized photograph
LEARNING_RATE = 0.05
# CLIPstyler weighs patches 18 times as much as the whole (9000 to 500), with 64 of them; with 8, 2 times is steady. Its
# threshold is left out: what it stops at, a cosine of 0.3, is where a small model only begins to see the style.
WHOLE_WEIGHT, PATCH_WEIGHT = 1.0, 2.0
STRUCTURE_WEIGHT, VARIATION_WEIGHT = 0.5, 0.05
FIRST_STRUCTURE_WEIGHT = 0.1  # among starts: shades can be gained later, a colour hardly

Stylize = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Trial:
    """What pictures are tried on: photographs in [0, 1] with their embeddings, and the model that judges."""

    encoder: ClipEncoder
    stylize: Stylize
    contents_NCHW: Tensor
    sources_ND: Tensor


def paint_texts(
    texts: Sequence[str],
    stylize: Stylize,
    encoder: ClipEncoder,
    photographs: Sequence[Pixels],
    settings: TextSettings,
) -> Tensor:
    """Pictures_T3SS in [0, 1], float32, one for each text; each from the seed alone, whatever else is painted.

    `stylize` takes contents_NCHW and as many style pictures_NCHW, renders row by row, and passes gradients to the
    pictures. `photographs` are the contents that it is tried on, uint8 HWC.
    """
    contents_NCHW = squares(photographs, SIDE).to(encoder.device)
    with torch.no_grad():
        trial = Trial(encoder, stylize, contents_NCHW, embed_pixels(encoder, contents_NCHW))
    targets_T1D = text_directions(encoder, texts)[:, None]
    starts_T3SS = choose_starts(trial, targets_T1D, settings)
    groups = zip(targets_T1D.split(TEXTS_AT_ONCE), starts_T3SS.split(TEXTS_AT_ONCE), strict=True)
    return torch.cat([optimise(trial, targets, starts, settings) for targets, starts in groups])


@torch.no_grad()
def choose_starts(trial: Trial, targets_T1D: Tensor, settings: TextSettings) -> Tensor:
    """For each text the best of `settings.starts` random pictures, T3SS: an optimisation from there need not go far.

    From far away it ends at pictures that only the model finds right: fire came out all green. MMIST starts from the
    best of 128 random latents (gen_style_reps.py).
    """
    contents_NCHW, sources_ND = trial.contents_NCHW[:PHOTOGRAPHS], trial.sources_ND[:PHOTOGRAPHS]
    generator = torch.Generator().manual_seed(settings.seed)
    starts_M3SS = random_pictures(settings.starts, SIDE, generator).to(contents_NCHW.device)
    losses = []
    for start_3SS in starts_M3SS:
        outputs_NCHW = trial.stylize(contents_NCHW, start_3SS.expand_as(contents_NCHW))
        moves_N1D = unit_directions(embed_pixels(trial.encoder, outputs_NCHW), sources_ND)[:, None]
        structure = structure_losses(outputs_NCHW, contents_NCHW).mean()
        losses.append(directional_losses(moves_N1D, targets_T1D).mean(0) + FIRST_STRUCTURE_WEIGHT * structure)
    return starts_M3SS[torch.stack(losses).argmin(0)]


def optimise(trial: Trial, targets_T1D: Tensor, starts_T3SS: Tensor, settings: TextSettings) -> Tensor:
    """The starts T3SS after `settings.steps` steps of Adam on grids of logits that are added to them."""
    generators = [torch.Generator().manual_seed(settings.seed) for _ in targets_T1D]
    grids = [starts_T3SS.new_zeros(len(starts_T3SS), 3, side, side).requires_grad_() for side in GRIDS]
    optimiser = torch.optim.Adam(grids, lr=LEARNING_RATE)
    for _ in range(settings.steps):
        photographs = [torch.randperm(len(trial.sources_ND), generator=g)[:PHOTOGRAPHS] for g in generators]
        loss = sum_of_losses(trial, targets_T1D, compose(starts_T3SS, grids), torch.cat(photographs), generators)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return compose(starts_T3SS, grids).detach()


def compose(starts_T3SS: Tensor, grids: Sequence[Tensor]) -> Tensor:
    """The pictures T3SS in [0, 1]: starts, changed by the sum of the grids (of logits)."""
    grown = [F.interpolate(grid, (SIDE, SIDE), mode="bicubic", align_corners=False) for grid in grids]
    return torch.sigmoid(torch.logit(starts_T3SS) + torch.stack(grown).sum(0))


def sum_of_losses(
    trial: Trial,
    targets_T1D: Tensor,
    pictures_T3SS: Tensor,
    photographs_P: Tensor,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Over texts, of the direction of whole outputs and of crops, of shades lost and of the pictures' variation."""
    contents_PCHW, sources_PD = trial.contents_NCHW[photographs_P], trial.sources_ND[photographs_P]
    outputs_PCHW = trial.stylize(contents_PCHW, pictures_T3SS.repeat_interleave(PHOTOGRAPHS, 0))
    crops = draw_crops([g for g in generators for _ in range(PHOTOGRAPHS)], CROPS, CROP_SIDE, (SIDE, SIDE))
    whole_P1D = unit_directions(embed_pixels(trial.encoder, outputs_PCHW), sources_PD)[:, None]
    patches_PKD = unit_directions(embed_crops(trial.encoder, outputs_PCHW, crops), sources_PD[:, None])
    losses_PT = WHOLE_WEIGHT * directional_losses(whole_P1D, targets_T1D)
    losses_PT = losses_PT + PATCH_WEIGHT * directional_losses(patches_PKD, targets_T1D)
    towards = losses_PT.unflatten(0, (-1, PHOTOGRAPHS)).mean(1).diagonal().sum()  # each text over its own outputs
    structure = structure_losses(outputs_PCHW, contents_PCHW).mean()
    kept = STRUCTURE_WEIGHT * structure + VARIATION_WEIGHT * total_variation(pictures_T3SS)
    return towards + len(targets_T1D) * kept


def squares(photographs: Sequence[Pixels], side: int) -> Tensor:
    """Centred squares of pictures, N3SS in [0, 1]."""
    return torch.cat(
        [cut_square(torch.tensor(pixels_HWC).permute(2, 0, 1)[None] / 255, side) for pixels_HWC in photographs]
    )


def cut_square(image_1CHW: Tensor, side: int) -> Tensor:
    """The centred square of a picture, 13SS in [0, 1]."""
    height, width = image_1CHW.shape[-2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = image_1CHW[..., top : top + short, left : left + short]
    return F.interpolate(cut, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
