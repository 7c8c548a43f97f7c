"""Rows of files of prompts: lines of text, CSV and Parquet; only as much is in memory as a line or a few rows take."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.parquet import BUFFER_BYTES, DAMAGE, describe_features, iter_rows, sound
from tasks.records import ImageError

# A line with all its columns; what is longer is no file of prompts. Lines are read by chunks.
LINE_BYTES = 2**18
CHUNK_BYTES = 2**20
# Rows of a Parquet file that are read at once for their prompts alone.
TEXT_ROWS = 1024
BLANK = " \t\r\n"
SHOWN = 300  # letters of the names of columns in a message
MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # which some programs put before the first line
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Open = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """What stands where a row's prompt should, its other columns, and why the row cannot be read, if it cannot."""

    text: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    error: ImageError | None = None


class PromptRows(Protocol):
    """The rows of a file; `carried` describes their columns beside the prompt's.

    A file that is damaged as a whole raises ImageError, made or read. OSError where its store fails.
    """

    carried: pa.Schema

    def rows(self, start: int) -> Iterator[Row]:
        """The rows from a number on, counted from 0."""
        ...

    def texts(self) -> Iterator[str]:
        """What stands in each row where its prompt should."""
        ...


class TextRows:
    """A prompt a line; blank lines do not count."""

    def __init__(self, open_file: Open, column: str | None, setting: str = "prompt") -> None:
        if column is not None:
            raise ImageError("no_column", f"text has no column {column!r}: leave `{setting}` out")
        self._open = open_file
        self.carried = pa.schema([])

    def rows(self, start: int) -> Iterator[Row]:
        """The lines from a number on."""
        return (Row(line) for number, line in enumerate(read_lines(self._open)) if number >= start)

    def texts(self) -> Iterator[str]:
        """Every line."""
        return read_lines(self._open)


class CsvRows:
    """Rows of comma-separated values below a line of names; every value is text. Blank lines do not count."""

    def __init__(self, open_file: Open, column: str | None, setting: str = "prompt") -> None:
        self._open, self.column = open_file, column or setting
        self._names = next(self._values(), [])
        check_column(self.column, self._names, setting)
        doubled = next((name for name in self._names if self._names.count(name) > 1), None)
        if doubled is not None:
            raise ImageError("no_column", f"two columns are named {doubled!r}: rename one")
        self.carried = pa.schema([(name, pa.string()) for name in self._names if name != self.column])

    def rows(self, start: int) -> Iterator[Row]:
        """The rows from a number on."""
        for number, values in enumerate(self._values(), -1):
            if number >= start:
                yield self._row(values)

    def texts(self) -> Iterator[str]:
        """The prompt of each row."""
        return (row.text for row in self.rows(0))

    def _row(self, values: Sequence[str]) -> Row:
        if len(values) != len(self._names):
            # Most often an unquoted comma: half a prompt is not what was meant.
            said = f"the row has {len(values)} values under {len(self._names)} names: quote what has a comma"
            return Row(",".join(values), error=ImageError("malformed", said))
        columns = dict(zip(self._names, values, strict=True))
        text = columns.pop(self.column)
        return Row(text, {name: make_storable(value) for name, value in columns.items()})

    def _values(self) -> Iterator[list[str]]:
        """Values of each row, the names first."""
        try:
            for values in csv.reader(read_lines(self._open, keep_blank=True)):
                if any(value.strip(BLANK) for value in values):
                    yield values
        except csv.Error as error:
            raise ImageError("corrupt", f"it is no CSV ({error})") from error


class ParquetRows:
    """Rows of a Parquet file with a column of text."""

    def __init__(self, open_file: Open, column: str | None, setting: str = "prompt") -> None:
        self._open, self.column = open_file, column or setting
        with self._table() as table:
            schema = table.schema_arrow
        check_column(self.column, schema.names, setting)
        if not _is_text(schema.field(self.column).type):
            raise ImageError("no_column", f"the column {self.column!r} holds no text: choose `{setting}` among others")
        others = [field for field in schema if field.name != self.column]
        self.carried = pa.schema(others, metadata=describe_features(schema))

    def rows(self, start: int) -> Iterator[Row]:
        """The rows from a number on; earlier row groups are not read."""
        with self._table() as table:
            for columns in iter_rows(table, start, table.metadata.num_rows):
                text = columns.pop(self.column)
                yield Row(text or "", columns)

    def texts(self) -> Iterator[str]:
        """The prompt of each row; no other column is read."""
        with self._table() as table:
            for batch in sound(table.iter_batches(TEXT_ROWS, columns=[self.column], use_threads=False)):
                yield from (text or "" for text in batch.column(0).to_pylist())

    @contextmanager
    def _table(self) -> Iterator[pq.ParquetFile]:
        try:
            with self._open() as file:
                yield pq.ParquetFile(file, buffer_size=BUFFER_BYTES)
        except (*DAMAGE, UnicodeDecodeError) as error:
            raise ImageError("corrupt", "it is no Parquet file, or a damaged one") from error
        except MemoryError as error:
            raise ImageError("too_large", "its rows take more memory than there is") from error


def read_lines(open_file: Open, keep_blank: bool = False) -> Iterator[str]:
    """Lines of a file with their ends; bytes that are no UTF-8 are surrogates in them.

    Raises ImageError where the file is in UTF-16, or has a line that is too long.
    """
    for number, data in enumerate(_split(open_file)):
        if number == 0 and data.startswith(UTF16):
            raise ImageError("not_text", "it is not in UTF-8: save it so")
        line = data.decode(errors="surrogateescape")
        line = line.removeprefix(MARK) if number == 0 else line
        if keep_blank or line.strip(BLANK):
            yield line


def check_column(column: str, names: Sequence[str], setting: str) -> None:
    """Raise ImageError where there is no such column; `setting` names the part of the corpus that chooses it."""
    if column not in names:
        there = ", ".join(map(make_storable, names))[:SHOWN] or "none"
        raise ImageError("no_column", f"it has no column {column!r}: set `{setting}` to one of its columns ({there})")


def make_storable(text: str) -> str:
    """The text with a question mark for whatever was no UTF-8."""
    return text.encode(errors="replace").decode()


def _split(open_file: Open) -> Iterator[bytes]:
    rest = b""
    with open_file() as file:
        while chunk := file.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line + b"\n" for line in lines)
            if len(rest) > LINE_BYTES:
                raise ImageError("too_large", f"it has a line of more than {LINE_BYTES} bytes: name a file of prompts")
    if rest:
        yield rest


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
