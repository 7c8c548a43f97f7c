"""Rows of JSON Lines: an object a line, with a prompt and whatever else stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from tasks.corpus.prompt_rows import BLANK, Open, Row, check_column, make_storable, read_lines
from tasks.records import ImageError

# Rows that say which columns there are, and of which type. All that open the file must find the same.
FIRST_ROWS = 100
SMALLEST, LARGEST = -(2**63), 2**63 - 1


class JsonRows:
    """Rows with the columns of the first 100; what comes later only is left out. Blank lines do not count.

    Numbers and truth values keep their type where those rows agree on it, everything else is text: a string as it
    is, another value as JSON. A line that is no object, or a value of another type, is a row that cannot be read.
    """

    def __init__(self, open_file: Open, column: str | None, setting: str = "prompt") -> None:
        self._open, self.column = open_file, column or setting
        first = [
            found for line in islice(read_lines(open_file), FIRST_ROWS) if (found := parse_object(line)) is not None
        ]
        names = list(dict.fromkeys(name for found in first for name in found))
        check_column(self.column, names, setting)
        others = [name for name in names if name != self.column]
        self.carried = pa.schema([(name, find_type([found.get(name) for found in first])) for name in others])

    def rows(self, start: int) -> Iterator[Row]:
        """The rows from a number on; earlier ones are not looked into."""
        return (self._row(line) for number, line in enumerate(read_lines(self._open)) if number >= start)

    def texts(self) -> Iterator[str]:
        """The prompt of each row."""
        return (row.text for row in self.rows(0))

    def _row(self, line: str) -> Row:
        found = parse_object(line)
        if found is None:
            return Row(line.strip(BLANK), error=ImageError("malformed", "the line is no JSON object"))
        text = found.get(self.column)
        if text is not None and not isinstance(text, str):
            said = f"the column {self.column!r} holds {_write(text)[:40]}, and no text"
            return Row(_write(text), error=ImageError("malformed", said))
        try:
            return Row(text or "", {field.name: convert(found.get(field.name), field) for field in self.carried})
        except ImageError as error:
            return Row(text or "", error=error)


def parse_object(line: str) -> Mapping[str, Any] | None:
    """The object on a line; None where it holds none. Keys are text that can be stored."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return {make_storable(name): value for name, value in found.items()} if isinstance(found, dict) else None


def find_type(values: Sequence[Any]) -> pa.DataType:
    """The type of a column with these values: text, where they do not agree on another."""
    given = [value for value in values if value is not None]
    for kind in (pa.bool_(), pa.int64(), pa.float64()):
        if given and all(_is_of(value, kind) for value in given):
            return kind
    return pa.string()


def _is_of(value: Any, kind: pa.DataType) -> bool:
    if isinstance(value, bool) or kind == pa.bool_():
        return isinstance(value, bool) and kind == pa.bool_()
    if isinstance(value, int):
        return SMALLEST <= value <= LARGEST
    return isinstance(value, float) and kind == pa.float64()


def convert(value: Any, field: pa.Field) -> Any:
    """A value as its column has it. Raises ImageError where it is of another type."""
    if value is None:
        return None
    if field.type == pa.string():
        return make_storable(value) if isinstance(value, str) else _write(value)
    if not _is_of(value, field.type):
        said = f"the column {field.name!r} holds {_write(value)[:40]}, and {field.type} in the first rows"
        raise ImageError("malformed", said)
    return float(value) if field.type == pa.float64() else value


def _write(value: Any) -> str:
    return make_storable(json.dumps(value, ensure_ascii=False))
