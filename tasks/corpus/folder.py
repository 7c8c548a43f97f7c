"""A corpus that is a folder of pictures, at any depth."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from tasks.corpus.base import Entry, Known, Piece
from tasks.corpus.listing import FoundFile, Root, is_version, suffix
from tasks.images.decoding import MAX_BYTES
from tasks.records import ImageError, RequestError

# Files are taken by name, in any case, so that a damaged one becomes a failed record and is not passed over.
SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"]
)

# `photo.mask.png` beside `photo.jpg` is that picture's mask, and no content.
MARK = ".mask"
LABEL = "label"

# Paths are guessed (of masks) or written in tables, too: they may lead through a file, to a folder, round in a circle.
NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP)

CHANGED = "the file has changed since it was planned: run the job again, with `on_change: version` in its corpus"


class FolderCorpus:
    """Every file with a picture's suffix below a root, but for masks beside them; others are counted in `ignored`.

    A picture's version is its own: a mask that changes makes no new content (its record says which mask it had).
    """

    format = "folder"

    def __init__(self, uri: str, root: Root, labelled: bool = False) -> None:
        """`labelled`: the folder that holds a picture names its class."""
        self.uri = uri.rstrip("/") or uri
        self.root, self.labelled = root, labelled
        self.carried = pa.schema([(LABEL, pa.string())] if labelled else [])
        self.ignored = 0

    def scan(self, known: Known) -> Iterator[Piece]:
        """One piece a picture. Raises RequestError where there is none."""
        self.ignored = 0
        piece = None
        for piece in self.root.versions(self._pictures(), known):
            yield piece
        if piece is None:
            raise RequestError(
                f"The corpus {self.uri} has no pictures ({self.ignored} other files): name a folder with "
                f"files that end in {', '.join(sorted(SUFFIXES))}."
            )

    def pieces(self, known: Known) -> list[Piece]:
        """All pictures at once, sorted by path."""
        return sorted(self.scan(known), key=lambda piece: piece.path)

    def _pictures(self) -> Iterator[FoundFile]:
        for some in stems_together(self._named_pictures()):
            pictures = without_masks(some) if len(some) > 1 else some
            self.ignored += len(some) - len(pictures)
            yield from pictures

    def _named_pictures(self) -> Iterator[FoundFile]:
        for file in self.root.walk():
            if suffix(file.path) in SUFFIXES:
                yield file
            else:
                self.ignored += 1

    def read(self, piece: Piece) -> Iterator[Entry]:
        """The one entry of a piece."""
        data, error = read_picture_file(self.root, piece.path, piece.bytes)
        if data is not None and not is_version(data, piece.version):
            data, error = None, ImageError("changed", CHANGED)
        columns = {LABEL: posixpath.basename(posixpath.dirname(piece.path)) or None} if self.labelled else {}
        yield Entry(piece.path, f"{self.uri}/{piece.path}", piece.version, data, error, columns)


def stems_together(pictures: Iterable[FoundFile]) -> Iterator[list[FoundFile]]:
    """Runs of pictures, sorted by path, that hold every mask with the picture that it would belong to."""
    run: list[FoundFile] = []
    start = ""
    for picture in pictures:
        if run and not picture.path.startswith(start):
            yield run
            run = []
        if not run:
            stem = picture.path[: picture.path.rfind(".")]
            start = f"{stem[: -len(MARK)] if stem.lower().endswith(MARK) else stem}."
        run.append(picture)
    if run:
        yield run


def without_masks(pictures: Sequence[FoundFile]) -> list[FoundFile]:
    """Pictures that are not the mask of one beside them."""
    stems = {posixpath.splitext(picture.path)[0] for picture in pictures}

    def is_mask(picture: FoundFile) -> bool:
        stem, mark = posixpath.splitext(posixpath.splitext(picture.path)[0])
        return mark.lower() == MARK and stem in stems

    return [picture for picture in pictures if not is_mask(picture)]


def read_picture_file(root: Root, path: str, size: int) -> tuple[bytes | None, ImageError | None]:
    """Bytes of a file, or the ImageError that stands in their place. A store that fails raises OSError."""
    if size > MAX_BYTES:
        return None, ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
    try:
        return bytes(root.filesystem.cat_file(root.within(path))), None
    except PermissionError:
        return None, ImageError("missing", "the file may not be read")
    except OSError as error:
        if not isinstance(error, NO_FILE) and error.errno not in NO_NAME:
            raise
        return None, ImageError("missing", "the file is not there")
