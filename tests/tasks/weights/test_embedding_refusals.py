"""Files that are hostile, broken or no embeddings of InST: refused for a reason, and never run."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.records import RequestError
from tasks.weights.embeddings import read_attention
from tasks.weights.importing import import_weights
from tests.tasks.weights import snapshot_files
from tests.tasks.weights.embedding_files import (
    load_as_the_authors_do,
    make_attention,
    replace,
    rewrite,
    write_embeddings,
)
from tests.tasks.weights.snapshot_files import RunsCode

ATTENTION = b"cldm.modules.embedding_manager\nAttentions\n"
LINEAR = b"ctorch.nn.modules.linear\nLinear\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def refuse(path: Path, why: str | None = None) -> None:
    """Check that a file is refused for a reason, in one sentence, and that it did not run."""
    snapshot_files.refuse(path, why, import_weights)


def add_hook(attention: Any) -> Any:
    attention._forward_hooks[0] = RunsCode()
    return attention


TRAPS: dict[str, dict[str, Any]] = {
    "in place of the module": {"attention": RunsCode()},
    "in place of a token": {"string_to_token": {"*": RunsCode()}},
    "beside them": {"extra": [RunsCode()]},
    "as a hook of the module": {"attention": add_hook(make_attention())},
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_call_anywhere_is_refused_by_its_name_and_not_made(scratch: Path, trap: str, protocol: int) -> None:
    path = write_embeddings(scratch / "a.pt", protocol, **TRAPS[trap])
    refuse(path, f"it names {os.mkdir.__module__}.mkdir, which no file of InST needs")
    load_as_the_authors_do(path)
    assert (scratch / "pwned").exists(), "the trap itself does not work"


NAMES = {
    "another class of the authors": b"cldm.modules.embedding_manager\nEmbeddingManager\n",
    "another layer": b"ctorch.nn.modules.conv\nConv2d\n",
    "a dotted name": b"cldm.modules\nembedding_manager.Attentions\n",
    "a function": b"cbuiltins\neval\n",
    "a class of StyleGAN3's": b"cdnnlib.util\nEasyDict\n",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_outside_the_list_is_refused(scratch: Path, name: str) -> None:
    refuse(replace(write_embeddings(scratch / "a.pt"), ATTENTION, NAMES[name]), "it names .*, which no file of InST")


def tensor_of(kind: bytes = b"Float", key: bytes = b"1", count: bytes = b"K\x0f", more: bytes = b"") -> bytes:
    """The pickle of a tensor; by default of numbers that are there."""
    identity = b"(X\x07\x00\x00\x00storagectorch\n" + kind + b"Storage\nX" + len(key).to_bytes(4, "little") + key
    place = b"X\x03\x00\x00\x00cpu" + count + more + b"t"
    return REBUILD + b"(" + identity + place + b"QK\x00K\x01\x85K\x01\x85\x89}tR"


HOSTILE = {
    "a whole tensor": (tensor_of(), "no attention of InST's"),
    "a class": (ATTENTION, "no attention of InST's"),
    "another module": (LINEAR + b")\x81}b", "no attention of InST's"),
    "a module without a state": (ATTENTION + b")\x81", "not as torch writes it"),
    "a module made of something": (ATTENTION + b"K\x01\x85\x81}b", "not as torch writes it"),
    "a module of slots": (ATTENTION + b")\x81N}\x86b", "not as torch writes it"),
    "a module without parts": (ATTENTION + b")\x81}b", "not as torch writes it"),
    "a storage that is called": (b"ctorch\nFloatStorage\n)R", "calls what is not to be called"),
    "a call of a call": (ATTENTION + b")\x81)R", "calls what is not to be called"),
    "a tensor of nothing": (REBUILD + b")R", "not as torch writes it"),
    "numbers that are not there": (tensor_of(key=b"99"), "as many numbers as it says"),
    "numbers in another place": (tensor_of(key=b"../version", count=b"K\x02"), "as many numbers as it says"),
    "more numbers than there are": (tensor_of(count=b"K\x10"), "as many numbers as it says"),
    "far more numbers than there are": (tensor_of(count=b"\x8a\x08" + b"\xff" * 7 + b"\x7f"), "as many numbers as it"),
    "fewer than no numbers": (tensor_of(count=b"J\xff\xff\xff\xff"), "as many numbers as it says"),
    "numbers of half their size": (tensor_of(kind=b"Double"), "as many numbers as it says"),
    "numbers as they were before zips": (tensor_of(more=b"N"), "unknown kind"),
    "text for numbers": (REBUILD + b"(X\x01\x00\x00\x00aQK\x00K\x01\x85K\x01\x85tR", "unknown kind"),
    "no numbers": (REBUILD + b"(NK\x00K\x01\x85K\x01\x85tR", "unknown kind"),
    "an operation for old classes": (b"(ccollections\nOrderedDict\no", "operation OBJ"),
    "half a pickle": (ATTENTION + b"(", "not a whole pickle"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_out_of_order_is_refused(scratch: Path, name: str) -> None:
    code, why = HOSTILE[name]
    pickled = b"\x80\x02}X\x09\x00\x00\x00attention" + code + b"s."
    refuse(rewrite(write_embeddings(scratch / "a.pt"), lambda entries: entries.update({"data.pkl": pickled})), why)


def test_a_tensor_beyond_its_numbers_is_refused(scratch: Path) -> None:
    path, shape = scratch / "a.pt", b"K\x03K\x05\x86"  # of the 15 numbers of data/1
    refuse(replace(write_embeddings(path), shape, b"K\x03K\x06\x86"), "reaches beyond its numbers")
    for size in (0, 1, 56, 59, 61, 64):
        rewrite(write_embeddings(path), lambda entries: entries.update({"data/1": bytes(size)}))  # noqa: B023
        refuse(path, "as many numbers as it says")
    refuse(rewrite(write_embeddings(path), lambda entries: entries.pop("data/0")), "as many numbers as it says")


@pytest.mark.parametrize("protocol", [0, 1])
def test_pickles_of_old_protocols_are_refused(scratch: Path, protocol: int) -> None:
    path, pickled = write_embeddings(scratch / "a.pt"), pickle.dumps({"attention": RunsCode()}, protocol)
    refuse(rewrite(path, lambda entries: entries.update({"data.pkl": pickled})), "not a pickle of protocol 2 or later")


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_files_of_torch_that_hold_something_else_are_refused(scratch: Path) -> None:
    tensors = make_attention().state_dict()
    others: list[tuple[object, str]] = [
        (dict(tensors), "no attention of InST's .a file of tensors alone is named as weights as it is"),
        (tensors, "no attention of InST's"),
        ({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": torch.ones(1, 5)}}, "no attention of"),
        ([make_attention().net], "no attention of InST's"),
        ({"attention": tensors}, "no attention of InST's"),
        ("text", "no attention of InST's"),
        (torch.ones(3), "no attention of InST's"),
        (nn.Conv2d(1, 1, 1), "it names torch.nn.modules.conv.Conv2d"),
    ]
    for content, why in others:
        torch.save(content, scratch / "a.pt")
        refuse(scratch / "a.pt", why)
    write_embeddings(scratch / "a.pt", zipped=False)  # read as a snapshot, which it is not
    refuse(scratch / "a.pt", "is refused")


def changed(**layers: Any) -> nn.Module:
    """The authors' module with other layers in it, or other layers in `attn1`."""
    attention = make_attention()
    for name, layer in layers.items():
        setattr(attention.attn1 if name.startswith("to_") else attention, name, layer)
    return attention


