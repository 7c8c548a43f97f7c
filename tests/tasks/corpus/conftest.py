"""Corpora made for each test: small pictures in folders and tables."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import fsspec
import pytest
from PIL import Image

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.corpus.settings import CorpusSettings


def picture(red: int = 200) -> bytes:
    """A small PNG; another red, another file."""
    file = BytesIO()
    Image.new("RGB", (8, 6), (red, 20, 30)).save(file, "PNG")
    return file.getvalue()


def read_all(uri: str, **settings: str) -> list[Entry]:
    """Every entry of a corpus."""
    corpus = open_corpus(CorpusSettings.model_validate({"uri": uri, **settings}))
    return [entry for piece in corpus.pieces({}) for entry in corpus.read(piece)]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """The filesystem behind memory:// URIs, emptied afterwards."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
