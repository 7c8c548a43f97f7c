"""Masks of contents: where each lies, by a style's layout, and its bytes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from typing import Any

from tasks.corpus.base import Corpus, Entry
from tasks.corpus.folder import MARK, SUFFIXES, FolderCorpus, read_picture_file
from tasks.corpus.listing import Root
from tasks.corpus.parquet import ParquetCorpus, is_picture_type
from tasks.records import ImageError, RequestError
from tasks.regions.settings import BESIDE, RegionSettings
from tasks.storage import open_filesystem, path_from, storage_errors

ReadMask = Callable[[Entry], bytes]

# Tried in this order: most masks are PNG, and each try that fails is a request to a store.
_IN_SMALL = (".png", *sorted(SUFFIXES - {".png"}))
TRIED = (*_IN_SMALL, *(suffix.upper() for suffix in _IN_SMALL))


def open_masks(layout: RegionSettings, corpus: Corpus) -> ReadMask:
    """What reads the mask of an entry. It raises ImageError (`mask_missing`), and OSError where a store fails."""
    if layout.column is not None:
        return _in_column(layout.column, corpus)
    assert layout.masks is not None  # other layouts read no masks
    if layout.masks == BESIDE:
        assert isinstance(corpus, FolderCorpus)  # preflight saw to it
        return _in_folder(corpus.root, MARK)
    return _in_folder(Root(*open_filesystem(layout.masks)), "")


def check_masks(style: str, layout: RegionSettings, corpus: Corpus) -> None:
    """Raise RequestError where the corpus cannot have the masks that a style's layout asks for."""
    if layout.column is not None:
        _check_column(style, layout.column, corpus)
    elif layout.masks == BESIDE and not isinstance(corpus, FolderCorpus):
        raise RequestError(
            f"Style {style!r}: masks lie beside pictures in a folder, and the corpus is {corpus.format}: name a "
            "`column` of masks, or a folder."
        )
    elif layout.masks is not None and layout.masks != BESIDE:
        _check_folder(style, layout.masks, corpus)


def find_no_masks(layout: RegionSettings, corpus: Corpus, content_ids: Iterable[str]) -> ImageError | None:
    """Why the first of some contents has no mask, where none of them has."""
    read = open_masks(layout, corpus)
    first = None
    for content_id in content_ids:
        try:
            read(Entry(content_id, content_id, "", None))
        except ImageError as error:
            first = first or error
            continue
        except OSError:
            pass  # nobody can tell now: whoever needs the mask will
        return None
    return first


def _in_column(column: str, corpus: Corpus) -> ReadMask:
    def read(entry: Entry) -> bytes:
        value: Any = entry.columns.get(column)
        data = value if isinstance(value, bytes) else (value or {}).get("bytes")
        path = value.get("path") if isinstance(value, dict) else None
        if data is None and path and isinstance(corpus, ParquetCorpus):
            data, _ = corpus.read_outside(entry.content_id.rpartition("#")[0], path)
        if data is None:
            raise ImageError("mask_missing", f"the column {column} has no mask for it")
        return bytes(data)

    return read


def _in_folder(root: Root, mark: str) -> ReadMask:
    def read(entry: Entry) -> bytes:
        stem = f"{_stem(entry.content_id)}{mark}"
        for suffix in TRIED:
            data, _ = read_picture_file(root, f"{stem}{suffix}", 0)
            if data is not None:
                return data
        raise ImageError("mask_missing", f"there is no mask {stem}.png, nor with another picture's suffix")

    return read


def _stem(content_id: str) -> str:
    """A path without its suffix; a row of a table, `file.parquet#12`, has none to lose."""
    return content_id if "#" in posixpath.basename(content_id) else posixpath.splitext(content_id)[0]


def _check_column(style: str, column: str, corpus: Corpus) -> None:
    if column not in corpus.carried.names:
        there = ", ".join(corpus.carried.names) or "none"
        raise RequestError(
            f"Style {style!r}: the corpus has no column of masks {column!r}; its columns beside the picture's: {there}."
        )
    if not is_picture_type(corpus.carried.field(column).type):
        raise RequestError(f"Style {style!r}: the column {column!r} holds no pictures: name one of masks.")


def _check_folder(style: str, uri: str, corpus: Corpus) -> None:
    filesystem, path = open_filesystem(uri)
    try:
        is_there = filesystem.isdir(path)
    except storage_errors(filesystem) as error:
        raise RequestError(f"Style {style!r}: the folder of masks {uri} cannot be read; check it.") from error
    if not is_there:
        raise RequestError(f"Style {style!r}: the folder of masks {uri} does not exist: check the path.")
    if isinstance(corpus, FolderCorpus) and (path_from(corpus.uri, uri) or "..").split("/")[0] != "..":
        raise RequestError(
            f"Style {style!r}: the folder of masks {uri} lies in the corpus, so that masks would be stylized: "
            "move it out, or name them photo.mask.png and write `masks: beside`."
        )
