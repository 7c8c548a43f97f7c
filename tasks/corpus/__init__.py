"""Corpus readers: list the content images, or the prompts, behind a URI as pieces, and read them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from tasks.corpus.arrow import ARROW, ArrowCorpus
from tasks.corpus.base import Corpus
from tasks.corpus.folder import SUFFIXES, FolderCorpus
from tasks.corpus.listing import Root, suffix
from tasks.corpus.manifest import ManifestCorpus
from tasks.corpus.parquet import SUFFIX, ParquetCorpus
from tasks.corpus.prompts import READERS, PromptCorpus
from tasks.corpus.settings import CorpusSettings
from tasks.corpus.webdataset import WebDatasetCorpus, is_tar
from tasks.records import RequestError
from tasks.storage import open_filesystem, storage_errors


def open_corpus(settings: CorpusSettings) -> Corpus:
    """The reader of a corpus; with `format: auto` it looks at the files until it knows which.

    Raises RequestError where nothing is there, nothing can be read, or it cannot tell.
    """
    filesystem, path = open_filesystem(settings.uri)
    root = Root(filesystem, path)
    try:
        kind = filesystem.info(path)["type"]
        name = _look(settings, root, kind) if settings.format == "auto" else settings.format
    except FileNotFoundError as error:
        raise RequestError(f"The corpus {settings.uri} does not exist: check the path.") from error
    except storage_errors(filesystem) as error:
        raise RequestError(
            f"The corpus {settings.uri} cannot be read ({type(error).__name__}): check its permissions, "
            "and the credentials and endpoint in the environment."
        ) from error
    if settings.allow and name != ManifestCorpus.format:
        raise RequestError(f"The corpus {settings.uri} is no manifest, and only one has an `allow`: leave it out.")
    return FORMATS[name](settings, root, kind == "file")


Open = Callable[[CorpusSettings, Root, bool], Corpus]
# Files of a corpus that are looked at to find its format.
LOOKED_AT = 10_000


def _open_folder(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    if is_file:
        raise RequestError(f"The corpus {settings.uri} is one file: name the folder that it lies in.")
    return FolderCorpus(settings.uri, root, settings.labels is not None and settings.labels.label == "folder")


def _open_table(reader: type[ParquetCorpus]) -> Open:
    def open_table(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
        folder, file = _split(root) if is_file else (root, None)
        return reader(settings.uri, folder, file, settings.image)

    return open_table


def _open_prompts(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    if not is_file or suffix(root.path) not in READERS:
        raise RequestError(
            f"The corpus {settings.uri} is no file of prompts: name one that ends in {', '.join(READERS)}."
        )
    return PromptCorpus(settings, *_split(root))


def _open_webdataset(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    folder, file = _split(root) if is_file else (root, None)
    return WebDatasetCorpus(settings.uri, folder, file, settings.image)


def _open_manifest(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    if not is_file or suffix(root.path) not in READERS:
        raise RequestError(f"The corpus {settings.uri} is no manifest: name a file that ends in {', '.join(READERS)}.")
    return ManifestCorpus(settings, *_split(root))


def _split(root: Root) -> tuple[Root, str]:
    folder, name = posixpath.split(root.path)
    return Root(root.filesystem, folder), name


# A name, and what opens a reader.
FORMATS: dict[str, Open] = {
    "folder": _open_folder,
    "parquet": _open_table(ParquetCorpus),
    "arrow": _open_table(ArrowCorpus),
    "manifest": _open_manifest,
    "prompts": _open_prompts,
    "webdataset": _open_webdataset,
}


def _look(settings: CorpusSettings, root: Root, kind: str) -> str:
    """The format of the uppermost folder that has files of one, among the first that are listed."""
    if kind == "file":
        return _format_of(root.path) or ("prompts" if suffix(root.path) in READERS else "folder")
    formats = _find_formats(root)
    if not formats:
        # Nothing that we know: this says so, now, and not when the styles' pictures have been read.
        FolderCorpus(settings.uri, root).pieces({})
    if len(formats) > 1:
        raise RequestError(
            f"The corpus {settings.uri} has files of several formats side by side ({', '.join(sorted(formats))}): set "
            "its `format`."
        )
    return formats.pop()


def _find_formats(root: Root) -> set[str]:
    """Formats of the files of one folder; a folder of millions is not listed whole to know."""
    folders: dict[str, set[str]] = {}
    for number, file in enumerate(root.walk()):
        found = _format_of(file.path)
        if found is not None:
            folders.setdefault(posixpath.dirname(file.path), set()).add(found)
        if number >= LOOKED_AT and folders:
            break
    return folders[min(folders, key=lambda folder: (folder != "", folder.count("/")))] if folders else set()


def _format_of(path: str) -> str | None:
    """Of a file in a folder, by its name; words may be anything."""
    if is_tar(path):
        return "webdataset"
    ending = suffix(path)
    return {SUFFIX: "parquet", ARROW: "arrow"}.get(ending) or ("folder" if ending in SUFFIXES else None)
