"""Styles where memory runs out while they are represented: fewer at a time, and one that does not fit is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tasks.actors import loaded as loading
from tasks.actors.memory import SAYINGS, check_is_memory
from tasks.methods.base import Method, Representation, Style
from tasks.methods.mmist.method import MmistMethod
from tasks.methods.settings import MethodSettings, open_method
from tasks.records import RequestError
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle
from tests.tasks.actors.making import load, plan_styles, write_style_pictures
from tests.tasks.actors.test_representing import FIRE, INK, plan


def keep_in_memory(method: Method, most: int, verbs: Sequence[str]) -> Method:
    """The method on a device that holds so many styles at once."""
    for verb in verbs:
        honest = getattr(method, verb)

        def make(styles: Sequence[Style], *others: object, honest: object = honest) -> list[Representation]:
            if len(styles) > most:
                raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
            return honest(styles, *others)  # type: ignore[operator,no-any-return]

        setattr(method, verb, make)
    return method


def represented(folder: Path, styles: Sequence[PlannedStyle]) -> list[dict[str, torch.Tensor]]:
    store = RepresentationStore(str(folder / "representations"))
    return [dict(store.get(style.method.name, style.representation).tensors) for style in styles]


@pytest.mark.parametrize("kind", ["pictures", "texts that are inverted"])
def test_where_memory_runs_out_fewer_styles_are_represented_at_a_time(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = list(plan_styles(write_style_pictures(tmp_path / "art"))) if kind == "pictures" else plan(FIRE, INK)
    assert load(tmp_path / "roomy").represent(styles) == 2
    verbs = ("represent",) if kind == "pictures" else ("invert", "represent_inverted")

    def open_small(settings: MethodSettings, device: str) -> Method:
        return keep_in_memory(open_method(settings, device), 1, verbs)

    monkeypatch.setattr(loading, "open_method", open_small)
    assert load(tmp_path / "small").represent(styles) == 2
    for ours, theirs in zip(
        represented(tmp_path / "small", styles), represented(tmp_path / "roomy", styles), strict=True
    ):
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-3)


def test_a_style_that_does_not_fit_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_none(settings: MethodSettings, device: str) -> Method:
        return keep_in_memory(open_method(settings, device), 0, ("represent",))

    monkeypatch.setattr(loading, "open_method", open_none)
    with pytest.raises(RequestError, match=r"Style '(bars|blots)' does not fit into memory"):
        load(tmp_path).represent(list(plan_styles(write_style_pictures(tmp_path / "art"))))


def test_an_error_of_another_kind_is_raised_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(MmistMethod, "invert", fail)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        load(tmp_path).represent(plan(FIRE, INK))


@pytest.mark.parametrize("said", SAYINGS)
def test_what_libraries_say_of_memory_is_understood(said: str) -> None:
    check_is_memory(RuntimeError(f"{said} when calling something"))
