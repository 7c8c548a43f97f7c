"""A corpus that is one WebDataset tar or a folder of them: a sample is the members that share a key."""

from __future__ import annotations

import gzip
import io
import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any

import pyarrow as pa

from tasks.corpus.base import Entry, Known, Piece
from tasks.corpus.doubles import Hashes, without_doubles
from tasks.corpus.folder import CHANGED, NO_FILE, SUFFIXES
from tasks.corpus.listing import READERS, SHA256, FoundFile, Root, map_ahead
from tasks.corpus.sample_columns import SampleColumns
from tasks.corpus.tar_headers import Member, TarError, read_members, split_key
from tasks.corpus.unpacked import Unpacked, check_expansion
from tasks.images.decoding import MAX_BYTES
from tasks.records import ImageError, RequestError
from tasks.storage import shorten_error, storage_errors

TARS = (".tar", ".tar.gz", ".tgz")
# Samples that say which columns there are, and of which type. All that open the corpus must find the same.
FIRST_SAMPLES = 100
# Members that follow one another closely are read through, not each by a request of its own.
READ_AHEAD = 2**21
# A sample is read whole: its picture, and what stands beside it.
SAMPLE_BYTES = MAX_BYTES + 2**26


@dataclass(frozen=True, slots=True)
class Sample:
    """Members of a tar that share a key, one after another: where their headers begin and their bytes end."""

    key: str
    members: tuple[tuple[str, Member], ...]

    @property
    def first(self) -> int:
        """Where the first header begins."""
        return self.members[0][1].first

    @property
    def stop(self) -> int:
        """Where the next sample begins."""
        return self.members[-1][1].stop


