"""A corpus that is one file of prompts: contents without a picture, for methods that make one of words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from threading import Lock

import pyarrow as pa

from tasks.corpus.base import Entry, Known, Piece
from tasks.corpus.json_rows import JsonRows
from tasks.corpus.listing import SHA256, Root, suffix
from tasks.corpus.prompt_rows import BLANK, CsvRows, Open, ParquetRows, PromptRows, Row, TextRows
from tasks.corpus.settings import CorpusSettings
from tasks.records import ImageError, RequestError, carried_name
from tasks.storage import shorten_error, storage_errors

READERS: Mapping[str, Callable[[Open, str | None, str], PromptRows]] = {
    ".txt": TextRows,
    ".csv": CsvRows,
    ".jsonl": JsonRows,
    ".parquet": ParquetRows,
}
# Column of the records that holds the prompt; a corpus's other column of that name travels as `corpus_prompt`.
PROMPT = "prompt"
# CLIP reads the first 75 tokens or so, and larger encoders 512.
MAX_CHARACTERS = 2000
WINDOW_ROWS = 256
CHANGED = "the prompt or its size has changed since it was planned: run the job again, with `on_change: version`"


class PromptCorpus:
    """Prompts of one file, each a content and a piece of its own, numbered from 0.

    A prompt's version is its own, of its words (spaces between them apart) and its picture's size. Records carry the
    prompt, and the file's other columns. Raises RequestError where the file cannot serve.
    """

    format = "prompts"

    def __init__(self, settings: CorpusSettings, root: Root, file: str) -> None:
        self.uri, self.size = settings.uri.rstrip("/"), settings.size
        self._file = file
        self._errors: tuple[type[Exception], ...] = (ImageError, *storage_errors(root.filesystem))
        try:
            self._rows = READERS[suffix(file)](
                lambda: root.filesystem.open(root.within(file), "rb"), settings.prompt, "prompt"
            )
        except self._errors as error:
            raise self._refuse(error) from error
        self._window = RowWindow(self._rows)
        others = self._rows.carried
        self._names = {name: carried_name(name, [PROMPT]) for name in others.names}
        fields = [pa.field(self._names[field.name], field.type) for field in others]
        self.carried = pa.schema([*fields, pa.field(PROMPT, pa.string())], metadata=others.metadata)

    def scan(self, known: Known) -> Iterator[Piece]:  # noqa: ARG002 (reading is as cheap as knowing)
        """One piece a prompt, however damaged. Raises RequestError where there is none."""
        number = None
        try:
            for number, text in enumerate(self._rows.texts()):
                yield self._piece(number, tidy(text))
        except self._errors as error:
            raise self._refuse(error) from error
        if number is None:
            raise RequestError(f"The corpus {self.uri} has no prompts: write some, or name another file.")

    def pieces(self, known: Known) -> list[Piece]:
        """All prompts at once."""
        return list(self.scan(known))

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The one entry of a piece."""
        try:
            row = self._window.get(piece.first_row)
            error = None if row else ImageError("missing", "the prompt is not there")
        except (FileNotFoundError, PermissionError):
            row, error = None, ImageError("missing", "the file is not there, or may not be read")
        except ImageError as damage:
            row, error = None, ImageError("corrupt", f"the file of prompts cannot be read: {damage}")
        yield self._entry(piece, row) if row else self._failed(piece, error)

    def _piece(self, number: int, text: str) -> Piece:
        return Piece(f"{self._file}#{number}", self._version(text), len(_encode(text)), 0, number)

    def _version(self, text: str) -> str:
        digest = f"{SHA256}{hashlib.sha256(_encode(text)).hexdigest()[:32]}"
        return f"{digest}-{self.size[0]}x{self.size[1]}" if self.size else digest

    def _entry(self, piece: Piece, row: Row) -> Entry:
        text = tidy(row.text)
        columns = {self._names[name]: value for name, value in row.columns.items()}
        try:
            if self._version(text) != piece.version:
                raise ImageError("changed", CHANGED)
            if row.error is not None:
                raise row.error
            check_prompt(text)
        except ImageError as error:
            return self._failed(piece, error, columns)
        return Entry(piece.path, self._uri(piece), piece.version, None, None, columns | {PROMPT: text}, text)

    def _failed(self, piece: Piece, error: ImageError | None, columns: Mapping[str, object] | None = None) -> Entry:
        return Entry(piece.path, self._uri(piece), piece.version, None, error, columns or {})

    def _uri(self, piece: Piece) -> str:
        return f"{self.uri}#{piece.first_row}"

    def _refuse(self, error: Exception) -> RequestError:
        if isinstance(error, ImageError):
            return RequestError(f"The prompts of {self.uri} cannot be read: {error}.")
        return RequestError(f"The prompts of {self.uri} cannot be read ({shorten_error(error)}): check the file.")


class RowWindow:
    """Rows of a file around those asked for last, so that one pass gives a shard its rows; for threads, too."""

    def __init__(self, file: PromptRows) -> None:
        self._file, self._lock = file, Lock()
        self._first, self._held = 0, list[Row]()
        self._next: Iterator[Row] | None = None

    def get(self, number: int) -> Row | None:
        """A row by its number; None where the file ends before. Raises as the file does."""
        with self._lock:
            if not self._holds(number):
                self._move_to(number)
            return self._held[number - self._first] if self._holds(number) else None

    def _holds(self, number: int) -> bool:
        return 0 <= number - self._first < len(self._held)

    def _move_to(self, number: int) -> None:
        """Read on, or from the start where the row lies behind. A file that fails or ends is opened anew next time."""
        rows, self._next = self._next, None
        if rows is None or number < self._first:
            self._first, self._held = number - number % WINDOW_ROWS, []
            rows = self._file.rows(self._first)
        while not self._holds(number):
            self._first, self._held = self._first + len(self._held), []
            self._held = list(islice(rows, WINDOW_ROWS))
            if len(self._held) < WINDOW_ROWS:
                return
        self._next = rows


def tidy(text: str) -> str:
    """The text without space at its ends, and with one space for each run of spaces, tabs and line ends."""
    return re.sub(f"[{BLANK}]+", " ", text).strip(" ")


def check_prompt(text: str) -> None:
    """Raise ImageError where no method should read this text."""
    if not text:
        raise ImageError("empty_prompt", "the row has no prompt")
    if len(text) > MAX_CHARACTERS:
        raise ImageError("too_large", f"the prompt has more than {MAX_CHARACTERS} characters")
    kinds = {unicodedata.category(character) for character in text}
    if "Cs" in kinds:
        raise ImageError("not_text", "the prompt is not UTF-8")
    if "Cc" in kinds:
        raise ImageError("control_characters", "the prompt has control characters")


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
