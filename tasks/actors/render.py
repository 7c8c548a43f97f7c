"""From a batch of contents to stylized pixels and scores: contents encoded once, pairs rendered in chunks.

Dimension key: N contents, P outputs (pairs), C channels, H height, W width; h, w are padded sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from tasks.actors.contents import ShardContent, padded_size
from tasks.actors.loaded import Loaded, ReadyStyle
from tasks.images.fitting import Pixels
from tasks.images.padding import pad_to_stride, to_pixels, to_tensor
from tasks.methods.base import Content, Pairs
from tasks.records import ImageError
from tasks.styles import pair_seed

if TYPE_CHECKING:
    from tasks.scores.clip import Scores

Item = TypeVar("Item")
# torch.OutOfMemoryError is a RuntimeError, and so is what the CPU allocator raises.
MEMORY_ERRORS = (RuntimeError, MemoryError)


@dataclass(frozen=True)
class Rendered:
    """A stylized pair: its 8-bit pixels, before the codec, and what making them took."""

    content: ShardContent
    style: ReadyStyle
    pixels_HWC: Pixels
    scores: Scores | None
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A pair that could not be stylized, and why."""

    content: ShardContent
    style: ReadyStyle
    error: ImageError


@dataclass(frozen=True)
class EncodedBatch:
    """A batch after `encode`: what all its pairs share."""

    contents: Sequence[ShardContent]
    content: Content
    embeddings_ND: Tensor | None
    seconds: float


class BatchRenderer:
    """Renders batches of equal padded size in every style of a shard. Out of memory halves what was tried."""

    def __init__(
        self,
        loaded: Loaded,
        styles: Sequence[ReadyStyle],
        seed: int,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.loaded, self.styles, self.seed, self.timed = loaded, styles, seed, timed
        self.methods = [loaded.method(style.planned) for style in styles]
        self.stride = styles[0].planned.method.stride

    def render(self, contents: Sequence[ShardContent]) -> Iterator[Rendered | Failed]:
        """Every pair of a batch of contents with the styles."""
        try:
            encoded = self._encode(contents)
        except MEMORY_ERRORS as error:
            for half in _halves(contents, error):
                yield from self.render(half)
            if len(contents) == 1:
                yield from (Failed(contents[0], style, _out_of_memory()) for style in self.styles)
            return
        height, width = padded_size(contents[0], self.stride)
        limit = max(1, self.loaded.settings.batch_pixels // (height * width))
        for members in self._same_settings():
            pairs = [(row, style) for row in range(len(contents)) for style in members]
            for start in range(0, len(pairs), limit):
                yield from self._render(encoded, pairs[start : start + limit])

    def _render(self, encoded: EncodedBatch, pairs: Sequence[tuple[int, int]]) -> Iterator[Rendered | Failed]:
        try:
            yield from self._render_at_once(encoded, pairs)
        except MEMORY_ERRORS as error:
            for half in _halves(pairs, error):
                yield from self._render(encoded, half)
            if len(pairs) == 1:
                row, style = pairs[0]
                yield Failed(encoded.contents[row], self.styles[style], _out_of_memory())

    def _encode(self, contents: Sequence[ShardContent]) -> EncodedBatch:
        started = time.perf_counter()
        pictures = [content.picture.pixels_HWC for content in contents]
        with self.timed("encode"):
            padded = [pad_to_stride(to_tensor([picture]), self.stride) for picture in pictures]
            images_NChw = torch.cat(padded).to(self.loaded.settings.device)
            content = self.methods[0].encode(images_NChw)
        with self.timed("score"):
            embeddings_ND = self.loaded.scorer.embed_contents(pictures) if self.loaded.scorer else None
        return EncodedBatch(contents, content, embeddings_ND, time.perf_counter() - started)

    def _render_at_once(self, encoded: EncodedBatch, pairs: Sequence[tuple[int, int]]) -> list[Rendered | Failed]:
        started = time.perf_counter()
        rows, indices = [row for row, _ in pairs], [style for _, style in pairs]
        contents = [encoded.contents[row] for row in rows]
        styles = [self.styles[index] for index in indices]
        seeds = [
            pair_seed(self.seed, content.entry.content_id, style.planned.digest)
            for content, style in zip(contents, styles, strict=True)
        ]
        used = sorted(set(indices))
        with self.timed("render"):
            reps = [self.styles[index].representation for index in used]
            which = Pairs(rows, [used.index(index) for index in indices], seeds)
            images_PChw = self.methods[indices[0]].render(encoded.content, reps, which)
            finite = torch.isfinite(images_PChw).flatten(1).all(1).tolist()
            pixels_PhwC = to_pixels(images_PChw)
        pictures = [
            pixels_hwC[: content.picture.pixels_HWC.shape[0], : content.picture.pixels_HWC.shape[1]]
            for pixels_hwC, content in zip(pixels_PhwC, contents, strict=True)
        ]
        scores = self._score(encoded, rows, pictures, styles)
        each = (time.perf_counter() - started) / len(pairs) + encoded.seconds / (
            len(encoded.contents) * len(self.styles)
        )
        return [
            Rendered(content, style, picture, score, each)
            if is_finite
            else Failed(content, style, ImageError("not_finite", "The method gave no finite picture."))
            for content, style, picture, score, is_finite in zip(
                contents, styles, pictures, scores, finite, strict=True
            )
        ]

    def _score(
        self, encoded: EncodedBatch, rows: list[int], pictures: list[Pixels], styles: list[ReadyStyle]
    ) -> Sequence[Scores | None]:
        if self.loaded.scorer is None or encoded.embeddings_ND is None:
            return [None] * len(pictures)
        targets = [style.targets for style in styles if style.targets]
        with self.timed("score"):
            return self.loaded.scorer.score(pictures, encoded.embeddings_ND[rows], targets)

    def _same_settings(self) -> list[list[int]]:
        """Styles that one call of `render` can take together: those with the same settings."""
        groups: dict[int, list[int]] = {}
        for index, method in enumerate(self.methods):
            groups.setdefault(id(method), []).append(index)
        return list(groups.values())


def _halves(items: Sequence[Item], error: Exception) -> list[Sequence[Item]]:
    """Two halves to try after memory ran out, none where one item was too much; raises any other error."""
    text = str(error).lower()
    out = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "memory" in text
    if not out:
        raise error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    return [items[:middle], items[middle:]] if middle else []


def _out_of_memory() -> ImageError:
    return ImageError("out_of_memory", "The image does not fit into memory: set `images: {size: ...}` smaller.")
