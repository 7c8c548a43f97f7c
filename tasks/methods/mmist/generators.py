"""What a style's pictures are made by: a StyleGAN3 in its space W+, or Fourier coefficients without any prior.

Dimension key: N pictures, V views of each (and their side), C contents, S side of a picture; L rows of a latent in W+,
W its width, Z of a first latent; K columns of a half spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.methods.mmist.settings import MmistSettings, Stylegan3Settings
from tasks.methods.starting_pictures import color_by_ramp, draw_ramp, level_of

if TYPE_CHECKING:
    from tasks.encoders.stylegan3.generator import Generator

# Square roots of the covariance of ImageNet's colours, by its eigenvectors (Olah et al., Feature Visualization, Distill
# 2017; tensorflow/lucid, misc/io/color.py): red, green and blue of each of three uncorrelated channels.
COLORS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
# A coefficient of a frequency, in cycles a picture, is this over the frequency times what is optimised, so that Adam's
# equal steps change large shapes more than grain, as the spectra of natural pictures fall.
FOURIER_STEP = 0.5
VIEWS = 8  # contents that each ramp is tried on, the most different ones: on one alone, a cat in blue was fire
VIEW_SIDE = 128  # of those, in pixels: what the embedded CLIPs see
EDGE = 0.02  # a first picture stays this far from black and white, where a logit has no end
CHECKPOINT_FROM = 256  # pixels a side of a generator whose layers are computed twice rather than kept


@dataclass(frozen=True)
class Drawn:
    """Random first latents, N; and of what their pictures are made, if of contents, in a style without texture.

    `views_NV3VV` show V contents (numbers_NV) in the style of each, small; the first is the latent's own picture.
    """

    latents: Tensor
    views_NV3VV: Tensor | None = None
    numbers_NV: Tensor | None = None


class PictureGenerator(Protocol):
    """Latents to pictures; gradients pass to the latents, whose first dimension is N."""

    side: int
    periodic: bool  # whether pictures go on round their borders

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """Random first latents."""

    def pictures(self, latents: Tensor) -> Tensor:
        """Pictures_N3SS in [0, 1]."""


class StyleganPictures:
    """Pictures of a StyleGAN3: the rows of W+ are equal at first, and then each is free (gen_style_reps.py)."""

    periodic = False

    def __init__(
        self, network: Generator, size: int, psi: float, device: torch.device, half: torch.dtype | None = None
    ) -> None:
        self.network, self.psi, self.device, self.half = network, psi, device, half
        self.checkpoint = network.config.resolution >= CHECKPOINT_FROM
        self.resolution = network.config.resolution
        self.side = min(size, self.resolution)

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        # One by one: how torch draws several together depends on how many they are.
        size = self.network.config.z_size
        z_NZ = torch.stack([torch.randn(size, generator=generator) for _ in range(count)])
        with torch.no_grad():
            return Drawn(self.network.map(z_NZ.to(self.device), psi=self.psi))

    def pictures(self, latents: Tensor) -> Tensor:
        """The generator's, brought from [-1, 1] to [0, 1] and averaged down to `side` (model_bridge.py)."""
        checkpoint = torch.is_grad_enabled() and self.checkpoint
        images_N3RR = self.network.synthesize(latents, checkpoint=checkpoint, half=self.half)
        return (F.adaptive_avg_pool2d(images_N3RR, self.side) * 0.5 + 0.5).clamp(0, 1)


class FourierPictures:
    """Pictures as their half spectra in uncorrelated colours, before a sigmoid.

    After Olah et al., Feature Visualization, Distill 2017. The ablation of MMIST's generator: nothing is known of art.
    """

    periodic = True

    def __init__(self, contents_C3SS: Tensor) -> None:
        self.side, device = contents_C3SS.shape[-1], contents_C3SS.device
        self.levels = [level_of(content_3SS) for content_3SS in contents_C3SS]
        seen_C3VV = F.interpolate(contents_C3SS[:VIEWS], (VIEW_SIDE, VIEW_SIDE), mode="bicubic", align_corners=False)
        self.seen_levels = [level_of(content_3VV) for content_3VV in seen_C3VV]
        size = self.side
        down_S1 = torch.fft.fftfreq(size)[:, None] * size
        across_K = torch.fft.rfftfreq(size) * size
        cycles_SK = (down_S1.square() + across_K.square()).sqrt().clamp_min(1)
        self.scale_SK = (FOURIER_STEP * size / cycles_SK).to(device)
        colors_33 = torch.tensor(COLORS, device=device)
        self.colors_33 = colors_33 / colors_33.norm(dim=0).max()
        self.uncolors_33 = torch.linalg.inv(self.colors_33)

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """Spectra, N3SK2, real and imaginary parts, of contents in random ramps of colour."""
        drawn = [self._draw_views(generator) for _ in range(count)]
        pictures_N3SS, views_NV3VV, numbers_NV = (torch.stack(some) for some in zip(*drawn, strict=True))
        return Drawn(self.analyse(pictures_N3SS), views_NV3VV, numbers_NV)

    def _draw_views(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A content in a random ramp, 3SS; the same few, that one first, as CLIP sees them; and which they are."""
        count = len(self.seen_levels)
        numbers_V = torch.arange(count).roll(int(torch.randint(count, (), generator=generator)))
        numbers, ramp = numbers_V.tolist(), draw_ramp(generator)
        views = [color_by_ramp(self.seen_levels[number], ramp) for number in numbers]
        return color_by_ramp(self.levels[numbers[0]], ramp), torch.stack(views), numbers_V

    def analyse(self, pictures_N3SS: Tensor) -> Tensor:
        """The latents of pictures: the inverse of `pictures`, but for what is nearly black or white."""
        logits_N3SS = torch.logit(pictures_N3SS.clamp(EDGE, 1 - EDGE))
        channels_N3SS = torch.einsum("ij,njhw->nihw", self.uncolors_33, logits_N3SS)
        return torch.view_as_real(torch.fft.rfft2(channels_N3SS, norm="ortho") / self.scale_SK)

    def pictures(self, latents: Tensor) -> Tensor:
        spectra_N3SK = torch.view_as_complex(latents.contiguous()) * self.scale_SK
        channels_N3SS = torch.fft.irfft2(spectra_N3SK, s=(self.side, self.side), norm="ortho")
        return torch.sigmoid(torch.einsum("ij,njhw->nihw", self.colors_33, channels_N3SS))


def open_pictures(settings: MmistSettings, contents_C3SS: Tensor) -> PictureGenerator:
    """The generator of these settings, on the device of the contents; these are squares of `size` pixels.

    Raises RequestError where its weights cannot be had, or are another network's.
    """
    chosen, device = settings.generator, contents_C3SS.device
    if isinstance(chosen, Stylegan3Settings):
        from tasks.encoders.stylegan3.loading import open_generator

        network = open_generator(chosen.weights, str(device))
        # As the authors' code has it there; a CPU has no fast arithmetic of it.
        half = torch.float16 if device.type == "cuda" and settings.precision != "float32" else None
        return StyleganPictures(network, settings.size, chosen.psi, device, half)
    return FourierPictures(contents_C3SS)
