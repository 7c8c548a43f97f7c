"""Prompts to the conditions of a U-Net, with learned vectors in the place of words.

Dimension key: P prompts, T tokens (77 in Stable Diffusion), W width of a token, K vectors in the place of one mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tasks.encoders.diffusion.backbone import Diffusion

MARK = "[C]"  # where a prompt has the vectors of a painting (InST, figure 2)


def encode_prompts(diffusion: Diffusion, prompts: Sequence[str], vectors: Sequence[Tensor | None]) -> Tensor:
    """Conditions_PTW of prompts, each mark in which stands for its vectors, KW. Gradients pass to the vectors.

    A prompt that is too long loses words at its end, and no mark. Vectors take the place of token embeddings, before
    positions are added (the authors' embedding_manager.py). Raises ValueError for a mark without vectors.
    """
    rows = [tokenize(diffusion, prompt, 0 if v is None else len(v)) for prompt, v in zip(prompts, vectors, strict=True)]
    ids_PT = torch.tensor([ids for ids, _ in rows], device=diffusion.device)
    places = [(row, places) for row, (_, places) in enumerate(rows) if places]
    with _inserted(diffusion.text_encoder.get_input_embeddings(), places, vectors):
        conditions_PTW: Tensor = diffusion.text_encoder(ids_PT)[0]
    return conditions_PTW


def tokenize(diffusion: Diffusion, prompt: str, count: int) -> tuple[list[int], list[int]]:
    """Ids of a prompt's tokens, T, and the places of its marks' tokens, `count` a mark."""
    tokenizer = diffusion.tokenizer
    if MARK in prompt and not count:
        raise ValueError(f"the prompt {prompt!r} has a {MARK}, and there is nothing to put there")
    tokens: list[int | None] = []  # None is the place of a vector
    for number, words in enumerate(prompt.split(MARK)):
        tokens += [None] * count if number else []
        tokens += tokenizer(words, add_special_tokens=False, verbose=False).input_ids
    length = int(diffusion.text_encoder.config.max_position_embeddings)
    while len(tokens) > length - 2:
        words_at = [place for place, token in enumerate(tokens) if token is not None]
        del tokens[words_at[-1] if words_at else -1]
    ends = [tokenizer.eos_token_id] + [tokenizer.pad_token_id] * (length - 2 - len(tokens))
    ids = [tokenizer.bos_token_id, *(tokenizer.bos_token_id if token is None else token for token in tokens), *ends]
    return ids, [1 + place for place, token in enumerate(tokens) if token is None]


@contextmanager
def _inserted(
    embeddings: nn.Module, places: Sequence[tuple[int, list[int]]], vectors: Sequence[Tensor | None]
) -> Iterator[None]:
    """Token embeddings with the vectors in those places of those rows; the text tower takes no embeddings itself."""

    def insert(_module: nn.Module, _inputs: Any, embedded_PTW: Tensor) -> Tensor:
        embedded_PTW = embedded_PTW.clone()
        for row, columns in places:
            found_KW = vectors[row]
            assert found_KW is not None  # a mark has some
            repeats = -(-len(columns) // len(found_KW))
            embedded_PTW[row, columns] = found_KW.to(embedded_PTW).repeat(repeats, 1)[: len(columns)]
        return embedded_PTW

    handle = embeddings.register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()
