"""A corpus that is a list of pictures: a file of paths and URIs, with whatever else stands beside them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tasks.corpus.allowed import AllowList, describe_place, leads_out, strip_secrets
from tasks.corpus.base import Entry, Known, Piece
from tasks.corpus.doubles import Hashes, without_doubles
from tasks.corpus.fetching import check_place, fetch
from tasks.corpus.folder import CHANGED, NO_FILE, NO_NAME, read_picture_file
from tasks.corpus.listing import READERS, SHA256, UNREADABLE, FoundFile, Root, batched, is_version, suffix
from tasks.corpus.prompt_rows import BLANK, PromptRows, Row
from tasks.corpus.prompts import READERS as FORMATS
from tasks.corpus.prompts import RowWindow
from tasks.corpus.settings import CorpusSettings
from tasks.records import ImageError, RequestError
from tasks.storage import shorten_error, storage_errors

# Names of the column of pictures, in the order in which they are tried.
COLUMNS = ("image", "uri", "url", "path", "file", "file_name", "image_uri", "image_url", "image_path", "URL")
# A column of digests, which fetched pictures must have; without it nobody knows whether one has changed.
DIGEST = "sha256"
DIGITS = frozenset("0123456789abcdef")
URI_LETTERS = 4096
ROWS = 1024
# With the size and the time of its file.
Version = tuple[str, int, int]


@dataclass(frozen=True)
class Target:
    """What a row points to: a file in the manifest's own folder, or a URI elsewhere, or why neither."""

    content_id: str
    path: str | None = None
    uri: str | None = None
    error: ImageError | None = None


