"""The checkpoints this project knows: those it carries, and the official ones that fit the same methods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class Checkpoint:
    """One published file of weights. `digest` is its SHA-256, or None where nobody here has measured it.

    `uri` is None where no address gives the file itself: a person has to follow `source`.
    """

    name: str
    file: str
    source: str
    uri: str | None
    licence: str
    size: int  # bytes, of the tensors alone
    used_by: str
    digest: str | None = None


ADAATTN_ZIP = "AdaAttN_model.zip, which the README of Huage001/AdaAttN on GitHub links to on Google Drive"
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
            used_by="encoder: vgg of adain, adaattn, style_kernel, and of clipstyler in mode: fast",
        ),
        Checkpoint(
            name="adain-vgg-decoder",
            file="decoder.pth",
            source="release v0.0.0 of naoto0804/pytorch-AdaIN on GitHub",
            uri=f"{ADAIN_RELEASE}/decoder.pth",
            licence="MIT (repository)",
            size=14_020_876,
            used_by="encoder: vgg of adain, and of clipstyler in mode: fast",
        ),
        Checkpoint(
            name="vgg19-torchvision",
            file="vgg19-dcbb9e9d.pth",
            source="torchvision's models (VGG19_Weights.IMAGENET1K_V1)",
            uri="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            licence="BSD-3-Clause (torchvision); trained on ImageNet",
            size=574_668_960,
            used_by="clipstyler, mode: optimize, encoder: vgg",
        ),
        *(
            Checkpoint(
                name=f"adaattn-vgg-{part}",
                file=f"latest_net_{net}.pth",
                source=ADAATTN_ZIP,
                uri=None,
                licence="Apache-2.0 (repository)",
                size=size,
                used_by="adaattn, encoder: vgg",
            )
            for part, net, size in (
                ("attention", "adaattn_3", 1_872_384),
                ("transformer", "transformer", 36_267_008),
                ("decoder", "decoder", 16_380_172),
            )
        ),
        Checkpoint(
            name="stylegan3-wikiart-1024",
            file="wikiart-1024-stylegan3-t-17.2Mimg.pkl",
            source=(
                "Justin Pinkney's and Lambda Labs' awesome-pretrained-stylegan3 on GitHub: "
                "archive.org item wikiart-1024-stylegan3-t-17.2Mimg, or the Google Drive link in MMIST's README"
            ),
            uri=None,
            licence=(
                "not stated for the weights; code inside the file: NVIDIA Source Code License for StyleGAN3, "
                "non-commercial"
            ),
            size=89_262_588,  # the generator that an import keeps; the file has three networks, about 295 MB
            used_by="mmist, generator: stylegan3 (after `atelier models import`)",
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
    if not found:
        return ""
    by_name = f" (or name it {found[0].name})" if found[0].uri else ""
    return f"; {file} comes from {found[0].source}{by_name}"
