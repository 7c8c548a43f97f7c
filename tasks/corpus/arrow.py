"""A corpus that is Arrow files on local disk, as Hugging Face's `save_to_disk` leaves them."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from tasks.corpus.base import Piece
from tasks.corpus.listing import FoundFile, Root
from tasks.corpus.parquet import ParquetCorpus
from tasks.records import RequestError
from tasks.storage import shorten_error

ARROW = ".arrow"
# Beside the files of a saved dataset: which of them belong to it. Others are caches.
STATE = "state.json"
FILE_MARK = b"ARROW1"


class ArrowCorpus(ParquetCorpus):
    """Rows of Arrow files that agree on their columns, read in place; all columns but the pictures are carried.

    Raises RequestError where the columns cannot serve, or where the files lie elsewhere than on a disk: Arrow's
    streams have no index, so that each shard would read them from the start.
    """

    format = "arrow"
    suffix = ARROW

    def __init__(self, uri: str, root: Root, file: str | None, image: str | None) -> None:
        if not isinstance(root.filesystem, LocalFileSystem):
            raise RequestError(
                f"The corpus {uri} is Arrow files, which are read from a disk: copy them, or use Parquet."
            )
        super().__init__(uri, root, file, image)

    def _files(self) -> list[FoundFile]:
        files = super()._files()
        if self.file is not None:
            return files
        named = {folder: self._named(folder) for folder in {posixpath.dirname(file.path) for file in files}}
        return [file for file in files if _is_named(file.path, named)]

    def _named(self, folder: str) -> list[str] | None:
        """Files that a saved dataset consists of; None where none was saved there."""
        try:
            with open(self.root.within(posixpath.join(folder, STATE)), "rb") as file:
                return [str(one["filename"]) for one in json.load(file)["_data_files"]]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{posixpath.join(folder, STATE)} of the corpus {self.uri} is damaged: save the dataset anew."
            ) from error

    def _schema(self, path: str) -> pa.Schema:
        try:
            return self._open_table(path).schema
        except pa.ArrowInvalid as error:
            raise self._refuse(path) from error

    def _groups(self, path: str) -> list[tuple[int, int]]:
        """Rows and bytes of each batch; bodies are mapped, and not read."""
        try:
            return [(batch.num_rows, batch.nbytes) for batch in self._batches(path)]
        except pa.ArrowInvalid as error:
            raise self._refuse(path) from error

    def _rows(self, piece: Piece) -> Iterator[dict[str, Any]]:
        start, stop, first = piece.first_row, piece.first_row + piece.rows, 0
        for batch in self._batches(piece.path):
            if first >= stop:
                return
            cut = batch.slice(max(0, start - first), max(0, min(stop, first + batch.num_rows) - max(start, first)))
            if cut.num_rows:
                cut.validate(full=True)  # nobody has looked at what is mapped
                yield from cut.to_pylist()
            first += batch.num_rows

    def _batches(self, path: str) -> Iterator[pa.RecordBatch]:
        """Batches of a file. Raises ArrowInvalid where it is damaged."""
        table = self._open_table(path)
        try:
            if isinstance(table, pa.RecordBatchFileReader):
                yield from (table.get_batch(number) for number in range(table.num_record_batches))
            else:
                yield from table
        except OSError as error:
            raise pa.ArrowInvalid(shorten_error(error)) from error

    def _open_table(self, path: str) -> Any:
        """A reader of a file in either of Arrow's two layouts. Raises ArrowInvalid, and FileNotFoundError."""
        mapped = pa.memory_map(self.root.within(path))
        is_file = mapped.read(len(FILE_MARK)) == FILE_MARK
        mapped.seek(0)
        try:
            return pa.ipc.open_file(mapped) if is_file else pa.ipc.open_stream(mapped)
        except OSError as error:
            raise pa.ArrowInvalid(shorten_error(error)) from error

    def _refuse(self, path: str) -> RequestError:
        return RequestError(f"{path} of the corpus {self.uri} is no Arrow file, or a damaged one: replace it.")


def _is_named(path: str, named: Mapping[str, list[str] | None]) -> bool:
    folder, name = posixpath.split(path)
    names = named[folder]
    return names is None or name in names
