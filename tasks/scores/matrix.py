"""The text-image similarity matrix: cosines, softmax at the model's own temperature, retrieval both ways, margins.

Dimension key: T texts (rows), N images (columns), D embedding, K retrieved; n images of a block, t texts of a block.

A raw CLIP cosine says little: matched pairs of ViT-B/32 lie near 0.2 to 0.35 whatever the subject, some texts are
near to every picture, and scales differ between models. Hence two differences:

- **margin** of text t on image n: its cosine minus the best of the *other* texts on that image. Positive on the
  image's nearest text alone, and then how far it leads; negative elsewhere, and then how far it is behind.
- **lift** of image n for text t: its cosine minus the text's mean over all images.

The softmax runs over the texts of an image, `softmax_T(logit_scale * cosine)`: zero-shot classification as in
Radford et al. 2021 (arXiv 2103.00020, section 3.1.2). A SigLIP model's bias cancels in it.

Nothing here holds T x N numbers: cosines are made again, block by block, from the embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 1 << 22  # cosines at a time: 16 MB
NO_TEXT = -1  # an image whose intended text is not known

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Nearest:
    """For each image: its K nearest texts, best first, with their margins and probabilities."""

    texts_NK: Integers
    margins_NK: Floats
    probabilities_NK: Floats


@dataclass(frozen=True)
class Intended:
    """For each image: rank (1 is best; 0 where no text is intended), margin and probability of its intended text.

    A text that ties with it does not push it down.
    """

    texts_N: Integers
    ranks_N: Integers
    margins_N: Floats
    probabilities_N: Floats

    @cached_property
    def known_N(self) -> NDArray[np.bool_]:
        """Whether an image has an intended text."""
        return self.texts_N != NO_TEXT


@dataclass(frozen=True)
class Retrieved:
    """For each text: its K nearest images, best first, with the text's margin on them and their lift."""

    images_TK: Integers
    margins_TK: Floats
    lifts_TK: Floats


