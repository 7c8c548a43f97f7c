"""CLIP scores of stylized pictures: to the style's texts and pictures, to the content, and along the style's direction.

Dimension key: N contents, P outputs (pairs), C channels, H height, W width, R references, D embedding.

Every score is a cosine of embeddings of unit length, so a weighted mean of cosines to several references is the
product with their weighted mean: a style is three vectors, however many references it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.images.fitting import Pixels
from tasks.methods.base import Reference, Style

NEUTRAL_TEXT = "a photo"
# Embeddings of one picture differ by about 1e-6 with the batch it is in; what is shorter has no direction.
SHORTEST = 1e-4


@dataclass(frozen=True)
class Scores:
    """Cosines of one output, -1 to 1. None where the style, or a prompt in the content's place, gives nothing to
    compare with.

    A difference without length has no direction: where the output did not move from its content `clip_direction`
    is 0, and a reference that is the neutral text or photograph itself adds 0 to the mean.
    """

    clip_text: float | None
    clip_image: float | None
    clip_content: float | None
    clip_direction: float | None


@dataclass(frozen=True)
class StyleTargets:
    """What outputs of a style are compared with; None where it has no such reference.

    `text_D`, `image_D`: weighted means of the references' embeddings; `direction_D`: of their unit directions.
    """

    text_D: Tensor | None
    image_D: Tensor | None
    direction_D: Tensor | None


class ClipScorer:
    """Scores outputs with one CLIP model. Neutral photographs stand for a picture without a style."""

    def __init__(self, encoder: ClipEncoder, neutral_images: Sequence[Pixels]) -> None:
        self.encoder, self.neutral_images = encoder, neutral_images

    @property
    def model(self) -> str:
        """Name of the model, for the records: scores of two models are not comparable."""
        return self.encoder.name

    def prepare(self, styles: Sequence[Style]) -> list[StyleTargets]:
        """Embed the references of styles, all of them together, once a run."""
        references = [reference for style in styles for reference in style.references]
        embeddings_RD = self._embed_references(references)
        directions_RD = self._directions(references, embeddings_RD)
        targets, start = [], 0
        for style in styles:
            end = start + len(style.references)
            targets.append(_targets(style.references, embeddings_RD[start:end], directions_RD[start:end]))
            start = end
        return targets

    def embed_contents(self, images: Tensor | Sequence[Tensor | Pixels]) -> Tensor:
        """Embeddings_ND of resized contents, once for all their styles; see `ClipEncoder.embed_images`."""
        return self.encoder.embed_images(images)

    def score(
        self, outputs: Tensor | Sequence[Tensor | Pixels], contents_PD: Tensor | None, targets: Sequence[StyleTargets]
    ) -> list[Scores]:
        """Scores of P outputs in 8 bits (any sizes), given their contents' embeddings and their styles' targets.

        Outputs of prompts have no contents (None): nothing to be near to, nor to move from.
        """
        if not targets:
            return []
        outputs_PD = self.encoder.embed_images(outputs)
        starts_PD = outputs_PD if contents_PD is None else contents_PD
        columns = [
            _dot(outputs_PD, [target.text_D for target in targets]),
            _dot(outputs_PD, [target.image_D for target in targets]),
            (outputs_PD * starts_PD).sum(1),
            _dot(_unit_or_zero(outputs_PD - starts_PD), [target.direction_D for target in targets]),
        ]
        rows = torch.stack(columns, 1).clamp(-1, 1).tolist()  # one wait for the device
        return [
            Scores(
                clip_text=None if target.text_D is None else text,
                clip_image=None if target.image_D is None else image,
                clip_content=None if contents_PD is None else content,
                clip_direction=None if contents_PD is None or target.direction_D is None else direction,
            )
            for (text, image, content, direction), target in zip(rows, targets, strict=True)
        ]

    def compare_directions(
        self, outputs: Tensor | Sequence[Tensor | Pixels], contents_PD: Tensor, targets: Sequence[StyleTargets]
    ) -> Tensor:
        """Cosines_SP of P outputs' moves with the directions of S styles, whether meant for them or not.

        Where an output was meant for style s, this is its `clip_direction`.
        """
        moves_PD = _unit_or_zero(self.encoder.embed_images(outputs) - contents_PD)
        zeros_D = moves_PD.new_zeros(self.encoder.size)
        directions_SD = torch.stack([zeros_D if t.direction_D is None else t.direction_D for t in targets])
        return (directions_SD @ moves_PD.T).clamp(-1, 1)

    @cached_property
    def neutral_text_D(self) -> Tensor:
        """Embedding of `a photo`, from which a text's direction starts."""
        return self.encoder.embed_texts([NEUTRAL_TEXT])[0]

    @cached_property
    def neutral_image_D(self) -> Tensor:
        """Mean of the neutral photographs' embeddings, from which a picture's direction starts."""
        return self.encoder.embed_images(self.neutral_images).mean(0)

    def _embed_references(self, references: Sequence[Reference]) -> Tensor:
        texts = {row: r.text for row, r in enumerate(references) if r.text is not None}
        images = {row: r.image_CHW for row, r in enumerate(references) if r.image_CHW is not None}
        embeddings_RD = torch.zeros(len(references), self.encoder.size, device=self.encoder.device)
        embeddings_RD[list(texts)] = self.encoder.embed_texts(list(texts.values()))
        embeddings_RD[list(images)] = self.encoder.embed_images(list(images.values()))
        return embeddings_RD

    def _directions(self, references: Sequence[Reference], embeddings_RD: Tensor) -> Tensor:
        """Unit directions from the neutral text or photographs; zero where a reference is the neutral one itself."""
        starts = [self.neutral_image_D if reference.text is None else self.neutral_text_D for reference in references]
        return _unit_or_zero(embeddings_RD - torch.stack(starts)) if starts else embeddings_RD


def _targets(references: Sequence[Reference], embeddings_RD: Tensor, directions_RD: Tensor) -> StyleTargets:
    weights_R = torch.tensor([reference.weight for reference in references], device=embeddings_RD.device)
    texts_R = torch.tensor([reference.text is not None for reference in references], device=embeddings_RD.device)
    return StyleTargets(
        text_D=_weighted_mean(embeddings_RD, weights_R * texts_R),
        image_D=_weighted_mean(embeddings_RD, weights_R * ~texts_R),
        direction_D=_weighted_mean(directions_RD, weights_R),
    )


def _weighted_mean(vectors_RD: Tensor, weights_R: Tensor) -> Tensor | None:
    """Mean over the references that weigh anything; None where none does."""
    total = weights_R.sum()
    return None if total == 0 else (weights_R / total) @ vectors_RD


def _unit_or_zero(vectors: Tensor) -> Tensor:
    lengths = vectors.norm(dim=-1, keepdim=True)
    return torch.where(lengths < SHORTEST, torch.zeros_like(vectors), vectors / lengths.clamp(min=SHORTEST))


def _dot(vectors_PD: Tensor, targets: Sequence[Tensor | None]) -> Tensor:
    """Product of each row with its own target; 0 where there is none."""
    zeros_D = torch.zeros_like(vectors_PD[0])
    return (vectors_PD * torch.stack([zeros_D if target is None else target for target in targets])).sum(1)
