"""Some records of a dataset, a row group at a time: of some styles, and where columns compare as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.dataset.forgotten import Forgotten
from tasks.records import RequestError
from tasks.storage import Folder

CONDITION = re.compile(r"\s*([^\s<>=!]+)\s*(>=|<=|==|!=|=|>|<)\s*(.+?)\s*")
COMPARE = {
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    "==": pc.equal,
    "=": pc.equal,
    "!=": pc.not_equal,
    ">": pc.greater,
    "<": pc.less,
}


@dataclass(frozen=True)
class Condition:
    """A column, how it compares, and with what, as text."""

    column: str
    sign: str
    value: str

    def rows(self, table: pa.Table) -> pa.BooleanArray:
        """Rows for which it holds; none where the column is missing or null. Raises RequestError."""
        if self.column not in table.column_names:
            return pa.array([False] * table.num_rows, pa.bool_())
        column = table[self.column]
        return pc.fill_null(COMPARE[self.sign](column, self._cast(column.type)), False)

    def _cast(self, kind: pa.DataType) -> pa.Scalar:
        try:
            return pa.scalar(self.value).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise RequestError(f"Column {self.column} is {kind}, and {self.value!r} is no such value.") from error


@dataclass(frozen=True)
class Selection:
    """Which records: of some styles by digest (None: all), that meet every condition, and were not taken down."""

    styles: frozenset[str] | None = None
    conditions: Sequence[Condition] = ()
    forgotten: Forgotten = field(default_factory=Forgotten)

    def rows(self, table: pa.Table) -> pa.BooleanArray:
        """Which rows of records or failures are among them."""
        chosen = pc.invert(self.forgotten.rows(table))
        if self.styles is not None:
            chosen = pc.and_(chosen, pc.is_in(table["style_digest"], pa.array(sorted(self.styles))))
        for condition in self.conditions:
            chosen = pc.and_(chosen, condition.rows(table))
        return chosen

    def read(self, folder: Folder, name: str) -> Iterator[pa.Table]:
        """The records of a shard, a row group at a time; pictures of groups without any are not read."""
        with folder.open(name) as source:
            file = pq.ParquetFile(source)
            others = [column for column in file.schema_arrow.names if column != "image"]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=others, use_threads=False)
                chosen = self.rows(table)
                if pc.any(chosen).as_py():
                    images = file.read_row_group(group, columns=["image"], use_threads=False)
                    yield table.append_column(images.schema.field("image"), images["image"]).filter(chosen)


def parse_condition(text: str) -> Condition:
    """`clip_text >= 0.25` as a condition; a value may stand in quotes. Raises RequestError."""
    match = CONDITION.fullmatch(text)
    if match is None:
        raise RequestError(f"{text!r} is no condition: write COLUMN, one of = != < <= > >=, and a value.")
    column, sign, value = match.groups()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return Condition(column, sign, value[1:-1] if quoted else value)


def check_columns(conditions: Sequence[Condition], schema: pa.Schema) -> None:
    """Raise RequestError where a condition is of a column that is not there, or compares it with no value of its."""
    for condition in conditions:
        if condition.column not in schema.names or condition.column == "image":
            names = ", ".join(name for name in schema.names if name != "image")
            raise RequestError(f"There is no column {condition.column!r} to compare, only {names}.")
        condition.rows(schema.empty_table())
