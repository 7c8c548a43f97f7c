"""Where in CLIP the pictures of a style lead: one vector a content, whatever a style is made of.

Dimension key: R references, C contents, Q patches of a style picture, D embedding, S side, H and W pixels.

MMIST's loss (loss_fn.py; equations 1 and 2 with its threshold at 0, as it is run) is a sum over references of weight *
the mean over all pairs of 1 - cosine. Cosines of unit vectors are bilinear, so the mean over pairs is a product of
means, and the sum over references a product with one vector: the weighted mean of the references' mean directions. A
step costs the same for one reference and for twenty.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.placement import autocast
from tasks.losses.clip import embed_crops, embed_pixels, text_directions, unit_directions
from tasks.losses.crops import draw_crops
from tasks.methods.base import Style
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.seeds import make_seed
from tasks.methods.text_pictures import cut_square, squares
from tasks.samples.photographs import neutral_photographs

AT_ONCE = 256  # pictures or patches through CLIP without a gradient


@dataclass(frozen=True)
class Goal:
    """One picture that is sought: its target for each content, CD, and the seed of all that is drawn for it.

    `style` tells apart the styles of a batch, each of which has several.
    """

    targets_CD: Tensor
    seed: int
    style: int = 0


@dataclass(frozen=True)
class Contents:
    """Photographs, squares of the pictures' size, and where CLIP sees them."""

    pictures_C3SS: Tensor
    embeddings_CD: Tensor


class GoalReader:
    """Reads styles with one CLIP, against the neutral photographs as contents."""

    def __init__(self, encoder: ClipEncoder, settings: MmistSettings) -> None:
        self.encoder, self.settings = encoder, settings
        self.contents_C3SS = squares(neutral_photographs(), settings.size).to(encoder.device)
        with torch.no_grad(), autocast(torch.device(encoder.device), settings.precision):
            parts = [embed_pixels(encoder, part_N3SS) for part_N3SS in self.contents_C3SS.split(AT_ONCE)]
        self.contents_CD = torch.cat(parts).float()
        self._texts: dict[str, Tensor] = {}  # directions, D: every picture of a style is sought along the same

    @property
    def contents(self) -> Contents:
        """The photographs that directions start from."""
        return Contents(self.contents_C3SS, self.contents_CD)

    def read(self, style: Style, number: int, seed: int, place: int = 0) -> Goal:
        """The goal of one of a style's pictures; patches of its references are drawn anew for each (gen_style_reps.py).

        `number` tells the pictures of a style apart, `place` the styles of a batch; `seed` comes on top of both.
        """
        total_CD = torch.zeros_like(self.contents_CD)
        for reference, weight in zip(style.references, style.weights(), strict=True):
            if reference.text is not None:
                total_CD = total_CD + weight * self._text_direction(reference.text)
            elif reference.image_CHW is not None:
                total_CD = total_CD + weight * self._patch_directions(reference.image_CHW, make_seed(seed, number, 1))
        return Goal(total_CD, make_seed(seed, number), place)

    @torch.no_grad()
    def _text_direction(self, text: str) -> Tensor:
        if text not in self._texts:
            self._texts[text] = text_directions(self.encoder, [text], self.settings.source)[0]
        return self._texts[text]

    @torch.no_grad()
    def _patch_directions(self, picture_CHW: Tensor, seed: int) -> Tensor:
        """Mean direction from each content to the patches of a picture, CD; not of unit length."""
        settings, square_13SS = self.settings, self._square(picture_CHW)
        generator = torch.Generator().manual_seed(seed)
        crops = draw_crops([generator], settings.crops, settings.crop_size, (settings.size, settings.size))
        with autocast(square_13SS.device, settings.precision):
            patches_QD = embed_crops(self.encoder, square_13SS, crops)[0].float()
        return unit_directions(patches_QD[None], self.contents_CD[:, None]).mean(1)

    def _square(self, picture_CHW: Tensor) -> Tensor:
        """The centre of a picture at the size of those that are sought."""
        return cut_square(picture_CHW[None].to(self.encoder.device), self.settings.size)
