"""InST's `embeddings.pt`, which pickles a module of the authors' classes, read for its tensors; none of it is run.

Format: `EmbeddingManager.save` of zyxElsa/InST @ 71a8f01, ldm/modules/embedding_manager.py: by `torch.save`, a dict of
`string_to_token` and `attention`, an `Attentions`.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.weights.archives import KINDS, SIGNATURE, Archive
from tasks.weights.inert_modules import ORDERED_DICT, PARAMETER, TENSOR, Form, items_of, walk
from tasks.weights.inert_pickle import Call, Name, Reading, RefusalError, accept_only, note, parse
from tasks.weights.opening import open_untrusted
from tasks.weights.storages import Numbers, view_storage

MAX_BYTES = 10**8  # the authors' module for words 768 wide takes 15 MB
ATTENTION = Name("ldm.modules.embedding_manager", "Attentions")
MODULES = frozenset(
    {
        ATTENTION,
        Name("ldm.modules.attention", "CrossAttention"),
        Name("torch.nn.modules.container", "ModuleList"),
        Name("torch.nn.modules.container", "Sequential"),
        Name("torch.nn.modules.dropout", "Dropout"),
        Name("torch.nn.modules.linear", "Linear"),
    }
)
SETS = frozenset({Name("builtins", "set"), Name("__builtin__", "set")})  # the second is protocol 2's
CALLED = MODULES | SETS | {ORDERED_DICT, PARAMETER, TENSOR}
ALLOWED = CALLED | frozenset(KINDS)
NOT_ITS_FORM = "one of its modules is not as torch writes it"
ANOTHER = "its attention is another network than InST's"


@dataclass(frozen=True)
class Attention:
    """The authors' attention: twelve tensors under their names, views of what was read, not writable."""

    tensors: dict[str, Numbers]
    width: int  # of a word
    digest: str  # SHA-256 of the file


def is_archive(path: Path) -> bool:
    """Whether a file is a zip, as InST's are and StyleGAN3's snapshots are not. Raises RequestError."""
    with open_untrusted(path, "file", math.inf) as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def read_attention(path: Path) -> Attention:
    """Read the attention of InST's `embeddings.pt`; the whole file is checked, and nothing in it is run.

    Raises RequestError where the file names what InST's do not need, is broken, or holds something else.
    """
    with open_untrusted(path, "file", MAX_BYTES) as file:
        data = file.read()
        archive = Archive(data)
        reading = parse(io.BytesIO(archive.pickle), accept_only(ALLOWED, "file of InST"))
        found = _check_calls(reading, archive)
        form = Form(_state_of, lambda tensor: _tensor(tensor, found), NOT_ITS_FORM)
        tensors = {name: tensor for name, tensor, _ in walk(_attention_state(reading.root), form)}
        width = _check_layout(tensors)
        return Attention(tensors, width, hashlib.sha256(data).hexdigest())


def name_globals(path: Path) -> dict[str, bool]:
    """Every global that a file names, and whether an import accepts it. Runs nothing.

    Raises RequestError where the file cannot be opened, or is no zip with a pickle.
    """
    found: dict[str, bool] = {}
    with open_untrusted(path, "file", MAX_BYTES) as file:
        parse(io.BytesIO(Archive(file.read()).pickle), note(found, ALLOWED))
    return dict(sorted(found.items()))


def _check_calls(reading: Reading, archive: Archive) -> dict[Call, Numbers]:
    """Check every call of a file, also those outside the attention; gives its tensors."""
    tensors = {}
    for call in reading.calls:
        if not (isinstance(call.callee, Name) and call.callee in CALLED):
            raise RefusalError("it calls what is not to be called")
        if call.callee == TENSOR:
            tensors[call] = _view(call.arguments, archive)
    return tensors


def _view(arguments: Any, archive: Archive) -> Numbers:
    match arguments:
        case (storage, offset, size, stride, *_):
            return view_storage(archive.find_numbers(storage), offset, size, stride)
    raise RefusalError("one of its tensors is not as torch writes it")


def _attention_state(saved: Any) -> dict[Any, Any]:
    items = items_of(saved) or {}
    match items.get("attention"):
        case Call(callee=callee) as attention if callee == ATTENTION:
            return _state_of(attention)
    raise RefusalError("it has no attention of InST's (a file of tensors alone is named as weights as it is)")


def _state_of(module: Any) -> dict[Any, Any]:
    match module:
        case Call(callee=Name() as kind, arguments=(), state=dict() as state) if kind in MODULES:
            return state
    raise RefusalError(NOT_ITS_FORM)


def _tensor(value: Any, tensors: Mapping[Call, Numbers]) -> Numbers:
    tensor = tensors.get(value) if isinstance(value, Call) else None
    if tensor is None or tensor.dtype.kind != "f":
        raise RefusalError("its attention holds what is no tensor of floats")
    return tensor


def _check_layout(tensors: Mapping[str, Numbers]) -> int:
    """Check names and shapes against the authors' module, of any widths; gives the width of a word."""
    query = tensors.get("attn1.to_q.weight")
    if query is None or query.ndim != 2:
        raise RefusalError(f"{ANOTHER}: it has no attn1.to_q.weight of two dimensions")
    inner, width = query.shape
    expected = _layout(inner, width)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise RefusalError(f"{ANOTHER}: it has no {name}")
        if name not in expected:
            raise RefusalError(f"{ANOTHER}: it has a tensor {name}")
        if tensors[name].shape != expected[name]:
            shapes = f"{list(tensors[name].shape)} where {list(expected[name])} is expected"
            raise RefusalError(f"{ANOTHER}: its {name} has the shape {shapes}")
    return width


def _layout(inner: int, width: int) -> dict[str, tuple[int, ...]]:
    inward = {f"to_{part}.weight": (inner, width) for part in "qkv"}
    layer: dict[str, tuple[int, ...]] = {**inward, "to_out.0.weight": (width, inner), "to_out.0.bias": (width,)}
    layers = {f"{name}.{part}": shape for name in ("attn1", "attn2") for part, shape in layer.items()}
    return {**layers, "net.1.weight": (width, width), "net.1.bias": (width,)}
