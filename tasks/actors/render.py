"""From a batch of contents to stylized pixels and scores: contents encoded once, pairs rendered in chunks.

Dimension key: N contents, P outputs (pairs), D embedding, C channels, H height, W width; h, w are padded sides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor

from tasks.actors.contents import ShardContent, padded_size
from tasks.actors.encoding import embed_contents, encode_contents
from tasks.actors.loaded import Loaded, ReadyStyle, name_drawn, strengths
from tasks.actors.memory import attempt, halves
from tasks.actors.regions import RegionMap
from tasks.actors.stages import StageClock
from tasks.images.fitting import Pixels
from tasks.images.padding import pad_to_stride, to_pixels
from tasks.methods.base import WITHHELD, Content, Pairs
from tasks.records import ImageError
from tasks.styles import pair_seed

if TYPE_CHECKING:
    from tasks.scores.clip import Scores
    from tasks.scores.regions import RegionScores

# (row in the batch of contents, what it is rendered in)
RowStyle = tuple[int, ReadyStyle]


@dataclass(frozen=True)
class Rendered:
    """A stylized pair: its 8-bit pixels, before the codec, and its share of the time that made them.

    `regions` are the scores of each reference of a composite style, in its own part of the picture.
    """

    content: ShardContent
    style: ReadyStyle
    pixels_HWC: Pixels
    scores: Scores | None
    seconds: float
    regions: Sequence[RegionScores] = ()

    @property
    def mask_version(self) -> str | None:
        """Version of the mask that the content brought, where the style reads one."""
        found = _map_of(self.content, self.style)
        return found.version if isinstance(found, RegionMap) else None


@dataclass(frozen=True)
class Failed:
    """A pair that could not be stylized, why, and at which stage."""

    content: ShardContent
    style: ReadyStyle
    error: ImageError
    stage: str


@dataclass(frozen=True)
class EncodedBatch:
    """A batch after `encode`: what all its pairs share. Without scores, or of prompts, there are no embeddings."""

    contents: Sequence[ShardContent]
    content: Content
    embeddings_ND: Tensor | None
    seconds: float


class BatchRenderer:
    """Renders batches of equal padded size in every style of a shard, or in what their contents draw.

    Where memory runs out the batch is halved, and `limit_pixels` falls with it for the rest of the shard.
    """

    def __init__(self, loaded: Loaded, styles: Sequence[ReadyStyle], seed: int, clock: StageClock) -> None:
        self.loaded, self.styles, self.seed, self.clock = loaded, styles, seed, clock
        self.methods = [loaded.method(style.planned) for style in styles]
        self.stride = styles[0].planned.method.stride
        self.limit_pixels = loaded.settings.limit_pixels

    def render(self, contents: Sequence[ShardContent]) -> Iterator[Rendered | Failed]:
        """Every pair of a batch of contents with the styles."""
        encoded = attempt(self._encode, contents)
        if encoded is not None:
            height, width = padded_size(contents[0], self.stride)
            for members in self._same_settings():
                # A style's pairs come together, so that a method may keep what it derives from a style.
                wanted = [(row, self.styles[place]) for place in members for row in range(len(contents))]
                chosen = [(row, self.choose(contents[row], style)) for row, style in wanted]
                yield from (found for _, found in chosen if isinstance(found, Failed))
                pairs = [(row, found) for row, found in chosen if isinstance(found, ReadyStyle)]
                yield from self._render_chunks(encoded, pairs, height * width)
        elif len(contents) > 1:
            for half in halves(contents):
                yield from self.render(half)
        else:
            for style in self.styles:
                yield Failed(contents[0], name_drawn(style, contents[0]), _out_of_memory(), "encode")

    def choose(self, content: ShardContent, style: ReadyStyle) -> ReadyStyle | Failed:
        """What a content is rendered in: a style, or what it draws; or why not. Its other styles go on."""
        found = _map_of(content, style)
        if isinstance(found, ImageError):
            return Failed(content, style, found, "mask")
        try:
            return self.loaded.choose(style, content)
        except ImageError as error:
            return Failed(content, name_drawn(style, content), error, "draw")

    def _render_chunks(
        self, encoded: EncodedBatch, pairs: Sequence[RowStyle], pixels: int
    ) -> Iterator[Rendered | Failed]:
        start = 0
        while start < len(pairs):
            chunk = pairs[start : start + max(1, self.limit_pixels // pixels)]
            outcomes = attempt(self._render, encoded, chunk)
            if outcomes is not None:
                yield from outcomes
                start += len(chunk)
            elif len(chunk) > 1:
                self.limit_pixels = len(chunk) // 2 * pixels
            else:
                row, style = chunk[0]
                yield Failed(encoded.contents[row], style, _out_of_memory(), "render")
                start += 1

    def _encode(self, contents: Sequence[ShardContent]) -> EncodedBatch:
        started = time.perf_counter()
        with self.clock.timed("encode"):
            content = encode_contents(self.methods[0], contents, self.stride, self.loaded.settings.device)
        with self.clock.timed("score"):
            embeddings_ND = embed_contents(self.loaded.scorer, contents)
        return EncodedBatch(contents, content, embeddings_ND, time.perf_counter() - started)

    def _render(self, encoded: EncodedBatch, pairs: Sequence[RowStyle]) -> list[Rendered | Failed]:
        started = time.perf_counter()
        contents = [encoded.contents[row] for row, _ in pairs]
        styles = [style for _, style in pairs]
        with self.clock.timed("render"):
            shares = [self._shares(content, style) for content, style in zip(contents, styles, strict=True)]
            images_PChw = self._stylize(encoded.content, pairs, contents, shares)
            sums = images_PChw.sum((1, 2, 3)).tolist()  # one pass over memory
            pixels_PhwC = to_pixels(images_PChw)
        sizes = [content.size for content in contents]
        pictures = [pixels[:height, :width] for pixels, (height, width) in zip(pixels_PhwC, sizes, strict=True)]
        scores = self._score(encoded, [row for row, _ in pairs], pictures, styles)
        regions = self._score_regions(contents, styles, pictures, shares)
        share = encoded.seconds / (len(encoded.contents) * len(self.styles))
        seconds = share + (time.perf_counter() - started) / len(pairs)
        return [
            Rendered(content, style, picture, score, seconds, parts)
            if math.isfinite(total)
            else Failed(content, style, _no_picture(total), "render")
            for content, style, picture, score, parts, total in zip(
                contents, styles, pictures, scores, regions, sums, strict=True
            )
        ]

    def _shares(self, content: ShardContent, style: ReadyStyle) -> Tensor | None:
        """Shares_RHW of a composite style's references on a content."""
        if style.drawer is None:
            return None
        found = _map_of(content, style)
        assert not isinstance(found, ImageError)  # such pairs have failed before
        return style.drawer.draw(content.size, found)

    def _stylize(
        self,
        content: Content,
        pairs: Sequence[RowStyle],
        contents: Sequence[ShardContent],
        shares: Sequence[Tensor | None],
    ) -> Tensor:
        """One call of `render`: images_PChw."""
        styles = [style for _, style in pairs]
        used = {id(style): style for style in styles}
        places = {key: place for place, key in enumerate(used)}
        rows, reps = [row for row, _ in pairs], [style.representation for style in used.values()]
        which = Pairs(
            rows,
            [places[id(style)] for style in styles],
            [pair_seed(self.seed, c.entry.content_id, s.planned.digest) for c, s in zip(contents, styles, strict=True)],
            self._pad(shares) if any(shares_RHW is not None for shares_RHW in shares) else (),
            strengths(styles),
        )
        return self.loaded.method(styles[0].planned).render(content, reps, which)

    def _pad(self, shares: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Shares of the padded size of their contents; those that were one tensor still are."""
        padded: dict[int, Tensor | None] = {
            id(one): None if one is None else pad_to_stride(one[None], self.stride)[0] for one in shares
        }
        return [padded[id(one)] for one in shares]

    def _score_regions(
        self,
        contents: Sequence[ShardContent],
        styles: Sequence[ReadyStyle],
        pictures: Sequence[Pixels],
        shares: Sequence[Tensor | None],
    ) -> list[Sequence[RegionScores]]:
        """Scores of each region of outputs in composite styles; of other outputs none."""
        scored: list[Sequence[RegionScores]] = [()] * len(pictures)
        places = [place for place, shares_RHW in enumerate(shares) if shares_RHW is not None]
        if not places:
            return scored
        # Only here: scores load open_clip, which a run without scores and composites does without.
        from tasks.scores.regions import RegionedOutput, score_regions

        with self.clock.timed("score"):
            outputs = [
                RegionedOutput(
                    pictures[place],
                    contents[place].picture.pixels_HWC,
                    cast(Tensor, shares[place]).cpu().numpy(),
                    styles[place].parts,
                )
                for place in places
            ]
            for place, scores in zip(places, score_regions(self.loaded.scorer, outputs), strict=True):
                scored[place] = scores
        return scored

    def _score(
        self, encoded: EncodedBatch, rows: list[int], pictures: list[Pixels], styles: list[ReadyStyle]
    ) -> Sequence[Scores | None]:
        if self.loaded.scorer is None:
            return [None] * len(pictures)
        targets = [style.targets for style in styles if style.targets]
        contents_PD = None if encoded.embeddings_ND is None else encoded.embeddings_ND[rows]
        with self.clock.timed("score"):
            return self.loaded.scorer.score(pictures, contents_PD, targets)

    def _same_settings(self) -> list[list[int]]:
        """Styles that one call of `render` can take together: those with the same settings."""
        groups: dict[int, list[int]] = {}
        for index, method in enumerate(self.methods):
            groups.setdefault(id(method), []).append(index)
        return list(groups.values())


def _map_of(content: ShardContent, style: ReadyStyle) -> RegionMap | ImageError | None:
    """What a content brings to a style's layout; None where its regions depend on its size alone, or it has none."""
    layout = style.planned.regions
    return content.maps[layout] if layout is not None and layout.differs else None


def _no_picture(total: float) -> ImageError:
    """Why there is none, by the sum of the values of what came in its place."""
    if total == WITHHELD:
        return ImageError("withheld", "The model's safety checker withheld the picture.")
    return ImageError("not_finite", "The method gave no finite picture.")


def _out_of_memory() -> ImageError:
    return ImageError("out_of_memory", "The image does not fit into memory: set `images: {size: ...}` smaller.")
