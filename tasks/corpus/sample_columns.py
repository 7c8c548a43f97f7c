"""Columns of WebDataset samples: what members beside the picture say, with types found in the first samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tasks.corpus.folder import SUFFIXES
from tasks.corpus.json_rows import convert, find_type, parse_object
from tasks.corpus.tar_headers import Member
from tasks.records import ImageError

OBJECTS = ("json", "jsn")
TEXTS = ("txt", "text", "caption", "transcript", "label")
NUMBERS = ("cls", "cls2", "index", "inx", "id")
# What stands beside a picture; a longer member is no caption.
MAX_BYTES = 2**20


class SampleColumns:
    """Fields of a sample's JSON object, and its members of text, of numbers and of further pictures by their ending.

    Other members, such as arrays and pickles, are left where they are. A member's name stands over an object's field
    of the same name.
    """

    def __init__(self) -> None:
        self.schema = pa.schema([])
        self._fields: dict[str, list[Any]] = {}
        self._members: dict[str, list[Any]] = {}

    def learn(self, file: Any, members: Sequence[tuple[str, Member]]) -> None:
        """Look at a sample's members beside its picture. What cannot be read here becomes a failed record later."""
        for ending, member in members:
            if _is_picture(ending):
                self._members.setdefault(ending, []).append(b"")
            elif _is_known(ending) and member.size <= MAX_BYTES:
                file.seek(member.start)
                self._note(ending, file.read(member.size))

    def settle(self) -> SampleColumns:
        """Find the types, in what was looked at."""
        columns = self._fields | self._members
        self.schema = pa.schema([(name, _type(values)) for name, values in columns.items()])
        return self

    def read(self, members: Mapping[str, bytes]) -> dict[str, Any]:
        """Values of a sample's columns. Raises ImageError where one is of another type than it was at first."""
        values: dict[str, Any] = {}
        for ending in (one for one in members if one in OBJECTS):
            values |= _read_object(ending, members[ending])
        values |= {one: _read(one, members[one]) for one in members if one not in OBJECTS and one in self.schema.names}
        return {field.name: _fit(values.get(field.name), field) for field in self.schema}

    def _note(self, ending: str, data: bytes) -> None:
        try:
            if ending not in OBJECTS:
                self._members.setdefault(ending, []).append(_read(ending, data))
                return
            for name, value in _read_object(ending, data).items():
                self._fields.setdefault(name, []).append(value)
        except ImageError:
            return


def _is_picture(ending: str) -> bool:
    return f".{ending.rpartition('.')[2]}" in SUFFIXES


def _is_known(ending: str) -> bool:
    return ending.rpartition(".")[2] in (*TEXTS, *NUMBERS) or ending in OBJECTS


def _type(values: Sequence[Any]) -> pa.DataType:
    return pa.binary() if any(isinstance(value, bytes) for value in values) else find_type(values)


def _fit(value: Any, field: pa.Field) -> Any:
    if field.type == pa.binary():
        return value if isinstance(value, bytes) else None
    return convert(value, field)


def _read_object(ending: str, data: bytes) -> Mapping[str, Any]:
    found = parse_object(_text(ending, data))
    if found is None:
        raise ImageError("malformed", f"the member .{ending} is no JSON object")
    return found


def _read(ending: str, data: bytes) -> Any:
    if _is_picture(ending):
        return data
    text = _text(ending, data)
    is_number = ending.rpartition(".")[2] in NUMBERS and text.strip().lstrip("-").isdecimal() and len(text) < 20
    return int(text) if is_number else text


def _text(ending: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise ImageError("too_large", f"the member .{ending} is larger than {MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ImageError("not_text", f"the member .{ending} is not UTF-8") from error
