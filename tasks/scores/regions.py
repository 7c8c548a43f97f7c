"""CLIP scores of each region of a composite style: of what became of that region, and of nothing else.

Dimension key: R references, H and W of an output, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.images.fitting import Pixels
from tasks.scores.clip import ClipScorer, Scores, StyleTargets


@dataclass(frozen=True)
class RegionScores:
    """A reference by its number, the share of the picture that it has, and its scores; None where it leads nowhere."""

    reference: int
    share: float
    scores: Scores | None = None

    def row(self) -> dict[str, Any]:
        """As an element of a record's column `regions`."""
        names = ("clip_text", "clip_image", "clip_direction")
        scores = {name: getattr(self.scores, name) if self.scores else None for name in names}
        return {"reference": self.reference, "share": self.share} | scores


@dataclass(frozen=True)
class RegionedOutput:
    """An output of a composite style in 8 bits, its content, the shares of the references, each one's targets."""

    output_HWC: Pixels
    content_HWC: Pixels
    shares_RHW: NDArray[np.float32]
    targets: Sequence[StyleTargets]

    def views(self) -> dict[int, tuple[Pixels, Pixels]]:
        """For each reference that leads somewhere: what became of the pixels where it leads, and what they were.

        Both are cut to the region's bounding box, and both show the content outside of the region, so that what
        differs between them is the region's own change.
        """
        leads_RHW = self.shares_RHW >= self.shares_RHW.max(0)
        found = {}
        for reference, leads_HW in enumerate(leads_RHW):
            if leads_HW.any():
                box = tuple(slice(int(places[0]), int(places[-1]) + 1) for places in _spans(leads_HW))
                content_hwC = np.ascontiguousarray(self.content_HWC[box])
                changed_hwC = np.where(leads_HW[box][..., None], self.output_HWC[box], content_hwC)
                found[reference] = (changed_hwC, content_hwC)
        return found


def score_regions(scorer: ClipScorer | None, outputs: Sequence[RegionedOutput]) -> list[list[RegionScores]]:
    """Scores of every reference of every output, all embedded together; shares alone where there is no scorer."""
    views = [output.views() if scorer else {} for output in outputs]
    flat = [(place, reference, *view) for place, found in enumerate(views) for reference, view in found.items()]
    scores: dict[tuple[int, int], Scores] = {}
    if scorer is not None and flat:
        contents_PD = scorer.embed_contents([content for *_, content in flat])
        targets = [outputs[place].targets[reference] for place, reference, *_ in flat]
        made = scorer.score([changed for _, _, changed, _ in flat], contents_PD, targets)
        scores = {(place, reference): one for (place, reference, *_), one in zip(flat, made, strict=True)}
    return [
        [
            RegionScores(reference, float(share), scores.get((place, reference)))
            for reference, share in enumerate(output.shares_RHW.mean((1, 2)))
        ]
        for place, output in enumerate(outputs)
    ]


def _spans(leads_HW: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns that hold any of it."""
    return np.flatnonzero(leads_HW.any(1)), np.flatnonzero(leads_HW.any(0))
