"""Forecasts: what a plan will take, before anything is taken; and how large its shards should be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.images.decoding import read_picture
from tasks.images.encoding import encode
from tasks.images.settings import ImageSettings
from tasks.plan import Plan
from tasks.planned import PlannedPiece, PlannedPieces, hold_pieces
from tasks.records import ImageError
from tasks.shards import ShardSize
from tasks.styles import PlannedStyle

SAMPLE = 16
# A photograph of unknown size; 3:2, as most cameras have it, with the longest side of the job's images.
KEPT_SIDE = 1024
ASPECT = 2 / 3
# JPEG q92 takes about 2 bits a pixel, PNG and lossless WebP about 12.
BYTES_PER_PIXEL = {"jpeg": 0.3, "webp": 0.25, "png": 1.6}


@dataclass(frozen=True)
class Forecast:
    """What a plan would make and take. Seconds are for one device, codec seconds for one core."""

    records: int
    contents: int
    shards: int
    bytes_read: int
    bytes_written: int
    megapixels: float
    device: str
    device_seconds: float
    codec_seconds: float
    actors: int

    @property
    def wall_seconds(self) -> float:
        """With every actor busy; start-up aside."""
        return self.device_seconds / self.actors

    def describe(self) -> str:
        """The forecast in a few lines."""
        return (
            f"{self.records} records of {self.contents} contents in {self.shards} shards; "
            f"{self.megapixels:.0f} megapixels\n"
            f"reads {self.bytes_read / 1e6:.1f} MB, writes about {self.bytes_written / 1e6:.1f} MB\n"
            f"about {self.wall_seconds:.0f} s on {self.actors} actors ({self.device}; "
            f"{self.device_seconds:.0f} s on one), codecs keep {self.codec_cores:.1f} cores busy"
        )

    @property
    def codec_cores(self) -> float:
        """Cores that decoding and encoding need to keep up with the devices."""
        return self.codec_seconds / max(self.wall_seconds, 1e-9)


def shard_size(
    images: ImageSettings,
    styles: Sequence[PlannedStyle],
    shard_images: int | Literal["auto"],
    device: str,
    actors: int,
    size: tuple[int, int] | None = None,
) -> ShardSize:
    """Bounds of a shard from each method's own prior of its speed; `size` is that of pictures of prompts."""
    pixels = _expected_pixels(images, size)
    seconds = max(_seconds(style, device) for style in styles) * pixels / 1e6
    return ShardSize(shard_images, seconds, int(pixels * BYTES_PER_PIXEL[images.codec]), actors)


def forecast(
    plan: Plan,
    planned: Sequence[PlannedPiece],
    device: str,
    actors: int,
    sample: Sequence[Measured] | None = None,
) -> Forecast:
    """Scale up from a few contents: those of the `sample`, or some of the plan's own, measured now."""
    sample = measure(plan, planned) if sample is None else sample
    pixels = sum(s.pixels for s in sample) / len(sample) if sample else _expected_pixels(plan.images, plan.corpus.size)
    written = sum(s.written for s in sample) / len(sample) if sample else pixels * BYTES_PER_PIXEL[plan.images.codec]
    decode = sum(s.decode_seconds for s in sample) / max(1, len(sample))
    compress = sum(s.encode_seconds for s in sample) / max(1, len(sample))
    speed = {i: _seconds(style, device) for i, style in enumerate(plan.styles)}
    held = hold_pieces(planned)
    pairs_by_style = _pairs_by_style(plan, held)
    return Forecast(
        records=plan.pairs,
        contents=plan.contents,
        shards=plan.shards,
        bytes_read=_bytes_read(held),
        bytes_written=int(written * plan.pairs),
        megapixels=pixels * plan.pairs / 1e6,
        device=device,
        device_seconds=sum(speed[i] * pixels / 1e6 * count for i, count in pairs_by_style.items()),
        codec_seconds=decode * plan.contents + compress * plan.pairs,
        actors=actors,
    )


def _seconds(style: PlannedStyle, device: str) -> float:
    """For a megapixel, once for each reference that has regions where the method cannot mix them by place."""
    passes = 1 if style.method.mixes_by_place or not style.is_composite else len(style.references)
    return passes * style.method.seconds_per_megapixel(device)


@dataclass(frozen=True)
class Measured:
    """A content that was read, decoded and encoded on one core."""

    pixels: int
    written: int
    decode_seconds: float
    encode_seconds: float


def measure(plan: Plan, planned: Sequence[PlannedPiece]) -> list[Measured]:
    """Measure a few contents of a plan, spread over it; those that cannot be read are left out."""
    corpus = open_corpus(plan.corpus)
    step = max(1, len(planned) // SAMPLE)
    entries = (next(iter(corpus.read(p.piece)), None) for p in planned[::step][:SAMPLE])
    measured = [_measure(entry, plan.images) for entry in entries if entry is not None]
    return [one for one in measured if one is not None]


def _measure(entry: Entry, images: ImageSettings) -> Measured | None:
    started = time.perf_counter()
    try:
        pixels_HWC = read_picture(entry.data or b"", images).pixels_HWC
    except ImageError:
        return None
    decoded = time.perf_counter()
    written = len(encode(pixels_HWC, images))
    height, width = pixels_HWC.shape[:2]
    return Measured(height * width, written, decoded - started, time.perf_counter() - decoded)


def _pairs_by_style(plan: Plan, planned: PlannedPieces) -> dict[int, int]:
    counts: dict[int, int] = {}
    for group, contents in planned.tally().by_group().items():
        for index in plan.groups[group].styles:
            counts[index] = counts.get(index, 0) + contents
    return counts


def _bytes_read(planned: PlannedPieces) -> int:
    """Bytes of every file, once for each group of styles: pieces of a table follow one another."""
    total, last = 0, ""
    for table in planned.batches():
        paths = table["path"].to_numpy(zero_copy_only=False)
        is_new = np.concatenate([[paths[0] != last], paths[1:] != paths[:-1]])
        total += int(table["bytes"].to_numpy()[is_new].sum())
        last = paths[-1]
    return total


def _expected_pixels(images: ImageSettings, size: tuple[int, int] | None) -> float:
    if size is not None:
        return size[0] * size[1]
    side = KEPT_SIDE if images.size == "keep" else images.size
    return side * side * (ASPECT if images.fit == "keep" else 1.0)
