"""Reading ahead and batching: bounded by bytes, in order, of one padded size."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tasks.actors import contents
from tasks.actors.contents import ShardContent, batch_contents
from tasks.corpus.base import Entry
from tasks.images.decoding import Picture
from tasks.records import ImageError

MEGABYTE = 2**20


def content(place: int, height: int, width: int) -> ShardContent:
    pixels_HWC = np.zeros((height, width, 3), np.uint8)
    return ShardContent(place, Entry(f"p{place}", "uri", "version", None), Picture(pixels_HWC, width, height))


def batches(sizes: list[tuple[int, int]], limit: int) -> list[list[int]]:
    made = batch_contents((content(i, *size) for i, size in enumerate(sizes)), 8, lambda: limit)
    return [[one.place for one in batch] for batch in made]


def test_a_batch_holds_one_padded_size() -> None:
    # 17 and 24 are both padded to 24
    assert batches([(24, 24), (32, 24), (17, 24), (32, 24)], 10**6) == [[0, 2], [1, 3]]


def test_a_batch_goes_out_once_another_picture_would_not_fit() -> None:
    assert batches([(16, 16)] * 5, 2 * 16 * 16) == [[0, 1], [2, 3], [4]]


def test_a_picture_above_the_limit_goes_alone() -> None:
    assert batches([(64, 64), (16, 16), (64, 64)], 16 * 16) == [[0], [1], [2]]


def test_waiting_pictures_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "WAITING_BYTES", 3 * 64 * 64 * 3)
    sizes = [(64, 64), (16, 16), (64, 64), (24, 24), (64, 64), (32, 32)]
    assert batches(sizes, 10**9)[0] == [0, 2, 4]


def ahead(weights: list[int], depth: int, room: int) -> tuple[list[int], int]:
    """What comes out, and the most that was held or under way at once while the consumer stood still."""
    held, most, lock = [0], [0], threading.Lock()

    def work(weight: int) -> int:
        with lock:
            held[0] += weight
            most[0] = max(most[0], held[0])
        return weight

    out = []
    with ThreadPoolExecutor(4) as pool:
        for weight in contents._ahead(pool, work, weights, depth, room, lambda weight: weight, lambda weight: weight):
            out.append(weight)
            with lock:
                held[0] -= weight
    return out, most[0]


def test_reading_ahead_keeps_order_and_depth() -> None:
    out, most = ahead([1] * 50, depth=4, room=10**9)
    assert out == [1] * 50
    assert most <= 5


def test_reading_ahead_is_bounded_in_bytes() -> None:
    weights = [1, 5, 300, 2, 300, 300, 1, 700, 3]
    out, most = ahead(weights, depth=100, room=400)
    assert out == weights
    assert most <= 700 + 300


def test_an_error_on_a_thread_reaches_the_caller() -> None:
    def fail(_: int) -> int:
        raise OSError("the store is gone")

    with ThreadPoolExecutor(1) as pool:
        made = contents._ahead(pool, fail, [1, 2, 3], 2, 10, lambda _: 1, lambda _: 1)
        with pytest.raises(OSError, match="gone"):
            next(made)


def test_a_content_without_a_picture_weighs_nothing() -> None:
    failed = ShardContent(0, Entry("p", "uri", "version", None), ImageError("missing", "gone"))
    assert failed.pixel_bytes == 0
