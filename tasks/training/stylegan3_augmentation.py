"""What a discriminator is shown in place of images: changed alike whether real or made, gradients passing through.

Dimension key: N images, C channels (RGB), H and W pixels.

Colours, shifts and holes are those of Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training,
NeurIPS 2020, section 3.2, each on a share of the images, after Karras et al., Training Generative Adversarial Networks
with Limited Data, NeurIPS 2020 (what is sometimes left out cannot leak into what is made). The blur that fades is
StyleGAN3's (Karras et al., NeurIPS 2021, appendix F), for a generator that starts with low frequencies.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT = 1 / 8  # of the side, at most
HOLE = 1 / 2  # of the side


class Augmentation:
    """Draws from one generator, of the images' device; each kind on a share of images, independently."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        self.share, self.generator = share, generator

    def __call__(self, images_NCHW: Tensor) -> Tensor:
        """Images in [-1, 1], and a little out of it where colours were changed; same shape."""
        for change in (self.change_colours, self.shift, self.cut):
            chosen_N = self.uniform(len(images_NCHW)) < self.share
            images_NCHW = torch.where(chosen_N[:, None, None, None], change(images_NCHW), images_NCHW)
        return images_NCHW

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.generator.device)

    def change_colours(self, images_NCHW: Tensor) -> Tensor:
        """Another brightness, saturation and contrast."""
        bright, saturated, contrasting = self.uniform(3, len(images_NCHW), 1, 1, 1)
        images_NCHW = images_NCHW + bright - 0.5
        grey_N1HW = images_NCHW.mean(1, keepdim=True)
        images_NCHW = torch.lerp(grey_N1HW, images_NCHW, 2 * saturated)
        mean_N111 = images_NCHW.mean((1, 2, 3), keepdim=True)
        return torch.lerp(mean_N111, images_NCHW, contrasting + 0.5)

    def shift(self, images_NCHW: Tensor) -> Tensor:
        """Moved by whole pixels, grey beyond the edge."""
        count, _, height, width = images_NCHW.shape
        rows_NH = self.shifted(count, height)
        columns_NW = self.shifted(count, width)
        padded = F.pad(images_NCHW, (1, 1, 1, 1))
        picked = padded.gather(2, rows_NH[:, None, :, None].expand(-1, images_NCHW.shape[1], -1, width + 2))
        return picked.gather(3, columns_NW[:, None, None, :].expand(-1, images_NCHW.shape[1], height, -1))

    def shifted(self, count: int, side: int) -> Tensor:
        """For each place of an axis, the place it shows, in a picture with a border of one."""
        most = max(1, int(side * SHIFT))
        by_N1 = torch.randint(-most, most + 1, (count, 1), generator=self.generator, device=self.generator.device)
        return (torch.arange(side, device=by_N1.device) + by_N1 + 1).clamp(0, side + 1)

    def cut(self, images_NCHW: Tensor) -> Tensor:
        """A square of grey somewhere, partly beyond the edge."""
        count, _, height, width = images_NCHW.shape
        inside_NH, inside_NW = (self.covered(count, side) for side in (height, width))
        return images_NCHW.masked_fill(inside_NH[:, None, :, None] & inside_NW[:, None, None, :], 0)

    def covered(self, count: int, side: int) -> Tensor:
        centre_N1 = self.uniform(count, 1) * side
        return (torch.arange(side, device=centre_N1.device) + 0.5 - centre_N1).abs() < side * HOLE / 2


def blur(images_NCHW: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of that width in pixels, of what is within the edges; as they are under a quarter of a pixel."""
    if sigma < 0.25:
        return images_NCHW
    # As products of matrices: convolutions of so few channels and so wide kernels are what GPUs are slowest at.
    down_HH, across_WW = (gaussian(side, sigma).to(images_NCHW) for side in images_NCHW.shape[2:])
    return down_HH @ images_NCHW @ across_WW.T


def gaussian(side: int, sigma: float) -> Tensor:
    """The matrix that blurs a line of that many pixels; each row adds to 1."""
    places_S = torch.arange(side)
    weights_SS = (-0.5 * ((places_S[:, None] - places_S) / sigma) ** 2).exp()
    return weights_SS / weights_SS.sum(1, keepdim=True)


def fading_sigma(sigma: float, images: int, until: int) -> float:
    """The blur's width after so many images, falling linearly to 0 at `until`."""
    return sigma * max(0.0, 1 - images / until) if until > 0 else 0.0
