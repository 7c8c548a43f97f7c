"""Where a bank's pictures come from: a folder or Parquet files, listed and cut into parts that actors represent."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from tasks.banks.kept import parts_folder
from tasks.banks.names import name_style
from tasks.corpus import open_corpus
from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.methods.settings import MethodSettings
from tasks.planned import to_pieces, to_table
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.styles import PlannedStyle, weights_digest

# A part is what a death loses, and one object in the store: at 30 ms a picture, half a minute.
PART_STYLES = 1024
MOST_STYLES = 1_000_000
# Formats whose pictures a reference can name (tasks/labelled/place.py).
FORMATS = ("folder", "parquet")


@dataclass(frozen=True)
class BankPart:
    """Some pictures of a bank, to be represented by one actor and stored under the part's own key."""

    key: str
    corpus: CorpusSettings
    pieces: tuple[Piece, ...]
    method: MethodSettings
    weights: str

    @property
    def styles(self) -> int:
        """Number of its pictures."""
        return sum(piece.contents for piece in self.pieces)

    @property
    def name(self) -> str:
        """Name of its object in the store."""
        return f"{parts_folder(self.method.name)}/{self.key}.arrow"


@dataclass(frozen=True)
class BankOrder:
    """A bank to pack, of parts or of styles whose representations are there. `source` is its listing's key."""

    method: str
    source: str
    parts: tuple[str, ...] = ()
    styles: tuple[PlannedStyle, ...] = ()


@dataclass(frozen=True)
class BankSource:
    """All pictures of a bank as they are listed now. `root` is the folder that they are below."""

    root: str
    key: str
    parts: tuple[BankPart, ...]

    @property
    def styles(self) -> int:
        """Number of its pictures, whether they can be decoded or not."""
        return sum(part.styles for part in self.parts)


def list_source(uri: str, method: MethodSettings, store: Folder, keep: bool = True) -> BankSource:
    """List a folder, or Parquet files, of pictures; what was listed before keeps its version without being read.

    With `keep` the listing is put into the store, for the next time.
    Raises RequestError where there are none, or two would have one name.
    """
    corpus = open_corpus(CorpusSettings(uri=uri))
    if corpus.format not in FORMATS:
        raise RequestError(f"The bank {uri} is {corpus.format}: name a folder of pictures, or Parquet files.")
    settings = CorpusSettings(uri=uri, format=corpus.format)
    known = _read_listing(store, uri)
    pieces = list(corpus.pieces({piece.path: piece for piece in known}))
    _check(uri, pieces)
    if keep and pieces != known:
        _write_listing(store, uri, pieces)
    weights = weights_digest(method)
    what = [method.name, method.version, method.represent_settings(), weights]
    parts = tuple(
        BankPart(_digest([*what, [_identify(piece) for piece in some]]), settings, tuple(some), method, weights)
        for some in _cut(pieces)
    )
    root = posixpath.dirname(uri.rstrip("/")) if uri.endswith(".parquet") and _is_file(pieces, uri) else uri.rstrip("/")
    return BankSource(root, _digest([part.key for part in parts]), parts)


def _is_file(pieces: Sequence[Piece], uri: str) -> bool:
    return {piece.path for piece in pieces} == {posixpath.basename(uri)}


def _check(uri: str, pieces: Sequence[Piece]) -> None:
    """Names of styles are unique, and a bank is bounded."""
    styles = sum(piece.contents for piece in pieces)
    if styles > MOST_STYLES:
        raise RequestError(f"The bank {uri} has {styles} pictures, and a bank holds {MOST_STYLES}: name fewer.")
    names = Counter(name_style(piece.path) for piece in pieces if not piece.rows)
    doubled = next((name for name, count in names.items() if count > 1), None)
    if doubled is not None:
        raise RequestError(f"Two pictures in {uri} are named {doubled!r}: rename one.")


def _cut(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    run: list[Piece] = []
    held = 0
    for piece in pieces:
        run.append(piece)
        held += piece.contents
        if held >= PART_STYLES:
            yield run
            run, held = [], 0
    if run:
        yield run


def _identify(piece: Piece) -> list[object]:
    return [piece.path, piece.version, piece.first_row, piece.rows]


def _read_listing(store: Folder, uri: str) -> list[Piece]:
    data = store.read_or_none(_listing_name(uri))
    if data is None:
        return []
    return list(to_pieces(pq.read_table(io.BytesIO(data))))


def _write_listing(store: Folder, uri: str, pieces: Sequence[Piece]) -> None:
    sink = io.BytesIO()
    pq.write_table(to_table(pieces), sink, compression="zstd")
    store.publish(_listing_name(uri), sink.getvalue(), create=False)


def _listing_name(uri: str) -> str:
    return f"banks/listings/{_digest([uri])}.parquet"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
