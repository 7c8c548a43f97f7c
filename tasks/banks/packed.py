"""A bank as one Arrow file: a row a style, its tensors as they are in memory, so that nodes map it and copy nothing.

Arrow's IPC file format, uncompressed: text columns are read where they are asked for, tensors where they are used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tasks.banks.names import find_reference
from tasks.methods.base import Representation
from tasks.methods.settings import MethodSettings
from tasks.records import RequestError
from tasks.styles import PlannedReference, PlannedStyle, freeze_style

TEXTS = pa.schema(
    [
        pa.field("identity", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("representation", pa.string(), nullable=False),
        pa.field("references", pa.string(), nullable=False),  # JSON; places of pictures are relative to the source
        pa.field("texts", pa.string()),  # digest of what makes something of texts, where the style has any
        pa.field("licence", pa.string()),
        pa.field("reason", pa.string()),  # of a picture that is none: it is left out of the bank
    ]
)
TENSOR, SHAPE, KIND = "tensor:", "shape:", b"dtype"
LEFT_OUT = b"left_out"


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


def identify(references: Sequence[PlannedReference]) -> str:
    """What a style is made of, whatever the method: the bank's order, and what its parts go by."""
    text = json.dumps([reference.identity() for reference in references], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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


def write_table(table: pa.Table) -> bytes:
    """The table as an Arrow file of one batch."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def join(parts: Sequence[pa.Table]) -> tuple[pa.Table, list[tuple[str, str]]]:
    """One table of all usable styles in the bank's order, and what is left out: name and reason.

    Of styles that are the same the first by name stays.
    """
    whole = pa.concat_tables(parts, promote_options="default")
    broken = whole.filter(pc.is_valid(whole["reason"]))
    left_out = list(zip(broken["name"].to_pylist(), broken["reason"].to_pylist(), strict=True))
    usable = whole.filter(pc.is_null(whole["reason"])).sort_by([("identity", "ascending"), ("name", "ascending")])
    identities, names = usable["identity"].to_pylist(), usable["name"].to_pylist()
    kept: list[int] = []
    for row, identity in enumerate(identities):
        if kept and identities[kept[-1]] == identity:
            left_out.append((names[row], f"the same picture as {names[kept[-1]]}"))
        else:
            kept.append(row)
    chosen = usable if len(kept) == len(identities) else usable.take(kept)
    return chosen.replace_schema_metadata({LEFT_OUT: json.dumps(sorted(left_out))}), sorted(left_out)


def bank_key(rows: Iterable[tuple[str, str, str]]) -> str:
    """Key of a bank: a digest over what its styles are, their names, and what their representations are made from."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:32]


def table_key(table: pa.Table) -> str:
    """Key of a bank's table."""
    columns = (table[name].to_pylist() for name in ("identity", "name", "representation"))
    return bank_key(zip(*columns, strict=True))


@dataclass(frozen=True)
class _Column:
    """One tensor of all styles."""

    name: str
    kind: torch.dtype
    data: pa.Array
    shapes: pa.Array


class Bank:
    """A bank's table, usually mapped from a file: what is not asked for is not read."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.identities: list[str] = table["identity"].to_pylist()
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

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Names of pictures that are not in the bank, each with the reason."""
        return [(name, reason) for name, reason in json.loads((self.table.schema.metadata or {})[LEFT_OUT])]

    def style(self, row: int, method: MethodSettings, weights: str, source: str = "") -> PlannedStyle:
        """A style of the bank as a job that named it would have planned it."""
        references = tuple(
            _place(PlannedReference(**one), source) for one in json.loads(self._text("references", row) or "[]")
        )
        return freeze_style(self._text("name", row) or "", references, method, weights, self._text("texts", row))

    def representation(self, row: int) -> Representation:
        """A style's tensors, copied out of the file."""
        tensors = {}
        for column in self._tensors:
            data = column.data[row].as_buffer()
            if data is not None:
                shape = column.shapes[row].as_py()
                tensors[column.name] = torch.frombuffer(bytearray(data), dtype=column.kind).reshape(shape)
        return Representation(tensors)

    def _text(self, column: str, row: int) -> str | None:
        value: str | None = self.table[column][row].as_py()
        return value


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; one that is one already is not copied."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def map_table(path: str) -> pa.Table:
    """The table of a file, mapped into memory. Raises ArrowInvalid where it is none."""
    return pa.ipc.open_file(pa.memory_map(path)).read_all()


def read_table(data: bytes) -> pa.Table:
    """The table of a file that was read whole. Raises ArrowInvalid where it is none."""
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()


def check_size(table: pa.Table, most: int) -> None:
    """Raise RequestError where a bank is larger than one object can be."""
    if table.nbytes > most:
        raise RequestError(
            f"The bank takes {table.nbytes / 1e9:.1f} GB, and one object holds {most / 1e9:.1f} GB: take fewer styles, "
            "a smaller `style_size`, or a method with small representations, such as adain."
        )


def _place(reference: PlannedReference, source: str) -> PlannedReference:
    return reference.model_copy(update={"image": find_reference(source, reference.image)})


def _text(row: BankRow, name: str) -> Any:
    if name != "references":
        return getattr(row, name)
    return json.dumps([one.model_dump(mode="json", exclude_defaults=True) for one in row.references])


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def without_tensors(table: pa.Table) -> pa.Table:
    """The bank's texts alone: what a dataset keeps of it."""
    return table.select([name for name in table.schema.names if name in TEXTS.names and name != "reason"])
