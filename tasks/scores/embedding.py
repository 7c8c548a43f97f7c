"""Embeddings of any number of pictures in little memory: decoded and resized in threads, embedded in batches.

Dimension key: N images, C channels (RGB), H height, W width; h, w sides of the model's input; S side of a thumbnail;
D embedding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.encoders.clip import BATCH, ClipEncoder
from tasks.encoders.clip_pixels import to_bytes
from tasks.images.decoding import decode
from tasks.images.fitting import REDUCING_GAP, Pixels
from tasks.records import ImageError
from tasks.storage import shorten_error

THREADS = 4  # each holds one decoded picture: 400 MB at the very most, 40 MB as a rule
AHEAD = 4 * THREADS  # pictures under way: what a slow one holds up stays small
THUMBNAIL = 168  # pixels a side

Key = TypeVar("Key")


@dataclass(frozen=True)
class Seen(Generic[Key]):
    """A picture that was read: its embedding and a square thumbnail; or why it could not be."""

    key: Key
    embedding_D: Tensor | None
    thumbnail_SSC: Pixels | None
    error: ImageError | None = None


@dataclass(frozen=True)
class _Prepared(Generic[Key]):
    key: Key
    input_3hw: Tensor | None
    thumbnail_SSC: Pixels | None
    error: ImageError | None


def embed_pictures(
    encoder: ClipEncoder, pictures: Iterable[tuple[Key, Callable[[], bytes]]], batch: int = BATCH
) -> Iterator[Seen[Key]]:
    """Read, decode and embed pictures, in their order; embeddings of unit length, on the CPU.

    A picture is a key and what gives its bytes. One that cannot be read or decoded comes back with its
    ImageError (`unreadable` where its store failed). At most `batch` and `AHEAD` pictures are held at a time.
    """
    prepared = _in_order(lambda picture: _prepare(encoder, *picture), pictures)
    while group := list(islice(prepared, batch)):
        inputs = [one.input_3hw for one in group if one.input_3hw is not None]
        embeddings_ND = iter(_embed(encoder, inputs) if inputs else ())
        for one in group:
            embedding_D = next(embeddings_ND) if one.input_3hw is not None else None
            yield Seen(one.key, embedding_D, one.thumbnail_SSC, one.error)


@torch.no_grad()
def _embed(encoder: ClipEncoder, inputs: list[Tensor]) -> Tensor:
    inputs_N3hw = torch.stack(inputs).to(encoder.device)
    return encoder.embed_inputs(encoder.preprocessing.normalize(inputs_N3hw)).cpu()


def _prepare(encoder: ClipEncoder, key: Key, load: Callable[[], bytes]) -> _Prepared[Key]:
    """The model's 8-bit input, made here from the whole picture, so that no large one waits for a batch."""
    try:
        pixels_HWC = decode(load())
    except ImageError as error:
        return _Prepared(key, None, None, error)
    except OSError as error:
        return _Prepared(key, None, None, ImageError("unreadable", shorten_error(error)))
    with torch.no_grad():
        input_13hw = encoder.preprocessing.fit(to_bytes(pixels_HWC, "cpu")[None])
    return _Prepared(key, input_13hw[0], square_thumbnail(pixels_HWC), None)


def square_thumbnail(pixels_HWC: Pixels, side: int = THUMBNAIL) -> Pixels:
    """The centre square of a picture, brought to `side` pixels."""
    image = Image.fromarray(pixels_HWC)
    short = min(image.size)
    box = ((image.width - short) / 2, (image.height - short) / 2, (image.width + short) / 2, (image.height + short) / 2)
    resized = image.resize((side, side), Image.Resampling.LANCZOS, box, REDUCING_GAP)
    return np.array(resized)


Item = TypeVar("Item")
Result = TypeVar("Result")


def _in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, with few under way: the pool's own `map` would take all items at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