class ManifestCorpus:
    """Rows of one file, each a picture that lies in the file's folder or behind a URI that `allow` lists.

    A content's id is its path or URI as it is written, without passwords and signatures. In the folder its version is
    its file's own, elsewhere the row's `sha256`, or else the URI stands for it. Raises RequestError where the file
    cannot serve.
    """

    format = "manifest"

    def __init__(self, settings: CorpusSettings, root: Root, file: str) -> None:
        self.uri = settings.uri.rstrip("/")
        self.root = root
        self._file, self._folder = file, posixpath.dirname(self.uri)
        self._allowed = AllowList(settings.allow)
        self._errors: tuple[type[Exception], ...] = (ImageError, *storage_errors(root.filesystem))
        try:
            self._rows = self._open_rows(settings.image)
        except self._errors as error:
            raise self._refuse(error) from error
        self.carried = self._rows.carried
        self._window = RowWindow(self._rows)

    def scan(self, known: Known) -> Iterator[Piece]:
        """A piece for each row. Raises RequestError where there is none, or where none may be fetched."""
        hashes, piece = Hashes(), None
        refused: ImageError | None = None
        accepted = False
        try:
            for target, piece in self._found(known):
                hashes.note(piece.path)
                accepted = accepted or target.error is None
                refused = refused or target.error
                yield piece
        except self._errors as error:
            raise self._refuse(error) from error
        if piece is None:
            raise RequestError(f"The manifest {self.uri} has no rows: write some, or name another file.")
        if not accepted:
            raise self._none_allowed(next(iter(self._ids())), refused)
        without_doubles(self._ids, hashes)

    def pieces(self, known: Known) -> list[Piece]:
        """All rows at once."""
        return list(self.scan(known))

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The one entry of a piece."""
        columns: Mapping[str, Any] = {}
        data, uri = None, piece.path
        try:
            row = self._row(piece)
            target = self._target(row.text, piece.first_row)
            columns = row.columns
            uri = f"{self._folder}/{target.path}" if target.path is not None else target.content_id
            data, error = self._read(target, row, piece)
        except ImageError as found:
            error = found
        yield Entry(piece.path, uri, piece.version, data, error, columns)

    def _read(self, target: Target, row: Row, piece: Piece) -> tuple[bytes | None, ImageError | None]:
        if target.content_id != piece.path:
            return None, ImageError("changed", CHANGED)
        if row.error is not None or target.error is not None:
            return None, row.error or target.error
        if target.path is not None:
            data, error = read_picture_file(self.root, target.path, piece.bytes)
        else:
            data, error = fetch(target.uri or "", self._allowed), None
        if data is not None and not is_version(data, piece.version):
            return None, ImageError("changed", CHANGED)
        return data, error

    def _row(self, piece: Piece) -> Row:
        try:
            row = self._window.get(piece.first_row)
        except (FileNotFoundError, PermissionError) as error:
            raise ImageError("missing", "the manifest is not there, or may not be read") from error
        except ImageError as error:
            raise ImageError("corrupt", f"the manifest cannot be read: {error}") from error
        if row is None:
            raise ImageError("missing", "the row is not there")
        return row

    def _found(self, known: Known) -> Iterator[tuple[Target, Piece]]:
        """What each row points to, and its piece; files of the folder are looked at on threads."""
        with ThreadPoolExecutor(READERS) as pool:
            for some in batched(enumerate(self._all_rows()), ROWS):
                targets = [self._target(row.text, number) for number, row in some]
                own = [target for target in targets if target.path is not None]
                files = pool.map(lambda target: self._own_version(target, known), own)
                for (number, row), target in zip(some, targets, strict=True):
                    version, size, modified = next(files) if target.path is not None else _row_version(target, row)
                    yield target, Piece(target.content_id, version, size, modified, number)

    def _own_version(self, target: Target, known: Known) -> Version:
        found = self._find(target.path or "")
        if found is None:
            return UNREADABLE, 0, 0
        return self.root.version(found, known.get(target.content_id)), found.bytes, found.modified

    def _find(self, path: str) -> FoundFile | None:
        try:
            return self.root.file(path)
        except OSError as error:
            if isinstance(error, (*NO_FILE, PermissionError)) or error.errno in NO_NAME:
                return None
            raise

    def _target(self, text: str, number: int) -> Target:
        """What a row points to."""
        text = text.strip(BLANK)
        content_id = strip_secrets(text)
        if not text or len(content_id) > URI_LETTERS:
            said = ImageError("bad_uri", f"the row names no picture, or one in more than {URI_LETTERS} letters")
            return Target(f"{self._file}#{number}", error=said)
        if content_id != text and "://" not in text:
            return Target(content_id, error=ImageError("bad_uri", "the path has control characters"))
        inside = f"{self._folder}/"
        if text.startswith(inside) or "://" not in text:
            return self._own(content_id, text.removeprefix(inside))
        try:
            check_place(text, self._allowed)
        except ImageError as error:
            return Target(content_id, error=error)
        return Target(content_id, uri=text)

    def _own(self, content_id: str, path: str) -> Target:
        """A file in the manifest's folder."""
        if leads_out(path) or path.startswith("/") or "\\" in path:
            return Target(content_id, error=ImageError("not_allowed", "the path leads out of the manifest's folder"))
        return Target(content_id, path=posixpath.normpath(path))

    def _all_rows(self) -> Iterator[Row]:
        """Rows, with their columns only where one of them is a digest."""
        return self._rows.rows(0) if DIGEST in self.carried.names else map(Row, self._rows.texts())

    def _ids(self) -> Iterator[str]:
        return (self._target(text, number).content_id for number, text in enumerate(self._rows.texts()))

    def _open_rows(self, column: str | None) -> PromptRows:
        """The rows, with the column that is named, or else the first that may be it."""
        if suffix(self._file) == ".txt":
            return FORMATS[".txt"](self._open, column, "image")
        first: ImageError | None = None
        for name in COLUMNS if column is None else (column,):
            try:
                return FORMATS[suffix(self._file)](self._open, name, "image")
            except ImageError as error:
                if error.reason != "no_column":
                    raise
                first = first or error
        assert first is not None  # there are names to try
        raise first

    def _open(self) -> Any:
        return self.root.filesystem.open(self.root.within(self._file), "rb")

    def _none_allowed(self, content_id: str, refused: ImageError | None) -> RequestError:
        where = f" ({describe_place(content_id)})" if "://" in content_id else ""
        return RequestError(
            f"The manifest {self.uri} has no picture that may be read; of the first, {refused}{where}: correct it, or "
            "list the place in the corpus's `allow`."
        )

    def _refuse(self, error: Exception) -> RequestError:
        said = str(error) if isinstance(error, ImageError) else shorten_error(error)
        return RequestError(f"The manifest {self.uri} cannot be read: {said}.")


def _row_version(target: Target, row: Row) -> Version:
    digest = row.columns.get(DIGEST)
    if isinstance(digest, str) and len(digest) == 64 and set(digest.lower()) <= DIGITS:
        return f"{SHA256}{digest[:32].lower()}", 0, 0
    return f"uri:{hashlib.sha256(target.content_id.encode(errors='replace')).hexdigest()[:32]}", 0, 0
