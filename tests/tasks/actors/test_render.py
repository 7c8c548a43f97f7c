"""Rendering where something gives way: too little memory, a bug, a picture that is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.actors import loaded as loading
from tasks.methods.base import WITHHELD, Content, Method, Pairs, Representation, Style
from tasks.methods.settings import MethodSettings, open_method
from tasks.styles import PlannedStyle
from tests.tasks.actors.making import failures, furthest, load, make_order, pixels, stylize, write_photographs


class SmallMemory:
    """A method in a memory that holds so many pairs, or contents, at once."""

    def __init__(self, method: Method, pairs: int, contents: int) -> None:
        self.method, self.pairs, self.contents = method, pairs, contents
        self.rendered: list[int] = []

    def represent(self, styles: list[Style]) -> list[Representation]:
        return self.method.represent(styles)

    def encode(self, images_NCHW: Tensor) -> Content:
        if len(images_NCHW) > self.contents:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.method.encode(images_NCHW)

    def render(self, content: Content, reps: list[Representation], pairs: Pairs) -> Tensor:
        if len(pairs) > self.pairs:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")
        self.rendered.append(len(pairs))
        return self.method.render(content, reps, pairs)


def in_small_memory(monkeypatch: pytest.MonkeyPatch, pairs: int, contents: int) -> list[SmallMemory]:
    made: list[SmallMemory] = []

    def open_small(settings: MethodSettings, device: str) -> SmallMemory:
        made.append(SmallMemory(open_method(settings, device), pairs, contents))
        return made[-1]

    monkeypatch.setattr(loading, "open_method", open_small)
    return made


def test_out_of_memory_halves_the_batch(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_photographs(tmp_path / "photos", 15)
    order = make_order(corpus, styles)
    stylize(load(tmp_path / "roomy"), order)
    methods = in_small_memory(monkeypatch, pairs=3, contents=2)
    footer = stylize(load(tmp_path / "small", batch_pixels=2**24), order)
    assert (footer.records, footer.failed) == (30, 0)
    assert furthest(pixels(tmp_path / "small"), pixels(tmp_path / "roomy")) <= 1
    assert max(methods[0].rendered) <= 3


@pytest.mark.parametrize(("pairs", "contents", "stage"), [(0, 1, "render"), (9, 0, "encode")])
def test_what_does_not_fit_alone_fails_in_every_style(
    tmp_path: Path,
    photos: Path,
    styles: tuple[PlannedStyle, ...],
    monkeypatch: pytest.MonkeyPatch,
    pairs: int,
    contents: int,
    stage: str,
) -> None:
    in_small_memory(monkeypatch, pairs, contents)
    footer = stylize(load(tmp_path / "out"), make_order(photos, styles))
    assert (footer.records, footer.failed) == (0, 12)
    assert {(r["error_class"], r["error_stage"]) for r in failures(tmp_path / "out")} == {("out_of_memory", stage)}


def test_any_other_error_fails_the_shard(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    method = in_small_memory(monkeypatch, pairs=9, contents=9)
    loaded = load(tmp_path / "out")
    loaded.method(styles[0])
    monkeypatch.setattr(method[0], "render", fail)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        stylize(loaded, make_order(photos, styles))
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.parametrize(
    ("place", "value", "reason"), [((0, 1, 2, 3), float("nan"), "not_finite"), (0, WITHHELD, "withheld")]
)
def test_a_picture_that_is_none_fails_alone(
    tmp_path: Path,
    photos: Path,
    styles: tuple[PlannedStyle, ...],
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    value: float,
    reason: str,
) -> None:
    method = in_small_memory(monkeypatch, pairs=99, contents=99)
    loaded = load(tmp_path / "out", batch_pixels=2**24)
    loaded.method(styles[0])
    render = method[0].render

    def spoil_first(content: Content, reps: list[Representation], pairs: Pairs) -> Tensor:
        images_PCHW = render(content, reps, pairs).clone()
        images_PCHW[place] = value
        return images_PCHW

    monkeypatch.setattr(method[0], "render", spoil_first)
    footer = stylize(loaded, make_order(photos, styles))
    # three sizes, so three batches, so three first pictures
    assert (footer.records, footer.failed) == (9, 3)
    assert {(r["error_class"], r["error_stage"]) for r in failures(tmp_path / "out")} == {(reason, "render")}
