"""Snapshots as StyleGAN3's training writes them, small; and ways to make hostile ones of them."""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tasks.records import RequestError
from tasks.weights.importing import import_snapshot

ORDERED = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93"  # STACK_GLOBAL of an allowed name
SOURCE = "open('pwned', 'w')"  # what a loader that runs the sources would do


class RunsCode:
    """A pickle of this makes a folder when it is loaded the usual way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("pwned",))


class LoadsBytes:
    """A tensor's numbers, given as raw bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return (torch.storage._load_from_bytes, (self.data,))


class EasyDict(dict[str, Any]):
    """Stands for dnnlib's; a pickle names it so."""


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    """Stands for StyleGAN3's; as that one does, it runs the source that it is given."""
    exec(meta["module_src"])


class Network:
    """A network or a layer, which pickles as StyleGAN3's persistent classes do."""

    def __init__(self, kind: str, layers: dict[str, Network] | None = None, **state: Any) -> None:
        self.kind = kind
        parts = {"_parameters": OrderedDict(), "_buffers": {}, "_modules": layers or {}, "training": False}
        self.state = {**parts, "_non_persistent_buffers_set": set(), "_init_args": (), **state}

    def __reduce__(self) -> tuple[object, tuple[dict[str, Any]]]:
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.kind, "state": self.state}
        return (_reconstruct_persistent_obj, (meta,))


def make_generator(**state: Any) -> Network:
    """A generator of two layers: tensors of every kind that StyleGAN3's has. `state` comes over its own."""
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    first = Network("SynthesisInput", _parameters={"weight": weight}, _buffers={"freqs": torch.ones(4, 2)})
    scale = torch.tensor(0.5)  # of no dimension, as magnitude_ema is
    layer = Network("SynthesisLayer", _parameters={"bias": None}, _buffers={"magnitude_ema": scale})
    synthesis = Network("SynthesisNetwork", {"input": first, "L0": layer})
    arguments = EasyDict(z_dim=4, img_resolution=16, mapping_kwargs=EasyDict(num_layers=2))
    mapping = Network("MappingNetwork", _buffers={"w_avg": torch.arange(8.0)[::2]})
    return Network("Generator", {"synthesis": synthesis, "mapping": mapping}, **{"_init_kwargs": arguments, **state})


@contextmanager
def standing_in(things: dict[Any, str]) -> Iterator[None]:
    """Give things the modules that they are pickled by."""
    with pytest.MonkeyPatch.context() as patch:
        for thing, module in things.items():
            parts = module.split(".")
            for name in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
                if name not in sys.modules:
                    patch.setitem(sys.modules, name, ModuleType(name))
            patch.setattr(sys.modules[module], thing.__name__, thing, raising=False)
            patch.setattr(thing, "__module__", module)
        yield


def pickle_snapshot(content: object, protocol: int = 4) -> bytes:
    """Pickle with the names that StyleGAN3's own modules give."""
    with standing_in({_reconstruct_persistent_obj: "torch_utils.persistence", EasyDict: "dnnlib.util"}):
        return pickle.dumps(content, protocol)


def write_snapshot(path: Path, protocol: int = 4, **content: Any) -> Path:
    """Write a snapshot; `content` comes over its networks and settings."""
    snapshot = {"G": make_generator(), "D": None, "G_ema": make_generator(), "training_set_kwargs": EasyDict()}
    path.write_bytes(pickle_snapshot({**snapshot, **content}, protocol))
    return path


def refuse(path: Path, why: str | None = None, read: Callable[[Path], object] = import_snapshot) -> None:
    """Check that a file is refused for a reason, in one sentence, and that it did not run."""
    with pytest.raises(RequestError, match=why) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path.name} is refused: ")
    assert sentence.endswith("; nothing in it was run.")
    assert [found.name for found in path.parent.iterdir()] == [path.name], "something was written"
