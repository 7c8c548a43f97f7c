"""The first stage: an autoencoder whose latents keep what is seen of a picture.

Dimension key: N pictures, C channels (RGB), S side; h, w sides of latents.

The losses are those of Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022
(appendix G), without the adversary, which a short training does not get to.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from diffusers.models import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.training.data import Pictures, centre_square, draw_crops, step_generator
from tasks.training.diffusion_networks import build_autoencoder, reduction
from tasks.training.diffusion_settings import LATENTS, DiffusionSettings
from tasks.training.perception import Perceptual
from tasks.training.renders import Renders

SHOWN = 16  # pictures on a sheet
ORIGINALS, VIEWS, NOISE = 0, 1, 2  # purposes of random numbers


class AutoencoderRecipe:
    """Crops of the pictures and of their renders, half and half, there and back."""

    def __init__(
        self,
        originals: Pictures,
        renders: Renders,
        perceptual: Perceptual,
        settings: DiffusionSettings,
        device: torch.device,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.originals = settings, originals
        views = [view_SS3 for views_VSS3 in renders.views_RVSS3 for view_SS3 in views_VSS3]
        self.views = Pictures(views, [""] * len(views), skipped=0)
        self.network: nn.Module = build_autoencoder(settings)
        self.perceptual = perceptual.to(device)

    def describe(self) -> dict[str, Any]:
        """The settings, and counts of what there is to learn."""
        settings = self.settings
        known = {"network": "autoencoder", "size": settings.size, "seed": settings.seed, **asdict(settings.autoencoder)}
        return {**known, "originals": len(self.originals), "views": len(self.views)}

    def draw(self, step: int) -> dict[str, Tensor]:
        """`images` N3SS in [0, 1], and the `noise` NChw of their latents."""
        chosen, size, seed = self.settings.autoencoder, self.settings.size, self.settings.seed
        half = chosen.batch // 2
        places = size // reduction(self.settings)
        rngs = [step_generator(seed, step, purpose) for purpose in (ORIGINALS, VIEWS, NOISE)]
        originals = draw_crops(self.originals, chosen.batch - half, size, rngs[0], chosen.recolour)
        views = draw_crops(self.views, half, size, rngs[1])
        noise = rngs[2].standard_normal((chosen.batch, LATENTS, places, places), dtype="float32")
        return {"images": torch.cat([originals, views]), "noise": torch.from_numpy(noise)}

    def loss(
        self,
        network: nn.Module,
        batch: dict[str, Tensor],
        step: int,  # noqa: ARG002 (the loss does not change over the run)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Absolute and perceived difference, and how far latents are from a normal distribution, as a mean."""
        assert isinstance(network, AutoencoderKL)
        chosen, images_N3SS = self.settings.autoencoder, batch["images"]
        latents = network.encode(2 * images_N3SS - 1).latent_dist
        made_N3SS = (network.decode(latents.mean + latents.std * batch["noise"]).sample + 1) / 2
        parts = {
            "difference": F.l1_loss(made_N3SS.float(), images_N3SS),
            "perceived": perceived(self.perceptual, made_N3SS, images_N3SS),
            "kl": latents.kl().mean() / latents.mean[0].numel(),
        }
        total = parts["difference"] + chosen.perceptual_weight * parts["perceived"] + chosen.kl_weight * parts["kl"]
        return total, parts

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> Tensor:
        """Squares of pictures that it is trained on, and below each what comes back."""
        places = [index * len(self.originals) // SHOWN for index in range(SHOWN)]
        squares = [centre_square(self.originals.images[place], self.settings.size) for place in places]
        images_N3SS = torch.stack(squares)
        pairs_N3DS = torch.cat([images_N3SS, reconstruct(network, images_N3SS)], dim=2)
        rows = [torch.cat(list(row), dim=2) for row in pairs_N3DS.split(SHOWN // 2)]
        return torch.cat(rows, dim=1)


def perceived(perceptual: Perceptual, first_N3SS: Tensor, second_N3SS: Tensor) -> Tensor:
    """How different two pictures are to a VGG, position by position; mean over relu1_1 to relu4_1, 0 to 2.

    Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018, equation 1 with
    all weights 1: squared difference of features whose channels have unit length.
    """
    levels = zip(perceptual.style(first_N3SS), perceptual.style(second_N3SS), strict=True)
    return torch.stack([unit_difference(*level) for level in levels]).mean()


def unit_difference(first_NChw: Tensor, second_NChw: Tensor) -> Tensor:
    difference_NChw = F.normalize(first_NChw, dim=1, eps=1e-6) - F.normalize(second_NChw, dim=1, eps=1e-6)
    return difference_NChw.square().sum(1).mean()


@torch.no_grad()
def reconstruct(network: nn.Module, images_N3SS: Tensor) -> Tensor:
    """Pictures in [0, 1], of sides that the levels divide, to latents and back, on the CPU."""
    assert isinstance(network, AutoencoderKL)
    inputs_N3SS = 2 * images_N3SS.to(network.device) - 1
    made = [network.decode(network.encode(part).latent_dist.mean).sample for part in inputs_N3SS.split(SHOWN)]
    return ((torch.cat(made).float() + 1) / 2).clamp(0, 1).cpu()