def test_other_networks_are_refused_by_the_first_tensor_that_differs(scratch: Path) -> None:
    whole = torch.ones(5, 5, dtype=torch.int64)
    others: list[tuple[nn.Module, str]] = [
        (changed(attn1=nn.ModuleList()), "it has no attn1.to_q.weight of two dimensions"),
        (changed(to_q=nn.Sequential()), "it has no attn1.to_q.weight of two dimensions"),
        (changed(attn2=None), "it has no attn2.to_k.weight"),
        (changed(net=nn.Sequential(nn.Dropout(), nn.Linear(5, 5, bias=False))), "it has no net.1.bias"),
        (changed(net=nn.Linear(5, 5)), "it has no net.1.bias"),
        (changed(ff=nn.Linear(5, 5)), "it has a tensor ff.bias"),
        (changed(to_k=nn.Linear(5, 3)), "it has a tensor attn1.to_k.bias"),
        (changed(to_k=nn.Linear(5, 4, bias=False)), r"its attn1.to_k.weight has the shape \[4, 5\] where \[3, 5\] is"),
        (changed(to_q=nn.Linear(6, 3, bias=False)), r"its attn1.to_k.weight has the shape \[3, 5\] where \[3, 6\] is"),
        (changed(net=make_attention().attn1), "it has no net.1.bias"),
    ]
    for attention, why in others:
        refuse(write_embeddings(scratch / "a.pt", attention=attention), f"another network than InST's: {why}")
    attention = make_attention()
    attention.net[1]._parameters["weight"] = whole
    refuse(write_embeddings(scratch / "a.pt", attention=attention), "holds what is no tensor of floats")
    attention.net[1]._parameters["weight"] = "text"
    refuse(write_embeddings(scratch / "a.pt", attention=attention), "holds what is no tensor of floats")
    attention = make_attention()
    attention.attn2 = attention.attn1
    refuse(write_embeddings(scratch / "a.pt", attention=attention), "a layer in two places")
    attention.attn2 = attention
    refuse(write_embeddings(scratch / "a.pt", attention=attention), "a layer in two places")


def test_a_pickle_changed_anywhere_ends_in_a_sentence_or_in_an_import(scratch: Path) -> None:
    path, random = write_embeddings(scratch / "a.pt"), np.random.default_rng(0)
    whole = path.read_bytes()
    for _ in range(300):
        path.write_bytes(whole)
        rewrite(path, lambda entries: entries.update({"data.pkl": change_a_byte(entries["data.pkl"], random)}))
        with suppress(RequestError):
            read_attention(path)


def change_a_byte(data: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[random.integers(len(data))] = random.integers(256)
    return bytes(changed)
