"""Modules of torch inside pickles that were read as data: their tensors, by the names that torch gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tasks.weights.inert_pickle import Call, Name, RefusalError
from tasks.weights.storages import Numbers

ORDERED_DICT = Name("collections", "OrderedDict")
PARAMETER = Name("torch._utils", "_rebuild_parameter")
TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
MAPPINGS = frozenset({Name("dnnlib.util", "EasyDict"), ORDERED_DICT})
MAX_PREFIX = 200  # of a name, which is StyleGAN3's `synthesis.L10_1024_64.` or shorter


@dataclass(frozen=True)
class Form:
    """How a kind of file keeps modules: what is read of them raises RefusalError where it is something else."""

    state_of: Callable[[Any], dict[Any, Any]]
    tensor_of: Callable[[Any], Numbers]
    broken: str  # why a module is refused whose parts are not there


def walk(state: dict[Any, Any], form: Form) -> Iterator[tuple[str, Numbers, bool]]:
    """Names, tensors, and whether they are trained, of a module and those in it, as `named_parameters` has them."""
    seen: set[int] = set()
    waiting = [("", state)]
    while waiting:
        prefix, state = waiting.pop()
        parameters, buffers, modules = (_part(state, part, form) for part in ("_parameters", "_buffers", "_modules"))
        for shared in map(id, (state, parameters, buffers, modules)):
            if shared in seen:  # layers in several places would be without end, or without bound
                raise RefusalError("it has a layer in two places")
            seen.add(shared)
        if len(prefix) > MAX_PREFIX:  # names of ever deeper layers would take the square of their number
            raise RefusalError("its layers are nested too deep")
        for items in (parameters, buffers):
            for name, value in _named(items):
                yield prefix + name, form.tensor_of(_data_of(value)), items is parameters
        for name, value in _named(modules):
            waiting.append((f"{prefix}{name}.", form.state_of(value)))


def items_of(value: Any) -> dict[Any, Any] | None:
    """Items of a dict or of one of its kinds; None of anything else."""
    match value:
        case dict():
            return value
        case Call(callee=callee, arguments=()) if callee in MAPPINGS:
            return value.items
    return None


def _part(state: dict[Any, Any], part: str, form: Form) -> dict[Any, Any]:
    items = items_of(state.get(part))
    if items is None:
        raise RefusalError(form.broken)
    return items


def _named(items: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in items.items():
        if not (isinstance(name, str) and re.fullmatch(r"\w{1,64}", name, re.ASCII)):
            raise RefusalError("one of its tensors or layers has no proper name")
        if value is not None:  # a bias that a layer does without
            yield name, value


def _data_of(value: Any) -> Any:
    """A parameter's tensor; a tensor as it is."""
    match value:
        case Call(callee=callee, arguments=(data, *_)) if callee == PARAMETER:
            return data
    return value
