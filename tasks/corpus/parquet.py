"""A corpus that is one Parquet file or a folder of them, with a column of encoded pictures."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.base import Entry, Known, Piece, check_unique
from tasks.corpus.folder import read_picture_file
from tasks.corpus.listing import READERS, FoundFile, Root, map_ahead, with_suffix
from tasks.records import ImageError, RequestError
from tasks.storage import storage_errors

SUFFIX = ".parquet"
# A piece is read whole into memory: at most this many rows, and about this many bytes.
PIECE_ROWS = 64
PIECE_BYTES = 64 * 2**20
# Column chunks are read a buffer at a time, so that a few rows do not pull in a whole row group.
BUFFER_BYTES = 2**20
# What Arrow raises of a damaged file.
DAMAGE = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


class ParquetCorpus:
    """Rows of Parquet files that agree on their columns; all columns but the pictures are carried.

    `file` is the one file of the corpus, relative to the root; None takes all below the root. Raises
    RequestError where the columns cannot serve.
    """

    format = "parquet"
    suffix = SUFFIX

    def __init__(self, uri: str, root: Root, file: str | None, image: str | None) -> None:
        self.uri = uri.rstrip("/")
        self.root, self.file = root, file
        self._footers: dict[str, pq.FileMetaData] = {}
        schema = self._schema(self._files()[0].path)
        self.image = find_image_column(schema, image, self.uri)
        self._types = _types(schema)
        others = [field for field in schema if field.name != self.image]
        self.carried = pa.schema(others, metadata=describe_features(schema))

    def scan(self, known: Known) -> Iterator[Piece]:
        """Ranges of rows, aligned to row groups. Raises RequestError where files differ or hold no rows."""
        files = self._files()
        wholes = self.root.versions(files, known)
        piece = None
        with ThreadPoolExecutor(READERS) as pool:
            for tables in map_ahead(pool, lambda file: self._look(file.path), files, READERS):
                whole = next(wholes)
                for first, rows in tables:
                    piece = Piece(whole.path, whole.version, whole.bytes, whole.modified, first, rows)
                    yield piece
        if piece is None:
            raise RequestError(f"The Parquet files of the corpus {self.uri} hold no rows: name others.")

    def pieces(self, known: Known) -> list[Piece]:
        """All ranges at once, sorted by path and row."""
        pieces = list(self.scan(known))
        check_unique(pieces)
        return pieces

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The entries of a range of rows; reads only the row groups that it touches."""
        ids = iter(piece.content_ids())
        failure = ImageError("missing", "the row is not there")
        try:
            for row in self._rows(piece):
                yield self._entry(piece, next(ids), row)
        except FileNotFoundError:
            failure = ImageError("missing", "the file is not there")
        except PermissionError:
            failure = ImageError("missing", "the file may not be read")
        except DAMAGE:
            failure = ImageError("corrupt", "the Parquet file is damaged")
        except MemoryError:
            failure = ImageError("too_large", "the rows take more memory than there is")
        for content_id in ids:
            yield Entry(content_id, self._uri(content_id), piece.version, None, failure)

    def _rows(self, piece: Piece) -> Iterator[dict[str, Any]]:
        with self._open(piece.path) as file:
            table = pq.ParquetFile(file, metadata=self._footers.get(piece.path), buffer_size=BUFFER_BYTES)
            yield from iter_rows(table, piece.first_row, piece.first_row + piece.rows)

    def _entry(self, piece: Piece, content_id: str, row: dict[str, Any]) -> Entry:
        value = row.pop(self.image)
        data = value if isinstance(value, bytes) else (value or {}).get("bytes")
        path = value.get("path") if isinstance(value, dict) else None
        error = None
        if data is None:
            data, error = self.read_outside(piece.path, path) if path else (None, _empty())
        return Entry(content_id, self._uri(content_id), piece.version, data, error, row)

    def read_outside(self, table: str, path: str) -> tuple[bytes | None, ImageError | None]:
        """A picture that a table only points to: beside the table, or below the root, never elsewhere."""
        places = (posixpath.join(posixpath.dirname(table), path), path)
        for place in map(posixpath.normpath, places):
            if place.startswith(("/", "../")) or "://" in path:
                continue
            data, error = read_picture_file(self.root, place, 0)
            if error is None:
                return data, None
        return None, ImageError("missing", "the table points to a file that is not there")

    def _uri(self, content_id: str) -> str:
        folder = posixpath.dirname(self.uri) if self.file else self.uri
        return f"{folder}/{content_id}"

    def _files(self) -> list[FoundFile]:
        if self.file is not None:
            return [self.root.file(self.file)]
        files = with_suffix(self.root.files(), [self.suffix])
        if not files:
            raise RequestError(f"The corpus {self.uri} has no {self.suffix} files: name a folder that has.")
        return files

    def _open(self, path: str) -> Any:
        return self.root.filesystem.open(self.root.within(path), "rb")

    def _footer(self, path: str) -> pq.FileMetaData:
        if path not in self._footers:
            try:
                with self._open(path) as file:
                    self._footers[path] = pq.read_metadata(file)
            except DAMAGE as error:
                raise RequestError(f"{path} is no Parquet file, or a damaged one: remove or replace it.") from error
            except storage_errors(self.root.filesystem) as error:
                raise RequestError(f"{path} of the corpus {self.uri} cannot be read: check it.") from error
        return self._footers[path]

    def _look(self, path: str) -> list[tuple[int, int]]:
        """Ranges of rows of a file, whose columns are those of the others."""
        self._check_columns(path)
        return list(_ranges(self._groups(path)))

    def _schema(self, path: str) -> pa.Schema:
        return self._footer(path).schema.to_arrow_schema()

    def _groups(self, path: str) -> list[tuple[int, int]]:
        """Rows and bytes of each row group of a file."""
        footer = self._footer(path)
        groups = (footer.row_group(index) for index in range(footer.num_row_groups))
        return [(group.num_rows, group.total_byte_size) for group in groups]

    def _check_columns(self, path: str) -> None:
        types = _types(self._schema(path))
        if types != self._types:
            names = sorted(name for name in types | self._types if types.get(name) != self._types.get(name))
            raise RequestError(
                f"{path} differs from the other Parquet files of {self.uri} in the columns "
                f"{', '.join(names)}: make them agree, or name the files that belong together."
            )


