"""A batch of contents, pictures or prompts, through a method's encoder and through that of the scores.

Dimension key: N contents, D embedding, C channels; h, w are padded sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from tasks.actors.contents import Prompt, ShardContent, padded_size
from tasks.images.padding import pad_to_stride
from tasks.methods.base import Content, Method, PromptedMethod

if TYPE_CHECKING:
    from tasks.scores.clip import ClipScorer


def encode_contents(method: Method, contents: Sequence[ShardContent], stride: int, device: str) -> Content:
    """What a method makes of contents of one padded size. A corpus holds pictures or prompts, never both."""
    prompts = [content.outcome.text for content in contents if isinstance(content.outcome, Prompt)]
    if not prompts:
        return method.encode(_to_images(contents, stride, device))
    height, width = padded_size(contents[0], stride)
    return cast(PromptedMethod, method).encode_prompts(prompts, height, width)


def embed_contents(scorer: ClipScorer | None, contents: Sequence[ShardContent]) -> Tensor | None:
    """Embeddings_ND of pictures; None of prompts, and where nothing is scored."""
    if scorer is None or isinstance(contents[0].outcome, Prompt):
        return None
    return scorer.embed_contents([content.picture.pixels_HWC for content in contents])


def _to_images(contents: Sequence[ShardContent], stride: int, device: str) -> Tensor:
    """Pictures as images_NChw on the device; they travel there as bytes."""
    pictures = (torch.from_numpy(content.picture.pixels_HWC) for content in contents)
    bytes_NChw = torch.cat([pad_to_stride(picture.permute(2, 0, 1)[None], stride) for picture in pictures]).to(device)
    return bytes_NChw.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
