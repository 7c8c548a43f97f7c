"""How good a small latent diffusion model is, in numbers: what its autoencoder loses, and what a CLIP sees in samples.

Dimension key: N pictures, S styles, P phrasings, D embedding; pictures are N3hw of equal sides in [0, 1].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.training.clip_figures import embed_unseen
from tasks.training.data import Pictures, centre_square
from tasks.training.diffusion_autoencoder import reconstruct
from tasks.training.diffusion_pictures import ART, PHOTOGRAPH
from tasks.training.diffusion_sampling import sample
from tasks.training.diffusion_settings import DiffusionSettings
from tasks.training.renderings.catalogue import RENDERINGS
from tasks.training.stylegan3_figures import kernel_distance

JUDGE = "embedded:clip-judge-small"  # not the one whose text tower was in the training
SAMPLES = 64  # pictures of a photograph, and of art
STYLES, EACH = 27, 2  # evenly spaced styles, and pictures of each
FIRST_SEED = 1_000  # apart from those of sheets


def measure_diffusion(pipeline: Any, settings: DiffusionSettings, photos: Pictures, art: Pictures) -> dict[str, Any]:
    """Figures on unseen photographs and art, at the size of training; rounded."""
    judge = open_clip_model(JUDGE, str(pipeline.device))
    unseen = {"photos": squares(photos, settings.size), "art": squares(art, settings.size)}
    lost = {name: measure_loss(pipeline.vae, images_N3hw) for name, images_N3hw in unseen.items()}
    distances = measure_distances(pipeline, judge, settings, unseen)
    found = measure_styles(pipeline, judge, settings)
    return {"judge": JUDGE, "reconstruction": lost, "distances": distances, "styles": found}


def squares(pictures: Pictures, size: int) -> Tensor:
    return torch.stack([centre_square(image, size) for image in pictures.images])


def measure_loss(autoencoder: Any, images_N3hw: Tensor) -> dict[str, float]:
    """Mean absolute difference of pictures and what comes back, and their mean peak signal to noise ratio in dB."""
    made_N3hw = reconstruct(autoencoder, images_N3hw)
    ratios_N = -10 * (made_N3hw - images_N3hw).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
    return {
        "difference": round(float(F.l1_loss(made_N3hw, images_N3hw)), 4),
        "psnr": round(float(ratios_N.mean()), 2),
        "pictures": len(images_N3hw),
    }


def measure_distances(
    pipeline: Any, judge: ClipEncoder, settings: DiffusionSettings, unseen: dict[str, Tensor]
) -> dict[str, float]:
    """Kernel distances of samples to unseen pictures of their kind; and of the unseen kinds, to read them by.

    "round trip" are the unseen pictures as the autoencoder gives them back: no sample can be expected nearer.
    """
    captions = {"photos": RENDERINGS[PHOTOGRAPH].phrases[0], "art": ART[0]}
    real = {name: judge.embed_images(images_N3hw).cpu() for name, images_N3hw in unseen.items()}
    figures = {"kid_of_photos_to_art": kernel_distance(real["photos"], real["art"])}
    for name, caption in captions.items():
        made_ND = judge.embed_images(draw(pipeline, settings, [caption] * SAMPLES)).cpu()
        back_ND = judge.embed_images(reconstruct(pipeline.vae, unseen[name])).cpu()
        figures[f"kid_of_samples_to_{name}"] = kernel_distance(made_ND, real[name])
        figures[f"kid_of_round_trip_to_{name}"] = kernel_distance(back_ND, real[name])
    return {name: round(value, 4) for name, value in figures.items()}


def measure_styles(pipeline: Any, judge: ClipEncoder, settings: DiffusionSettings) -> dict[str, float]:
    """How often the judge finds, among all renderings, the one whose phrase a picture was sampled from."""
    count = min(STYLES, len(RENDERINGS))
    asked = [index * len(RENDERINGS) // count for index in range(count) for _ in range(EACH)]
    made_ND = judge.embed_images(draw(pipeline, settings, [RENDERINGS[style].phrases[0] for style in asked]))
    means_SD = F.normalize(torch.stack([texts_PD.mean(0) for texts_PD in embed_unseen(judge)]), dim=-1)
    order_NS = (made_ND @ means_SD.T).argsort(dim=1, descending=True).cpu()
    right_NS = order_NS == torch.tensor(asked)[:, None]
    return {
        "top1": round(float(right_NS[:, 0].float().mean()), 4),
        "top5": round(float(right_NS[:, :5].any(1).float().mean()), 4),
        "asked": count,
        "styles": len(RENDERINGS),
        "pictures": len(asked),
    }


def draw(pipeline: Any, settings: DiffusionSettings, captions: list[str]) -> Tensor:
    """A picture of each caption, of seeds that no sheet shows."""
    seeds = range(FIRST_SEED, FIRST_SEED + len(captions))
    return sample(pipeline, captions, seeds, settings.denoiser.guidance, settings.denoiser.sampling_steps)