def iter_rows(table: pq.ParquetFile, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """The rows from `start` to `stop`; only the row groups that hold any are read. Raises one of DAMAGE."""
    groups, row = _groups(table.metadata, start, stop)
    for batch in sound(table.iter_batches(batch_size=PIECE_ROWS, row_groups=groups, use_threads=False)):
        cut = batch.slice(max(0, start - row), max(0, min(stop, row + len(batch)) - max(start, row)))
        yield from _to_rows(cut)
        row += len(batch)
        if row >= stop:
            return


def _to_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as Python has them. Raises ArrowInvalid for what it has no value for, such as a time in the year 10000."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (OverflowError, ValueError) as error:
        raise pa.ArrowInvalid(f"a value has no form in Python: {error}") from error
    return rows


def sound(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches as they come; raises ArrowInvalid where Arrow finds a damaged page, for which it has an OSError."""
    try:
        yield from batches
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # a store's, which says more
            raise
        raise pa.ArrowInvalid(str(error)) from error


def find_image_column(schema: pa.Schema, wanted: str | None, uri: str) -> str:
    """The column of pictures: the wanted one, else the only struct with `bytes`, else the only binary one.

    Where Hugging Face's description names pictures, other structs with bytes, such as sounds, are none. Raises
    RequestError naming the columns where none or several qualify.
    """
    structs = _described_pictures(schema) or [field.name for field in schema if _is_picture_struct(field.type)]
    binaries = [field.name for field in schema if _is_binary(field.type)]
    columns = ", ".join(schema.names)
    if wanted is not None:
        if wanted not in schema.names or not is_picture_type(schema.field(wanted).type):
            raise RequestError(f"{uri} has no picture column {wanted!r}: choose `image` among {columns}.")
        return wanted
    found = structs or binaries
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(f"{uri} has several picture columns: set `image` to one of {', '.join(found)}.")
    raise RequestError(f"{uri} has no binary column of pictures, only {columns}: name files that have one.")


def is_picture_type(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold encoded pictures."""
    return _is_binary(kind) or _is_picture_struct(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_picture_struct(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(f.name == "bytes" and _is_binary(f.type) for f in kind)


def _described_pictures(schema: pa.Schema) -> list[str]:
    """Columns that Hugging Face's description of a schema calls images."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"].items()
        named = {name for name, feature in features if feature.get("_type") == "Image"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [field.name for field in schema if field.name in named and is_picture_type(field.type)]


def _types(schema: pa.Schema) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in schema}


def describe_features(schema: pa.Schema) -> dict[bytes, bytes] | None:
    """The Hugging Face description of the columns: it holds the names of classes."""
    metadata = schema.metadata or {}
    return {b"huggingface": metadata[b"huggingface"]} if b"huggingface" in metadata else None


def _ranges(groups: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(first row, rows) of each piece: row groups, cut evenly where they are too large for one piece."""
    first = 0
    for rows, size in groups:
        parts = max(-(-rows // PIECE_ROWS), -(-size // PIECE_BYTES))
        edges = [rows * part // parts for part in range(parts + 1)] if parts else []
        for start, stop in pairwise(edges):
            if start < stop:
                yield first + start, stop - start
        first += rows


def _groups(footer: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups that hold the rows from start to stop, and the first row of the first of them."""
    groups: list[int] = []
    first = row = 0
    for index in range(footer.num_row_groups):
        rows = footer.row_group(index).num_rows
        if row < stop and row + rows > start:
            first = first if groups else row
            groups.append(index)
        row += rows
    return groups, first


def _empty() -> ImageError:
    return ImageError("empty_file", "the row has no picture")
