from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from tasks.records import RequestError
from tasks.weights.loading import load_tensors, match_layout


class CreatesAFile:
    """A pickle of this creates a file when it is loaded the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_named_tensors_are_read_whatever_the_file_is_called(tmp_path: Path, suffix: str) -> None:
    tensors = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor([3])}
    for save in (save_file, torch.save):
        save(tensors, tmp_path / f"weights.{suffix}")
        assert_close(load_tensors(tmp_path / f"weights.{suffix}"), tensors)


def test_torch_files_from_before_the_zip_format_are_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_close(load_tensors(tmp_path / "old.pth"), {"a": torch.ones(2)})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(tmp_path: Path, kind: torch.dtype) -> None:
    save_file({"a": torch.full((2,), 0.5, dtype=kind)}, tmp_path / "half.safetensors")
    assert_close(load_tensors(tmp_path / "half.safetensors"), {"a": torch.full((2,), 0.5)})


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"a": torch.ones(1), "b": evil}])
@pytest.mark.parametrize("zipped", [True, False, None])
def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path, zipped: bool | None, wrap: object) -> None:
    path, trap = tmp_path / "hostile.pth", tmp_path / "trap"
    content = wrap(CreatesAFile(trap))  # type: ignore[operator]
    if zipped is None:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RequestError, match=r"hostile\.pth is refused"):
        load_tensors(path)
    assert not trap.exists()
    torch.load(path, weights_only=False) if zipped is not None else pickle.loads(path.read_bytes())
    assert trap.exists(), "the trap itself does not work"


@pytest.mark.parametrize(
    "content",
    [[torch.ones(1)], {"a": 1}, {1: torch.ones(1)}, {"state_dict": {"a": torch.ones(1)}}, torch.ones(1)],
    ids=["a list", "a number", "no name", "nested", "one tensor"],
)
def test_what_is_not_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(RequestError, match=r"other\.pth is refused"):
        load_tensors(tmp_path / "other.pth")


@pytest.mark.parametrize("data", [b"", b"<html>Not found</html>", b"PK\x03\x04 half a zip", b"\x80\x02}q", bytes(64)])
def test_what_is_no_weights_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "page.pth").write_bytes(data)
    with pytest.raises(RequestError, match=r"page\.pth is refused"):
        load_tensors(tmp_path / "page.pth")


def test_half_a_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(100)}, tmp_path / "a.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:200])
    with pytest.raises(RequestError, match="get it again"):
        load_tensors(tmp_path / "cut.safetensors")


def test_a_layout_names_the_first_difference() -> None:
    tensors = {"a": torch.ones(2, 3), "b": torch.ones(1)}
    match_layout(tensors, {"a": [2, 3]}, "the network", ignored={"b"})
    with pytest.raises(RequestError, match=r"weights of the network: the tensor c is missing"):
        match_layout(tensors, {"a": [2, 3], "c": [1]}, "the network")
    with pytest.raises(RequestError, match=r"the tensor a has shape \[2, 3\] where \[3, 2\] is expected"):
        match_layout(tensors, {"a": [3, 2], "b": [1]}, "the network")
    with pytest.raises(RequestError, match=r"the tensor b is unexpected"):
        match_layout(tensors, {"a": [2, 3]}, "the network")
