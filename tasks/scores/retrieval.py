"""What a similarity matrix says in short: retrieval both ways, and how often the intended text comes first.

Dimension key: T texts, N images, K retrieved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.scores.matrix import Floats, Intended, Nearest, Retrieved
from tasks.scores.tables import Labels

SHOWN = 12  # texts, and skipped images, that are printed


def summarize_texts(labels: Labels, nearest: Nearest, retrieved: Retrieved) -> list[dict[str, Any]]:
    """Text to image: for each text the images that it retrieves, and the share of all that it is the nearest of."""
    first_N = nearest.texts_NK[:, 0]
    shares = np.bincount(first_N, minlength=len(labels.texts)) / max(1, len(first_N))
    return [
        {
            "name": text.name,
            "text": text.text,
            "nearest_share": float(shares[row]),
            "images": [
                {"image": labels.images[image], "margin": _number(margin), "lift": _number(lift)}
                for image, margin, lift in zip(
                    retrieved.images_TK[row], retrieved.margins_TK[row], retrieved.lifts_TK[row], strict=True
                )
            ],
        }
        for row, text in enumerate(labels.texts)
    ]


def summarize_intended(labels: Labels, nearest: Nearest, retrieved: Retrieved, intended: Intended) -> Any:
    """How well stylized images are told apart by the texts of their styles; None where no text is of a style.

    `first` and `among_top` are the shares of images whose intended text has rank 1, or is among their K nearest;
    `chance` is what `first` is without any likeness. Of each style also the share of its own images among the K
    that its text retrieves (`precision`), and its share of all images, which that is by chance.
    """
    known_N = intended.known_N
    if not known_N.any():
        return None
    present = sorted(set(intended.texts_N[known_N].tolist()))
    return {
        "images": int(known_N.sum()),
        "without": int((~known_N).sum()),
        "chance": 1 / len(labels.texts),
        **_ranks(intended, known_N, nearest.texts_NK.shape[1]),
        "styles": [
            {
                "style": labels.texts[row].name,
                "images": int((intended.texts_N == row).sum()),
                **_ranks(intended, intended.texts_N == row, nearest.texts_NK.shape[1]),
                "precision": float((intended.texts_N[retrieved.images_TK[row]] == row).mean()),
                "share": float((intended.texts_N == row).mean()),
            }
            for row in present
        ],
    }


def summarize_margins(nearest: Nearest) -> dict[str, float | None]:
    """By how much the nearest text of an image leads: quantiles over all images; None where there is one text."""
    margins_N = nearest.margins_NK[:, 0]
    levels = {"p05": 0.05, "median": 0.5, "p95": 0.95}
    return {name: _number(np.quantile(margins_N, level)) for name, level in levels.items()}


def _ranks(intended: Intended, of_N: np.ndarray[Any, np.dtype[np.bool_]], top: int) -> dict[str, float | None]:
    ranks_N = intended.ranks_N[of_N]
    return {
        "first": float((ranks_N == 1).mean()),
        "among_top": float((ranks_N <= top).mean()),
        "mean_rank": float(ranks_N.mean()),
        "median_rank": float(np.median(ranks_N)),
        "mean_margin": _mean(intended.margins_N[of_N]),
        "mean_probability": _mean(intended.probabilities_N[of_N]),
    }


def _mean(values_N: Floats) -> float | None:
    return _number(values_N.astype(np.float64).mean())


def _number(value: float | np.floating[Any]) -> float | None:
    """A plain number, rounded to what float32 cosines tell; None where there is none."""
    return round(float(value), 6) if math.isfinite(value) else None


def describe(summary: dict[str, Any]) -> str:
    """The summary in a few lines, for people."""
    lines = [
        f"{summary['images']} images x {len(summary['texts'])} texts, {summary['clip']} "
        f"(temperature {summary['temperature']:.3g}): {summary['output']}"
    ]
    lines += _describe_intended(summary["intended"]) if summary["intended"] else []
    for text in summary["texts"][:SHOWN]:
        best = ", ".join(f"{hit['image']} ({_signed(hit['margin'])})" for hit in text["images"])
        lines.append(f"{text['name']}: nearest of {text['nearest_share']:.0%}; {best}")
    lines += _more(len(summary["texts"]), "texts")
    skipped = summary["skipped"]
    lines += [f"Skipped {one['image']}: {one['message']} ({one['reason']})" for one in skipped[:SHOWN]]
    return "\n".join([*lines, *_more(len(skipped), "skipped")])


def _more(count: int, what: str) -> list[str]:
    return [f"and {count - SHOWN} more {what}: see summary.json"] if count > SHOWN else []


def _describe_intended(found: dict[str, Any]) -> Sequence[str]:
    parts: Sequence[dict[str, Any]] = [{"style": "all styles", **found}, *found["styles"]]
    return [
        f"{one['style']}: intended text first in {one['first']:.0%} of {one['images']} images "
        f"(chance {found['chance']:.0%}), mean rank {one['mean_rank']:.1f}, mean margin {_signed(one['mean_margin'])}"
        for one in parts
    ]


def _signed(value: float | None) -> str:
    return "no margin" if value is None else f"{value:+.3f}"
