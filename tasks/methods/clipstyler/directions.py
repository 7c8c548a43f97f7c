"""Where a style leads in CLIP: directions of its texts and pictures, as a representation keeps them.

Dimension key: N images, K patches of each, R references, Q patches of a reference (1 of a text), D embedding,
C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.losses.clip import directional_losses, embed_crops, embed_pixels, text_directions, unit_directions
from tasks.losses.crops import draw_crops
from tasks.methods.base import Reference, Representation, Style
from tasks.methods.pictures import fit_picture
from tasks.samples.photographs import neutral_photographs


@dataclass(frozen=True)
class Target:
    """Unit directions of one reference: of the whole, 1D, and of its patches, QD."""

    whole_1D: Tensor
    patches_QD: Tensor


@dataclass(frozen=True)
class Targets:
    """The references of one style, and their weights, which sum to 1."""

    weights: tuple[float, ...]
    references: tuple[Target, ...]

    def only(self, index: int) -> Targets:
        """One of the references, as if it were the whole style."""
        return Targets((1.0,), (self.references[index],))

    def whole_losses(self, directions_ND: Tensor) -> Tensor:
        """CLIPstyler's directional loss (equation 2) against each reference, mixed by weight: N."""
        return self._mix([directional_losses(directions_ND[:, None], t.whole_1D[None]) for t in self.references])

    def patch_losses(self, directions_NKD: Tensor, threshold: float) -> Tensor:
        """CLIPstyler's patch loss with threshold (equations 3 and 4), of pictures over all pairs of patches: N."""
        losses = [directional_losses(directions_NKD, t.patches_QD[None], threshold) for t in self.references]
        return self._mix(losses)

    def _mix(self, losses: Sequence[Tensor]) -> Tensor:
        mixed_N1 = torch.stack([weight * loss_N1 for weight, loss_N1 in zip(self.weights, losses, strict=True)]).sum(0)
        return mixed_N1[:, 0]


@dataclass(frozen=True)
class Directions:
    """Reads texts and pictures with one CLIP. A picture's directions start from the neutral photographs' mean.

    `crops` tilted patches of `crop_size` are cut from a picture of at most `style_size`, drawn from the seed.
    """

    encoder: ClipEncoder
    source: str  # words for a content
    style_size: int
    crops: int
    crop_size: int
    seed: int

    def of(self, reference: Reference) -> Target:
        if reference.text is None:
            assert reference.image_CHW is not None  # a reference is one or the other (tasks/styles.py)
            return self.of_picture(reference.image_CHW)
        direction_1D = text_directions(self.encoder, [reference.text], self.source)
        return Target(direction_1D, direction_1D)

    @torch.no_grad()
    def of_picture(self, picture_CHW: Tensor) -> Target:
        picture_1CHW = fit_picture(picture_CHW, self.style_size).to(self.encoder.device)[None]
        height, width = picture_1CHW.shape[-2:]
        generator = torch.Generator().manual_seed(self.seed)
        drawn = draw_crops([generator], self.crops, self.crop_size, (height, width))
        return Target(
            unit_directions(embed_pixels(self.encoder, picture_1CHW), self.neutral_D),
            unit_directions(embed_crops(self.encoder, picture_1CHW, drawn)[0], self.neutral_D),
        )

    @cached_property
    def neutral_D(self) -> Tensor:
        """Mean embedding of the neutral photographs, seen as pictures are here."""
        device, photographs = self.encoder.device, map(torch.from_numpy, neutral_photographs())
        images = (pixels_HWC.to(device).permute(2, 0, 1)[None] / 255 for pixels_HWC in photographs)
        return torch.cat([embed_pixels(self.encoder, image_1CHW) for image_1CHW in images]).mean(0)


def keep_targets(style: Style, directions: Directions) -> Representation:
    """`weights` (R) and, of reference k, `whole<k>` (1D) and `patches<k>` (QD)."""
    kept = {"weights": torch.tensor(style.weights())}
    for index, reference in enumerate(style.references):
        target = directions.of(reference)
        kept |= {f"whole{index}": target.whole_1D.cpu(), f"patches{index}": target.patches_QD.cpu()}
    return Representation(kept)


def read_targets(rep: Representation, device: torch.device) -> Targets:
    """What `keep_targets` kept, on a device."""
    weights = tuple(rep.tensors["weights"].tolist())
    names = [(f"whole{index}", f"patches{index}") for index in range(len(weights))]
    return Targets(weights, tuple(Target(*(rep.tensors[name].to(device) for name in pair)) for pair in names))
