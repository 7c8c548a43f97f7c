"""How well do CLIPs know the styles? python -m infra.bench.clip_styles PHOTOGRAPHS MODEL [MODEL ...].

Renders each photograph in every style and asks each model, by phrasings that no training caption has, which style it
is: among all of them, among those that the first training knew, and which are told least often.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from tasks.encoders.clip import open_clip_model
from tasks.training.clip_figures import embed_unseen, rank_of_own, render_all, style_figures
from tasks.training.data import load_pictures
from tasks.training.renderings import elements, masters
from tasks.training.renderings.catalogue import RENDERINGS

LATER = {rendering.name for family in (elements, masters) for rendering in family.RENDERINGS}
SETS = {
    "all styles": list(range(len(RENDERINGS))),
    "of the first training": [index for index, style in enumerate(RENDERINGS) if style.name not in LATER],
}


def main() -> None:
    """Render once, embed by each model, and print figures for both sets of styles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    encoders = {name: open_clip_model(name) for name in options.models}
    seen: dict[str, list[Tensor]] = {name: [] for name in encoders}
    for number, picture in enumerate(tqdm(load_pictures([options.photographs]).images, unit="photograph")):
        views = render_all(picture, number)
        for name, encoder in encoders.items():
            seen[name].append(encoder.embed_images(views))
    for name, encoder in encoders.items():
        each = embed_unseen(encoder)
        for title, styles in SETS.items():
            figures = style_figures([images_SD[styles] for images_SD in seen[name]], [each[s] for s in styles])
            print(name, title, {key: round(value, 4) for key, value in figures.items()})
        print(name, "least often:", ", ".join(find_hardest(seen[name], each)))


def find_hardest(images: Sequence[Tensor], each: Sequence[Tensor], count: int = 12) -> list[str]:
    """The styles with the smallest shares of right guesses, with those."""
    means_SD = F.normalize(torch.stack([texts_TD.mean(0) for texts_TD in each]), dim=-1)
    right_S = torch.stack([rank_of_own(images_SD @ means_SD.T) < 1 for images_SD in images]).float().mean(0)
    return [f"{RENDERINGS[s].name} {float(right_S[s]):.2f}" for s in right_S.argsort()[:count].tolist()]


if __name__ == "__main__":
    main()
