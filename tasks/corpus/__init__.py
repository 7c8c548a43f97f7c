"""Corpus readers: list the content images, or the prompts, behind a URI as pieces, and read them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from tasks.corpus.base import Corpus
from tasks.corpus.folder import SUFFIXES, FolderCorpus
from tasks.corpus.listing import Root, suffix
from tasks.corpus.parquet import SUFFIX, ParquetCorpus
from tasks.corpus.prompts import READERS, PromptCorpus
from tasks.corpus.settings import CorpusSettings
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
    return FORMATS[name](settings, root, kind == "file")


def _open_folder(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    if is_file:
        raise RequestError(f"The corpus {settings.uri} is one file: name the folder that it lies in.")
    return FolderCorpus(settings.uri, root, settings.labels is not None and settings.labels.label == "folder")


def _open_parquet(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    if not is_file:
        return ParquetCorpus(settings.uri, root, None, settings.image)
    folder, name = posixpath.split(root.path)
    return ParquetCorpus(settings.uri, Root(root.filesystem, folder), name, settings.image)


def _open_prompts(settings: CorpusSettings, root: Root, is_file: bool) -> Corpus:
    folder, name = posixpath.split(root.path)
    if not is_file or suffix(name) not in READERS:
        raise RequestError(
            f"The corpus {settings.uri} is no file of prompts: name one that ends in {', '.join(READERS)}."
        )
    return PromptCorpus(settings, Root(root.filesystem, folder), name)


# WebDataset tars and manifests belong here: a name, and what opens a reader.
FORMATS: dict[str, Callable[[CorpusSettings, Root, bool], Corpus]] = {
    "folder": _open_folder,
    "parquet": _open_parquet,
    "prompts": _open_prompts,
}


def _look(settings: CorpusSettings, root: Root, kind: str) -> str:
    """The format of the first folder that has files of one, from the top down."""
    if kind == "file":
        return _look_at_file(suffix(root.path))
    for _, folders, files in root.filesystem.walk(root.path, detail=True):
        for hidden in [name for name in folders if name.startswith(".")]:
            del folders[hidden]
        found = {suffix(name) for name in files if not name.startswith(".")}
        if SUFFIX in found and found & SUFFIXES:
            raise RequestError(
                f"The corpus {settings.uri} has pictures and Parquet files side by side: set its `format`."
            )
        if SUFFIX in found or found & SUFFIXES:
            return "parquet" if SUFFIX in found else "folder"
    # Nothing that we know: this says so, now, and not when the styles' pictures have been read.
    FolderCorpus(settings.uri, root).pieces({})
    return "folder"


def _look_at_file(ending: str) -> str:
    if ending == SUFFIX:
        return "parquet"
    return "prompts" if ending in READERS else "folder"
