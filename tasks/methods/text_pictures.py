"""A style picture for a text: optimised until photographs stylized with it move, in CLIP, as the text lies from a photo.

Dimension key: T texts, N photographs, K crops, C channels, H and W pixels, S side of a painted picture, D embedding.

The loss is CLIPstyler's (Kwon and Ye, CVPR 2022, equations 2 to 4), on whole outputs and on tilted crops of them; what
is optimised is not the network but the style picture that the method reads, so that a text becomes what the method
takes already, once for all contents. The photographs are the neutral ones of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.images.fitting import Pixels
from tasks.losses.clip import directional_losses, embed_crops, embed_pixels, text_directions, unit_directions
from tasks.losses.crops import draw_crops
from tasks.losses.perceptual import total_variation
from tasks.methods.text_settings import TextSettings

SIDE = 128  # of a painted picture, and of the photographs that it is tried on
GRIDS = (2, 8, 32, 128)  # sides of the grids that a picture is the sum of: large shapes are found before noise is
PHOTOGRAPHS = 2  # a text, drawn anew at every step
CROPS = 4  # of each stylized photograph
CROP_SIDE = 72
WHOLE_WEIGHT, PATCH_WEIGHT, VARIATION_WEIGHT = 1.0, 2.0, 0.05
THRESHOLD = 0.0
LEARNING_RATE = 0.05
STARTS = 64

Stylize = Callable[[Tensor, Tensor], Tensor]


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
        sources_ND = embed_pixels(encoder, contents_NCHW)
    targets_T1D = text_directions(encoder, texts)[:, None]
    generators = [torch.Generator().manual_seed(settings.seed) for _ in texts]
    starts_T3SS = choose_starts(targets_T1D, stylize, encoder, (contents_NCHW, sources_ND), settings.seed)
    grids = [grid.to(encoder.device).requires_grad_() for grid in first_grids(len(texts))]
    optimiser = torch.optim.Adam(grids, lr=LEARNING_RATE)
    for _ in range(settings.steps):
        rows_TN = torch.stack([torch.randperm(len(contents_NCHW), generator=g)[:PHOTOGRAPHS] for g in generators])
        pictures_TCHW = compose(starts_T3SS, grids)
        outputs = stylize(contents_NCHW[rows_TN.flatten()], pictures_TCHW.repeat_interleave(PHOTOGRAPHS, 0))
        losses_T = text_losses(encoder, outputs, sources_ND[rows_TN.flatten()], targets_T1D, generators)
        optimiser.zero_grad(set_to_none=True)
        (losses_T.sum() + VARIATION_WEIGHT * len(texts) * total_variation(pictures_TCHW)).backward()
        optimiser.step()
    return compose(starts_T3SS, grids).detach()


@torch.no_grad()
def choose_starts(
    targets_T1D: Tensor, stylize: Stylize, encoder: ClipEncoder, tried_on: tuple[Tensor, Tensor], seed: int
) -> Tensor:
    """For each text the best of STARTS random pictures, T3SS: an optimisation from there need not go far.

    From far away it ends at pictures that only the model finds right: fire all green (seen). MMIST starts from the
    best of 128 random latents for the same reason (gen_style_reps.py).
    """
    contents_NCHW, sources_ND = (tensor[:PHOTOGRAPHS] for tensor in tried_on)
    starts_M3SS = random_pictures(STARTS, torch.Generator().manual_seed(seed)).to(encoder.device)
    losses = []
    for start_3SS in starts_M3SS:
        outputs_NCHW = stylize(contents_NCHW, start_3SS.expand_as(contents_NCHW))
        moves_N1D = unit_directions(embed_pixels(encoder, outputs_NCHW), sources_ND)[:, None]
        losses.append(directional_losses(moves_N1D, targets_T1D).mean(0))
    return starts_M3SS[torch.stack(losses).argmin(0)]


def random_pictures(count: int, generator: torch.Generator) -> Tensor:
    """Blots and strokes of three random colours each, M3SS in [0, 1]."""
    pictures = []
    for _ in range(count):
        colours_K3 = torch.rand(3, 3, generator=generator) ** float(torch.rand(1, generator=generator) * 2 + 0.5)
        cells = [int(side) for side in 2 ** torch.randint(1, 6, (2,), generator=generator)]
        noise_1KHW = 6 * torch.randn(1, 3, *cells, generator=generator)
        shares_KSS = F.interpolate(noise_1KHW, (SIDE, SIDE), mode="bicubic", align_corners=False)[0].softmax(0)
        pictures.append(torch.einsum("khw,kc->chw", shares_KSS, colours_K3))
    return torch.stack(pictures).clamp(0.02, 0.98)


def text_losses(
    encoder: ClipEncoder,
    outputs_PCHW: Tensor,
    sources_PD: Tensor,
    targets_T1D: Tensor,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Of each text, over its own outputs (P is T times PHOTOGRAPHS): whole outputs and their crops."""
    texts = len(targets_T1D)
    per_output = [generator for generator in generators for _ in range(PHOTOGRAPHS)]
    crops = draw_crops(per_output, CROPS, CROP_SIDE, (SIDE, SIDE))
    whole_P1D = unit_directions(embed_pixels(encoder, outputs_PCHW), sources_PD)[:, None]
    patches_PKD = unit_directions(embed_crops(encoder, outputs_PCHW, crops), sources_PD[:, None])
    total_T = torch.zeros(texts, device=outputs_PCHW.device)
    for weight, directions_PKD, threshold in (
        (WHOLE_WEIGHT, whole_P1D, 0.0),
        (PATCH_WEIGHT, patches_PKD, THRESHOLD),
    ):
        losses_PT = directional_losses(directions_PKD, targets_T1D, threshold)
        own_TT = losses_PT.unflatten(0, (texts, PHOTOGRAPHS)).mean(1)
        total_T = total_T + weight * own_TT.diagonal()
    return total_T


def first_grids(texts: int) -> list[Tensor]:
    """What is added to the start, as T3GG of several sides: nothing yet."""
    return [torch.zeros(texts, 3, side, side) for side in GRIDS]


def compose(starts_T3SS: Tensor, grids: Sequence[Tensor]) -> Tensor:
    """The pictures T3SS in [0, 1]: starts, changed by the sum of the grids (of logits)."""
    grown = [F.interpolate(grid, (SIDE, SIDE), mode="bicubic", align_corners=False) for grid in grids]
    return torch.sigmoid(torch.logit(starts_T3SS) + torch.stack(grown).sum(0))


def squares(photographs: Sequence[Pixels], side: int) -> Tensor:
    """Centred squares of pictures, N3SS in [0, 1]."""
    return torch.cat(
        [_square(torch.tensor(pixels_HWC).permute(2, 0, 1)[None] / 255, side) for pixels_HWC in photographs]
    )


def _square(image_1CHW: Tensor, side: int) -> Tensor:
    height, width = image_1CHW.shape[-2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    cut = image_1CHW[..., top : top + short, left : left + short]
    return F.interpolate(cut, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
