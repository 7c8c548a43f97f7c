"""What every corpus reader offers: pieces to plan with, and the entries of a piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from tasks.records import ImageError, RequestError


@dataclass(frozen=True, slots=True)
class Piece:
    """One content (`rows` is 0), or a range of rows of a table file.

    Of a table `path` is posix and relative to the corpus root, and `version`, `bytes` and `modified` (nanoseconds, 0
    where the store does not tell) are the whole file's. Of one content `path` is its id, and `first_row` says where
    it lies in a file of many: a prompt's or a URI's number, the place of a sample in its tar (`bytes` are then its
    own). A prompt's or a URI's version is its own, so that more may be added to their file.
    """

    path: str
    version: str
    bytes: int
    modified: int
    first_row: int = 0
    rows: int = 0

    @property
    def file(self) -> str:
        """Path of the file that the piece lies in."""
        return self.path if self.rows else self.path.removesuffix(f"#{self.first_row}")

    @property
    def contents(self) -> int:
        """Number of contents in the piece."""
        return max(1, self.rows)

    def content_ids(self) -> list[str]:
        """Ids of the piece's contents, in the order in which they are read."""
        if not self.rows:
            return [self.path]
        return [f"{self.path}#{row}" for row in range(self.first_row, self.first_row + self.rows)]


@dataclass(frozen=True)
class Entry:
    """One content: its encoded picture or its prompt, or why there is none, and the corpus's own columns."""

    content_id: str
    content_uri: str
    content_version: str
    data: bytes | None
    error: ImageError | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None


class Known(Protocol):
    """Pieces of earlier plans, by path."""

    def get(self, path: str, /) -> Piece | None: ...


class Corpus(Protocol):
    """What is behind one URI: images or prompts. `carried` describes the corpus's own columns; folders have none."""

    uri: str
    format: str
    carried: pa.Schema

    def scan(self, known: Known) -> Iterator[Piece]:
        """All pieces, one after another, always in the same order; no list of them is held.

        A file of the same size and time as a `known` piece keeps its version without being read. Raises
        RequestError where there is nothing to stylize, or where two contents have one id (at the end, perhaps).
        """
        ...

    def pieces(self, known: Known) -> list[Piece]:
        """All pieces at once."""
        ...

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The entries of a piece, one for each of its content ids, in that order.

        A missing or forbidden picture is an entry with an ImageError; a store that fails raises OSError.
        """
        ...


def check_unique(pieces: Iterable[Piece]) -> None:
    """Raise RequestError where two pieces hold the same content id."""
    ends: dict[str, int] = {}
    for piece in sorted(pieces, key=lambda piece: (piece.path, piece.first_row)):
        if piece.first_row < ends.get(piece.path, 0):
            content_id = piece.content_ids()[0]
            raise RequestError(f"Two contents have the id {content_id!r}: rename or remove one of them.")
        ends[piece.path] = piece.first_row + piece.contents
