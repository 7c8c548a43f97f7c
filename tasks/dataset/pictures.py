"""Pictures to look at, one after another: of a folder, one file, Parquet files, or a dataset with its styles."""

from __future__ import annotations

import itertools
import posixpath
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus, Entry, Piece
from tasks.corpus.folder import FolderCorpus
from tasks.corpus.listing import Root, suffix
from tasks.corpus.parquet import SUFFIX, ParquetCorpus
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.identity import read_identity
from tasks.plan import read_chain
from tasks.records import RequestError
from tasks.storage import Folder, open_filesystem, shorten_error, storage_errors
from tasks.styles import PlannedStyle

READERS = 16
# Stands in the place of a version: nothing is planned here, so no file is read for its digest.
UNREAD = "unread"
# Chosen rows that lie further apart are read apart, so that a few of many do not read all between them.
GAP = 512


@dataclass(frozen=True)
class Picture:
    """A picture by name, with its style where it is a record's. `load` gives its bytes.

    `load` raises ImageError where there are none, and what its store raises (OSError).
    """

    name: str
    style: str | None
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Part:
    """A piece of a corpus that is read from its first row on; `rows` are the wanted ones (from 0), None is all."""

    corpus: Corpus
    piece: Piece
    rows: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self.piece.contents if self.rows is None else len(self.rows)


@dataclass(frozen=True)
class Pictures:
    """The pictures behind a URI. `styles` are those of a dataset, by name; empty for any other."""

    uri: str
    parts: Sequence[Part]
    styles: dict[str, PlannedStyle] = field(default_factory=dict)
    is_dataset: bool = False

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def sample(self, limit: int | None, seed: int) -> Pictures:
        """At most `limit` of them, in their order, drawn by the seed."""
        if limit is None or limit >= len(self):
            return self
        chosen = iter(sorted(random.Random(seed).sample(range(len(self)), limit)))
        parts, position = [], next(chosen, None)
        for start, part in zip(_starts(self.parts), self.parts, strict=True):
            rows = []
            while position is not None and position < start + len(part):
                rows.append(position - start)
                position = next(chosen, None)
            parts += _narrow(part, rows)
        return replace(self, parts=parts)

    def __iter__(self) -> Iterator[Picture]:
        """Raises RequestError where a table breaks off."""
        for part in self.parts:
            if part.piece.rows == 0:
                yield Picture(part.piece.path, None, partial(_read, part))
            else:
                yield from self._table(part)

    def _table(self, part: Part) -> Iterator[Picture]:
        wanted = None if part.rows is None else set(part.rows)
        entries = part.corpus.read(part.piece)
        for row in itertools.count():
            try:
                entry = next(entries, None)
            except (OSError, ValueError) as error:
                raise RequestError(
                    f"{part.piece.path} of {self.uri} breaks off ({shorten_error(error)}): check it, and run it again."
                ) from error
            if entry is None:
                return
            if wanted is None or row in wanted:
                yield self._picture(entry)

    def _picture(self, entry: Entry) -> Picture:
        if not self.is_dataset:
            return Picture(entry.content_id, None, partial(_bytes, entry))
        style = entry.columns["style"]
        return Picture(f"{style}/{entry.columns['content_id']}", style, partial(_bytes, entry))


def open_pictures(uri: str, image: str | None = None) -> Pictures:
    """List the pictures of a dataset's root, a folder, one file, or Parquet files, behind any fsspec URI.

    `image` names the column of pictures where several could be it. Raises RequestError where nothing is there.
    """
    filesystem, path = open_filesystem(uri)
    try:
        is_file = filesystem.info(path)["type"] == "file"
    except FileNotFoundError as error:
        raise RequestError(f"There are no pictures at {uri}: check the path.") from error
    except storage_errors(filesystem) as error:
        raise RequestError(f"{uri} cannot be read ({shorten_error(error)}): check its permissions.") from error
    if not is_file and read_identity(Folder(uri)) is not None:
        return _open_dataset(Folder(uri))
    parent, name = posixpath.split(path)
    if is_file and suffix(path) != SUFFIX:
        return Pictures(uri, [Part(FolderCorpus(posixpath.dirname(uri), Root(filesystem, parent)), _unread(name))])
    files = [Root(filesystem, parent).file(name)] if is_file else Root(filesystem, path).files()
    known = {file.path: _unread(file.path, file.bytes, file.modified) for file in files}
    corpus = open_corpus(CorpusSettings(uri=uri, image=image))
    return Pictures(uri, [Part(corpus, piece) for piece in _join(corpus, corpus.pieces(known))])


def _open_dataset(folder: Folder) -> Pictures:
    """Records of every shard, in the order of the shards; a shard may have none."""
    names = sorted(folder.list("data"))
    with ThreadPoolExecutor(READERS) as pool:
        parts = [part for part in pool.map(lambda name: _open_shard(folder, name), names) if part]
    if not parts:
        raise RequestError(f"The dataset {folder.uri} has no records: run its job first.")
    styles = {style.name: style for plan in read_chain(folder) for style in plan.styles}
    return Pictures(folder.uri, parts, styles, is_dataset=True)


def _open_shard(folder: Folder, name: str) -> Part | None:
    """Each shard is a corpus of its own: plans over other corpora carry other columns."""
    try:
        with folder.open(name) as file:
            rows = pq.read_metadata(file).num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise RequestError(f"{folder.uri}/{name} cannot be read: `atelier verify {folder.uri}` says more.") from error
    if not rows:
        return None
    root = Root(folder.filesystem, folder.path)
    return Part(ParquetCorpus(folder.uri, root, name, "image"), replace(_unread(name), rows=rows))


def _unread(path: str, size: int = 0, modified: int = 0) -> Piece:
    return Piece(path, UNREAD, size, modified)


def _join(corpus: Corpus, pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces of one Parquet file as one: read on their own, each would read its row group from the start."""
    if corpus.format != ParquetCorpus.format:
        return list(pieces)
    groups = (list(of_file) for _, of_file in itertools.groupby(pieces, key=lambda piece: piece.path))
    return [replace(of_file[0], rows=sum(piece.rows for piece in of_file)) for of_file in groups]


def _narrow(part: Part, rows: Sequence[int]) -> list[Part]:
    """Only some rows of a part, as few stretches; none where no row is wanted."""
    if not rows or not part.piece.rows:
        return [part] if rows else []
    if part.corpus.format != ParquetCorpus.format:
        return [replace(part, rows=tuple(rows))]
    stretches = [[rows[0]]]
    for row in rows[1:]:
        if row - stretches[-1][-1] > GAP:
            stretches.append([])
        stretches[-1].append(row)
    return [_stretch(part, stretch) for stretch in stretches]


def _stretch(part: Part, rows: Sequence[int]) -> Part:
    first = rows[0]
    piece = replace(part.piece, first_row=part.piece.first_row + first, rows=rows[-1] - first + 1)
    return Part(part.corpus, piece, tuple(row - first for row in rows))


def _starts(parts: Sequence[Part]) -> Iterator[int]:
    return itertools.accumulate((len(part) for part in parts[:-1]), initial=0)


def _read(part: Part) -> bytes:
    return _bytes(next(iter(part.corpus.read(part.piece))))


def _bytes(entry: Entry) -> bytes:
    if entry.error is not None:
        raise entry.error
    assert entry.data is not None, "an entry without an error has its bytes"
    return entry.data
