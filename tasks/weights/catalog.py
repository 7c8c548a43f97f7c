"""The checkpoints this project knows: those it carries, and the official ones that fit the same methods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class Checkpoint:
    """One published file of weights. `digest` is its SHA-256, or None where nobody here has measured it."""

    name: str
    file: str
    source: str
    uri: str
    licence: str
    size: int  # bytes, of the tensors alone
    used_by: str
    digest: str | None = None


ADAIN_RELEASE = "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0"

CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            name="adain-vgg-encoder",
            file="vgg_normalised.pth",
            source="release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub",
            uri=f"{ADAIN_RELEASE}/vgg_normalised.pth",
            licence="MIT (repository); the VGG-19 it derives from is the University of Oxford's",
            size=80_097_584,
            used_by="adain, encoder: vgg",
        ),
        Checkpoint(
            name="adain-vgg-decoder",
            file="decoder.pth",
            source="release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub",
            uri=f"{ADAIN_RELEASE}/decoder.pth",
            licence="MIT (repository)",
            size=14_020_876,
            used_by="adain, encoder: vgg",
        ),
    )
}


def embedded_names() -> list[str]:
    """Names of the weights inside this package: those that have a card."""
    return sorted(path.name.removesuffix(".card.json") for path in EMBEDDED.glob("*.card.json"))


def embedded_card(name: str) -> dict[str, Any]:
    """The card of embedded weights: what they were trained on, how, and how well."""
    card: dict[str, Any] = json.loads((EMBEDDED / f"{name}.card.json").read_text())
    return card


def how_to_get(file: str) -> str:
    """The end of an error sentence about a missing file: where a known checkpoint of that name comes from."""
    found = [checkpoint for checkpoint in CHECKPOINTS.values() if checkpoint.file == file]
    return f"; {file} comes from {found[0].source} (or name it {found[0].name})" if found else ""