class WebDatasetCorpus:
    """Samples with a picture, of tars that are read only where a sample lies; others are counted in `ignored`.

    `file` is the one tar of the corpus, relative to the root; None takes all below the root. `image` is the ending of
    the members that are pictures, any picture's where it is None. A sample's version is its tar's. Raises
    RequestError where a tar cannot serve.
    """

    format = "webdataset"

    def __init__(self, uri: str, root: Root, file: str | None, image: str | None) -> None:
        self.uri = uri.rstrip("/")
        self.root, self.file, self.image = root, file, image
        self.ignored = 0
        self._checked: dict[str, ImageError | None] = {}
        self._unpacked: dict[str, Unpacked] = {}
        self._lock = Lock()
        self._columns = self._find_columns(self._files()[0])
        self.carried: pa.Schema = self._columns.schema

    def scan(self, known: Known) -> Iterator[Piece]:
        """A piece for each sample, tar by tar. Raises RequestError where there are none, or two of one key."""
        self.ignored = 0
        hashes, count = Hashes(), 0
        files = self._files()
        with ThreadPoolExecutor(READERS) as pool:
            for pieces in map_ahead(pool, partial(self._index, known=known), files, READERS):
                for piece in pieces:
                    hashes.note(piece.path)
                    count += 1
                    yield piece
        if not count:
            raise RequestError(
                f"The tars of the corpus {self.uri} have no pictures: name others, or set `image` to the ending of "
                "the members that are."
            )
        without_doubles(lambda: self._ids(files), hashes)

    def pieces(self, known: Known) -> list[Piece]:
        """All samples at once."""
        return list(self.scan(known))

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The one entry of a piece; only its own bytes are read."""
        tar, _, key = piece.path.partition("#")
        data, columns, error = None, dict[str, Any](), self._find_change(tar, piece)
        if error is None and piece.bytes > SAMPLE_BYTES:
            error = ImageError("too_large", f"the sample is larger than {SAMPLE_BYTES} bytes")
        if error is None:
            try:
                data, columns = self._take(self._read_range(tar, piece.first_row, piece.bytes), key)
            except ImageError as found:
                error = found
        yield Entry(piece.path, self._uri(piece.path), piece.version, data, error, columns)

    def _take(self, data: bytes, key: str) -> tuple[bytes, dict[str, Any]]:
        """Picture and columns of a sample. Raises ImageError."""
        try:
            members = [(split_key(m.name), m) for m in read_members(io.BytesIO(data), len(data), is_part=True)]
        except TarError as error:
            raise ImageError("changed", CHANGED) from error
        named = [(found[1], member) for found, member in members if found is not None and found[0] == key]
        picture = self._picture(named)
        if picture is None or any(found is not None and found[0] != key for found, _ in members):
            raise ImageError("changed", CHANGED)
        if picture.size > MAX_BYTES:
            raise ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
        cut = {ending: data[m.start : m.start + m.size] for ending, m in named if m is not picture}
        return data[picture.start : picture.start + picture.size], self._columns.read(cut)

    def _picture(self, members: list[tuple[str, Member]]) -> Member | None:
        return next((member for ending, member in members if self._is_picture(ending)), None)

    def _is_picture(self, ending: str) -> bool:
        return ending == self.image if self.image is not None else f".{ending}" in SUFFIXES

    def _find_columns(self, tar: FoundFile) -> SampleColumns:
        """What the first samples of the first tar have beside their pictures."""
        with self._opened(tar) as file:
            samples = islice(self._samples(file, tar), FIRST_SAMPLES)
            columns = SampleColumns()
            for sample in samples:
                pictures = [ending for ending, _ in sample.members if self._is_picture(ending)]
                if len(pictures) > 1:
                    raise RequestError(
                        f"A sample of {tar.path} has several pictures ({', '.join(pictures)}): set `image` to the "
                        "ending of one."
                    )
                columns.learn(file, [(e, m) for e, m in sample.members if e not in pictures])
        return columns.settle()

    def _index(self, tar: FoundFile, known: Known) -> list[Piece]:
        """A piece for each sample of a tar that has a picture."""
        with self._opened(tar) as file:
            samples = self._samples(file, tar)
            found = [
                Piece(f"{tar.path}#{sample.key}", "", sample.stop - sample.first, tar.modified, sample.first)
                for sample in samples
                if self._counted(sample)
            ]
        version = self._version(tar, known.get(found[0].path)) if found else ""
        return [Piece(p.path, version, p.bytes, p.modified, p.first_row) for p in found]

    def _counted(self, sample: Sample) -> bool:
        has_picture = any(self._is_picture(ending) for ending, _ in sample.members)
        self.ignored += not has_picture
        return has_picture

    def _version(self, tar: FoundFile, old: Piece | None) -> str:
        """A tar's version; a digest has the size with it, by which a tar that has not changed is known again."""
        size = f"-{tar.bytes}"
        if old and not tar.etag and tar.modified and old.modified == tar.modified and old.version.endswith(size):
            return old.version
        version = next(self.root.versions([tar], {})).version
        return f"{version}{size}" if version.startswith(SHA256) else version

    def _samples(self, file: Any, tar: FoundFile) -> Iterator[Sample]:
        """Runs of members of one key. Raises RequestError."""
        try:
            yield from group_members(read_members(file, None if is_packed(tar.path) else tar.bytes))
        except (TarError, EOFError, gzip.BadGzipFile) as error:
            said = str(error) if isinstance(error, TarError) else "is damaged: copy it anew"
            raise RequestError(f"{tar.path} of the corpus {self.uri} {said}.") from error

    @contextmanager
    def _opened(self, tar: FoundFile) -> Iterator[Any]:
        try:
            with self.root.filesystem.open(
                self.root.within(tar.path), "rb", block_size=READ_AHEAD, cache_type="readahead"
            ) as file:
                yield check_expansion(file, tar) if is_packed(tar.path) else file
        except storage_errors(self.root.filesystem) as error:
            raise RequestError(
                f"{tar.path} of the corpus {self.uri} cannot be read ({shorten_error(error)}): check it."
            ) from error

    def _ids(self, files: list[FoundFile]) -> Iterator[str]:
        for tar in files:
            with self._opened(tar) as file:
                yield from (f"{tar.path}#{s.key}" for s in self._samples(file, tar) if self._counted(s))

    def _find_change(self, tar: str, piece: Piece) -> ImageError | None:
        """Why a tar is not what was planned; looked at once."""
        with self._lock:
            if tar not in self._checked:
                self._checked[tar] = self._compare(tar, piece)
            return self._checked[tar]

    def _compare(self, tar: str, piece: Piece) -> ImageError | None:
        try:
            found = self.root.file(tar)
        except PermissionError:
            return ImageError("missing", "the file may not be read")
        except NO_FILE:
            return ImageError("missing", "the file is not there")
        same = found.modified == piece.modified and piece.version.endswith(f"-{found.bytes}")
        return None if same and found.etag in piece.version else ImageError("changed", CHANGED)

    def _read_range(self, tar: str, start: int, size: int) -> bytes:
        """Some bytes of a tar. Raises ImageError where it is gone; a store that fails raises OSError."""
        path = self.root.within(tar)
        try:
            if not is_packed(tar):
                return bytes(self.root.filesystem.cat_file(path, start=start, end=start + size))
            with self._lock:
                if tar not in self._unpacked:
                    self._unpacked[tar] = Unpacked(self.root.filesystem.open(path, "rb"))
            return self._unpacked[tar].read(start, size)
        except PermissionError as error:
            raise ImageError("missing", "the file may not be read") from error
        except NO_FILE as error:
            raise ImageError("missing", "the file is not there") from error

    def _uri(self, content_id: str) -> str:
        folder = posixpath.dirname(self.uri) if self.file else self.uri
        return f"{folder}/{content_id}"

    def _files(self) -> list[FoundFile]:
        if self.file is not None:
            files = [self.root.file(self.file)]
        else:
            files = [file for file in self.root.files() if is_tar(file.path)]
        if not files:
            raise RequestError(
                f"The corpus {self.uri} has no files that end in {', '.join(TARS)}: name a folder that has."
            )
        odd = next((file.path for file in files if "#" in file.path), None)
        if odd is not None:
            raise RequestError(f"The tar {odd!r} has a # in its path, which stands before keys: rename it.")
        return files


def group_members(members: Iterator[Member]) -> Iterator[Sample]:
    """Samples: members that follow one another and share a key. Raises TarError where two have one name."""
    key, held = "", dict[str, Member]()
    for member in members:
        found = split_key(member.name)
        if found is None:
            continue
        if held and found[0] != key:
            yield Sample(key, tuple(held.items()))
            held = {}
        key, ending = found
        if ending in held:
            raise TarError(f"has two members {member.name!r}: remove one")
        held[ending] = member
    if held:
        yield Sample(key, tuple(held.items()))


def is_tar(path: str) -> bool:
    """Whether a file is a tar, by its name."""
    return path.lower().endswith(TARS)


def is_packed(path: str) -> bool:
    """Whether a tar is compressed."""
    return not path.lower().endswith(".tar")
