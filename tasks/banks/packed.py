"""A bank as one Arrow file: a row a style, its tensors as they are in memory, so that nodes map it and copy nothing.

Arrow's IPC file format, uncompressed: text columns are read where they are asked for, tensors where they are used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tasks.banks.names import find_reference
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
LEFT_OUT = b"left_out"


def identify(references: Sequence[PlannedReference]) -> str:
    """What a style is made of, whatever the method: the bank's order, and what its parts go by."""
    text = json.dumps([reference.identity() for reference in references], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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


class Bank:
    """A bank's table, usually mapped from a file: what is not asked for is not read."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.identities: list[str] = table["identity"].to_pylist()

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def names(self) -> list[str]:
        """Names of its styles, in its order."""
        names: list[str] = self.table["name"].to_pylist()
        return names

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

    def _text(self, column: str, row: int) -> str | None:
        value: str | None = self.table[column][row].as_py()
        return value


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


def without_tensors(table: pa.Table) -> pa.Table:
    """The bank's texts alone: what a dataset keeps of it."""
    return table.select([name for name in table.schema.names if name in TEXTS.names and name != "reason"])
