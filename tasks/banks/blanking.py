"""Styles leave a bank: their tensors go from its object, their places stay, so that nobody else draws differently."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa

from tasks.banks.kept import parts_folder
from tasks.banks.packed import read_table, write_table
from tasks.banks.tensors import SHAPE, TENSOR
from tasks.storage import Folder


def blank_rows(store: Folder, name: str, rows: Collection[int]) -> None:
    """Take the tensors of some styles out of a bank, which is replaced whole or not at all."""
    table = read_table(store.read(name))
    # Taken anew row by row: a null laid over a value would leave its bytes in the file.
    places = pa.array([None if row in rows else row for row in range(table.num_rows)], pa.int64())
    for index, field in enumerate(table.schema):
        if field.name.startswith((TENSOR, SHAPE)):
            table = table.set_column(index, field, table[field.name].take(places))
    store.publish(name, write_table(table), create=False)


def holds_any(store: Folder, name: str, rows: Collection[int]) -> bool:
    """Whether a bank is in a store and has the tensors of any of these styles."""
    data = store.read_or_none(name)
    if data is None:
        return False
    table = read_table(data)
    tensors = [column for column in table.schema.names if column.startswith(TENSOR)]
    return any(table[column][row].is_valid for column in tensors for row in rows)


def find_parts(store: Folder, method: str, identities: Collection[str]) -> Iterator[str]:
    """Names of the parts that banks of a method were packed from and that hold some of these styles."""
    for name in sorted(store.list(parts_folder(method))):
        if set(identities) & set(read_table(store.read(name))["identity"].to_pylist()):
            yield name
