"""The networks through which a stylizer's losses see: an exact VGG as deep as it reaches, a cheap one below.

N images, C channels, H and W pixels; a level is a relu{k}_1 of a VGG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from tasks.encoders.vgg import NormalisedVgg, StudentVgg, open_perceptual
from tasks.records import RequestError
from tasks.training.loop import move
from tasks.weights.loading import load_tensors
from tasks.weights.references import resolve

CONTENT_LEVELS = 4  # the content loss reads relu3_1 and relu4_1

Vgg = NormalisedVgg | StudentVgg


class Perceptual:
    """Style features from an exact VGG as deep as it reaches; deeper ones and content from a cheap one.

    `fine` may be None: then all come from `deep`, which must reach relu4_1.
    """

    def __init__(self, fine: nn.Module | None, deep: nn.Module, fine_levels: int = 3) -> None:
        self.fine, self.deep = fine, deep
        self.levels = fine_levels if fine else 0

    def style(self, images_NCHW: Tensor) -> list[Tensor]:
        """relu1_1 to relu4_1, for the style loss."""
        return self.look(images_NCHW)[0]

    def look(self, images_NCHW: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """relu1_1 to relu4_1 for the style loss, and all levels of `deep`; float32, whatever they are computed in.

        Losses subtract squares of them.
        """
        deep = [level.float() for level in self.deep(images_NCHW)]
        fine = [level.float() for level in self.fine(images_NCHW)[: self.levels]] if self.fine else []
        return [*fine, *deep[self.levels : CONTENT_LEVELS]], deep

    def to(self, device: torch.device) -> Perceptual:
        for network in (self.fine, self.deep):
            if network:
                move(network, device)
        return self


def open_networks(references: Sequence[str | Path]) -> Perceptual:
    """The perceptual network of one or two files of VGG weights. RequestError where none is deep enough."""
    try:
        tensors = [load_tensors(resolve(str(reference))) for reference in references]
        networks = sorted(map(open_perceptual, tensors), key=count_levels)
    except ValueError as error:
        raise RequestError(f"perceptual weights: {error}") from error
    if len(networks) not in (1, 2) or count_levels(networks[-1]) < CONTENT_LEVELS:
        raise RequestError("perceptual weights: name one VGG encoder that reaches relu4_1, or two of which one does")
    fine = networks[0] if len(networks) == 2 else None
    return Perceptual(fine, networks[-1], count_levels(fine) if fine else 0)


def count_levels(network: Vgg) -> int:
    return len(network.ends) if isinstance(network, NormalisedVgg) else len(network.stages)