class SimilarityMatrix:
    """Cosines of T texts and N images, from embeddings of unit length on the CPU."""

    def __init__(self, texts_TD: Tensor, images_ND: Tensor, logit_scale: float) -> None:
        self.texts_TD, self.images_ND, self.logit_scale = texts_TD.float(), images_ND.float(), logit_scale

    @property
    def shape(self) -> tuple[int, int]:
        """(texts, images)."""
        return len(self.texts_TD), len(self.images_ND)

    def rows(self) -> Iterator[tuple[int, Floats, Floats]]:
        """(first text, cosines_tN, probabilities_tN) of a few texts at a time, in order."""
        step = max(1, BLOCK // max(1, len(self.images_ND)))
        for start in range(0, len(self.texts_TD), step):
            cosines_tN = self._cosines(self.texts_TD[start : start + step], self.images_ND)
            yield start, cosines_tN.numpy(), self._softmax(cosines_tN, self.normalizer_N).numpy()

    def cosines(self, texts: Sequence[int], images: Sequence[int]) -> Floats:
        """The cosines of some texts and images, in that order."""
        part: Floats = self._cosines(self.texts_TD[list(texts)], self.images_ND[list(images)]).numpy()
        return part

    @cached_property
    def normalizer_N(self) -> Tensor:
        """Logarithm of each image's sum of exponentials over the texts."""
        blocks = [(self.logit_scale * cosines_Tn).logsumexp(0) for _, cosines_Tn in self._columns()]
        return torch.cat(blocks) if blocks else torch.empty(0)

    @cached_property
    def statistics_2T(self) -> Tensor:
        """Mean and deviation (of the population) of each text's cosines over all images."""
        sums_2T = torch.zeros(2, len(self.texts_TD), dtype=torch.float64)
        for _, cosines_Tn in self._columns():
            sums_2T += torch.stack([cosines_Tn.double().sum(1), cosines_Tn.double().square().sum(1)])
        mean_T, square_T = sums_2T / max(1, len(self.images_ND))
        return torch.stack([mean_T, (square_T - mean_T.square()).clamp(min=0).sqrt()])

    def nearest_texts(self, k: int) -> Nearest:
        """Image to text: the k best texts of every image; of all texts where there are fewer."""
        k = min(k, len(self.texts_TD))
        texts, margins, probabilities = [], [], []
        for start, cosines_Tn in self._columns():
            best_Kn, index_Kn = cosines_Tn.topk(k, 0)
            normalizer_n = self.normalizer_N[start : start + cosines_Tn.shape[1]]
            texts.append(index_Kn.T)
            margins.append((best_Kn - self._best_others(start, index_Kn)).T)
            probabilities.append(self._softmax(best_Kn, normalizer_n).T)
        return Nearest(*(torch.cat(parts).numpy() for parts in (texts, margins, probabilities)))

    def intended(self, texts_N: Integers) -> Intended:
        """Where each image's intended text stands among all; `texts_N` holds NO_TEXT where there is none."""
        wanted_N = torch.from_numpy(texts_N)
        ranks, margins, probabilities = [], [], []
        for start, cosines_Tn in self._columns():
            end = start + cosines_Tn.shape[1]
            index_1n = wanted_N[None, start:end].clamp(min=0)
            own_1n = cosines_Tn.gather(0, index_1n)
            ranks.append(1 + (cosines_Tn > own_1n).sum(0))
            margins.append((own_1n - self._best_others(start, index_1n))[0])
            probabilities.append(self._softmax(own_1n, self.normalizer_N[start:end])[0])
        rank_N, margin_N, probability_N = (torch.cat(parts) for parts in (ranks, margins, probabilities))
        none_N = wanted_N == NO_TEXT
        return Intended(
            texts_N,
            rank_N.masked_fill(none_N, 0).numpy(),
            margin_N.masked_fill(none_N, torch.nan).numpy(),
            probability_N.masked_fill(none_N, torch.nan).numpy(),
        )

    def nearest_images(self, k: int) -> Retrieved:
        """Text to image: the k images of the highest cosine for every text; all where there are fewer."""
        k = min(k, len(self.images_ND))
        images, margins, lifts = [], [], []
        for start, cosines_tN, _ in self.rows():
            best_tK, index_tK = torch.from_numpy(cosines_tN).topk(k, 1)
            rows_tK = (start + torch.arange(len(cosines_tN)))[:, None].expand_as(index_tK)
            images.append(index_tK)
            margins.append(best_tK - self._other_than(rows_tK, index_tK))
            lifts.append(best_tK - self.statistics_2T[0, rows_tK].float())
        return Retrieved(*(torch.cat(parts).numpy() for parts in (images, margins, lifts)))

    @cached_property
    def _leaders_3N(self) -> Tensor:
        """Each image's best text, its cosine, and the second best cosine (NaN where there is one text alone)."""
        parts = []
        for _, cosines_Tn in self._columns():
            best_2n, index_2n = cosines_Tn.double().topk(min(2, len(cosines_Tn)), 0)
            second_n = best_2n[1] if len(best_2n) > 1 else torch.full_like(best_2n[0], torch.nan)
            parts.append(torch.stack([index_2n[0].double(), best_2n[0], second_n]))
        return torch.cat(parts, 1)

    def _other_than(self, texts: Tensor, images: Tensor) -> Tensor:
        """The best cosine on each image among the texts that are not the one given."""
        leader, best, second = self._leaders_3N[:, images]
        return torch.where(leader == texts, second, torch.where(second.isnan(), torch.nan, best)).float()

    def _best_others(self, start: int, texts_Kn: Tensor) -> Tensor:
        images_Kn = (start + torch.arange(texts_Kn.shape[1]))[None].expand_as(texts_Kn)
        return self._other_than(texts_Kn, images_Kn)

    def _columns(self) -> Iterator[tuple[int, Tensor]]:
        step = max(1, BLOCK // max(1, len(self.texts_TD)))
        for start in range(0, len(self.images_ND), step):
            yield start, self._cosines(self.texts_TD, self.images_ND[start : start + step])

    @staticmethod
    def _cosines(texts_tD: Tensor, images_nD: Tensor) -> Tensor:
        return (texts_tD @ images_nD.T).clamp(-1, 1)

    def _softmax(self, cosines: Tensor, normalizer: Tensor) -> Tensor:
        return (self.logit_scale * cosines - normalizer).exp()
