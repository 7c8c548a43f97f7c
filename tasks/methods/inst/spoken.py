"""What a U-Net is told of a style: once for its paintings, once for each of its texts, by weight.

Dimension key: S things that are said, T tokens of each, W their width, K words of a painting.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.encoders.diffusion.backbone import Diffusion
from tasks.encoders.diffusion.prompts import MARK, encode_prompts
from tasks.methods.base import Style

IN_THE_STYLE = f"{{}} in the style of {MARK}"  # of a content that is a prompt without a mark
Spoken = tuple[float, str]  # a weight, and a prompt


def split_references(style: Style) -> tuple[dict[int, float], list[Spoken]]:
    """Weights of a style's paintings, by their places among its references, and its texts; all sum to 1."""
    columns = list(zip(style.references, style.weights(), strict=True))
    paintings = {place: weight for place, (reference, weight) in enumerate(columns) if reference.text is None}
    return paintings, [(weight, reference.text) for reference, weight in columns if reference.text is not None]


def speak(painted: float, texts: Sequence[Spoken], own: str, prompt: str | None) -> list[Spoken]:
    """What is said to contents that are pictures (None), or this prompt.

    `painted` is the paintings' weight, `own` the prompt that they are in. A content's prompt has the painting, and each
    text, where its mark is, or at its end.
    """
    asked = None if prompt is None else prompt if MARK in prompt else IN_THE_STYLE.format(prompt)
    paintings = [(painted, own if asked is None else asked)] if painted > 0 else []
    return [*paintings, *((weight, text if asked is None else asked.replace(MARK, text)) for weight, text in texts)]


def tell(diffusion: Diffusion, spoken: Sequence[Spoken], word_KW: Tensor | None) -> Tensor:
    """Condition_TW: the weighted mean of what is said, each mark of which stands for the word."""
    conditions_STW = encode_prompts(diffusion, [text for _, text in spoken], [word_KW] * len(spoken))
    weights_S = torch.tensor([weight for weight, _ in spoken]).to(conditions_STW)
    return torch.einsum("s,stw->tw", weights_S, conditions_STW)
