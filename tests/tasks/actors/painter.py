"""A small method that makes pictures of prompts: a baseline's renderer, on the colours of words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tasks.actors import loaded as loading
from tasks.methods.base import Content, Method, Pairs, Representation, Style
from tasks.methods.settings import MethodSettings, open_method


class Painter:
    """Sees a colour in each prompt, by its letters; `encoded` says what it was given: prompts, height, width."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.encoded: list[tuple[int, int, int]] = []

    def represent(self, styles: list[Style]) -> list[Representation]:
        return self.method.represent(styles)

    def encode(self, images_NCHW: Tensor) -> Content:
        return self.method.encode(images_NCHW)

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Content:
        self.encoded.append((len(prompts), height, width))
        colours_N3 = torch.tensor([[sum(map(ord, prompt[k::3])) % 256 / 255 for k in range(3)] for prompt in prompts])
        ramp_W = torch.linspace(0.2, 1, width)
        return self.method.encode((colours_N3[..., None, None] * ramp_W).expand(-1, -1, height, -1))

    def render(self, content: Content, reps: list[Representation], pairs: Pairs) -> Tensor:
        return self.method.render(content, reps, pairs)


def open_painters(monkeypatch: pytest.MonkeyPatch) -> list[Painter]:
    """Let actors open painters in the place of methods; gives those that were opened, as they are."""
    made: list[Painter] = []

    def open_painter(settings: MethodSettings, device: str) -> Painter:
        made.append(Painter(open_method(settings, device)))
        return made[-1]

    monkeypatch.setattr(loading, "open_method", open_painter)
    return made
