"""Tensors in a bank: rows of representations as a table's columns, and back, one style at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from tasks.banks.packed import TEXTS
from tasks.methods.base import Representation
from tasks.styles import PlannedReference

TENSOR, SHAPE, KIND = "tensor:", "shape:", b"dtype"


@dataclass(frozen=True)
class BankRow:
    """A style of a bank, or a picture that is left out, with the reason."""

    identity: str
    name: str
    references: Sequence[PlannedReference] = ()
    representation: str = ""
    texts: str | None = None
    licence: str | None = None
    reason: str | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)


def make_table(rows: Sequence[BankRow]) -> pa.Table:
    """Rows as a table; a style that lacks a tensor that others have gets a null there."""
    names = sorted({name for row in rows for name in row.tensors})
    arrays: list[pa.Array] = [pa.array([_text(row, one.name) for row in rows], one.type) for one in TEXTS]
    fields = list(TEXTS)
    for name in names:
        tensors = [row.tensors.get(name) for row in rows]
        kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors if tensor is not None}
        if len(kinds) > 1:
            raise ValueError(f"{name} is {' and '.join(sorted(kinds))}")
        fields += [
            pa.field(TENSOR + name, pa.large_binary(), metadata={KIND: kinds.pop().encode()}),
            pa.field(SHAPE + name, pa.list_(pa.int32())),
        ]
        arrays.append(pa.array([None if t is None else _bytes(t) for t in tensors], pa.large_binary()))
        arrays.append(pa.array([None if t is None else list(t.shape) for t in tensors], pa.list_(pa.int32())))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


@dataclass(frozen=True)
class _Column:
    """One tensor of all styles."""

    name: str
    kind: torch.dtype
    data: pa.Array
    shapes: pa.Array


class BankTensors:
    """Representations of a bank's table, which is usually mapped from a file: each is copied out where it is used."""

    def __init__(self, table: pa.Table) -> None:
        self._tensors = [
            _Column(
                one.name.removeprefix(TENSOR),
                getattr(torch, one.metadata[KIND].decode()),
                _whole(table[one.name]),
                _whole(table[SHAPE + one.name.removeprefix(TENSOR)]),
            )
            for one in table.schema
            if one.name.startswith(TENSOR)
        ]

    def representation(self, row: int) -> Representation:
        """Of the style in a row."""
        tensors = {}
        for column in self._tensors:
            data = column.data[row].as_buffer()
            if data is not None:
                shape = column.shapes[row].as_py()
                tensors[column.name] = torch.frombuffer(bytearray(data), dtype=column.kind).reshape(shape)
        return Representation(tensors)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; one that is one already is not copied."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _text(row: BankRow, name: str) -> Any:
    if name != "references":
        return getattr(row, name)
    return json.dumps([one.model_dump(mode="json", exclude_defaults=True) for one in row.references])


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
