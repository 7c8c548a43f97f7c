"""What a file's version is, on stores that say it in different ways."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tasks.corpus.listing import FoundFile, Root
from tests.tasks.corpus.conftest import memory

__all__ = ["memory"]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files with `Last-Modified` and without an entity tag."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Hub(MemoryFileSystem):
    """Tells of files as the Hugging Face hub does: a digest of what they hold, and no time."""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": 3, "type": "file", "blob_id": "0a1b", "last_commit": None}

    def find(self, path: str, *_: Any, **__: Any) -> dict[str, Any]:
        return {name: self.info(name) for name in (f"{path}/a.parquet",)}


def test_a_store_without_tags_has_times(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/photos/a.jpg", b"one")
    root = Root(memory, "/photos")
    (listed,) = root.files()
    assert listed.modified > 10**18
    assert listed == root.file("a.jpg")
    memory.pipe_file("/photos/a.jpg", b"two")
    assert root.file("a.jpg").modified > listed.modified


def test_a_website_has_the_time_that_it_tells(website: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"one")
    found = Root(fsspec.filesystem("http", skip_instance_cache=True), website).file("a.parquet")
    seconds = int((tmp_path / "a.parquet").stat().st_mtime)
    assert found == FoundFile("a.parquet", 3, seconds * 10**9)


def test_the_hub_has_digests() -> None:
    root = Root(Hub(), "/datasets/huggan/wikiart/data")
    assert root.files() == [root.file("a.parquet")] == [FoundFile("a.parquet", 3, 0, "0a1b")]
