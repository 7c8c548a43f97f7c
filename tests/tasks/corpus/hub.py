"""A small Hugging Face hub on this machine with one repository, and the corpus that is read from it."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

FILE = "data/train.parquet"
COMMIT = "c" * 40


def describe(data: bytes) -> list[dict[str, Any]]:
    """The repository's folder and its file, as the hub tells of them."""
    return [
        {"type": "directory", "oid": "d", "size": 0, "path": "data"},
        {"type": "file", "oid": "0a1b2c", "size": len(data), "path": FILE},
    ]


class Hub(BaseHTTPRequestHandler):
    """Answers what the hub's client asks for."""

    protocol_version = "HTTP/1.1"
    data = b""

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if "/resolve/" in path:
            self._resolve()
        else:
            self._send(json.dumps(self._describe(path, body)).encode(), Content_Type="application/json")

    def _describe(self, path: str, body: bytes) -> Any:
        folder, file = describe(self.data)
        if "/tree/" in path:
            inside = [file] if path.endswith("/data") else [folder]
            return [folder, file] if "recursive=true" in self.path else inside
        if "/paths-info/" in path:
            return [one for one in (folder, file) if one["path"] in parse_qs(body.decode()).get("paths", [])]
        return {"id": "someone/cats", "sha": COMMIT, "private": False, "siblings": []}

    def _resolve(self) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        stop = min(len(self.data), int(asked[2]) + 1 if asked and asked[2] else len(self.data))
        shown = {"ETag": '"0a1b2c"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        shown["Content-Range"] = f"bytes {start}-{stop - 1}/{len(self.data)}"
        self._send(self.data[start:stop], 206 if asked else 200, **shown)

    do_GET = do_POST = do_HEAD = _answer


def main(path: Path) -> None:
    """Serve a file as a repository's, and print what the corpus reads of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Hub,), {"data": path.read_bytes()}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"}
    from tasks.corpus import open_corpus
    from tasks.corpus.settings import CorpusSettings
    from tests.tasks.corpus.conftest import picture

    corpus = open_corpus(CorpusSettings(uri="hf://datasets/someone/cats@v1"))
    entries = [entry for piece in corpus.pieces({}) for entry in corpus.read(piece)]
    last = entries[-1]
    said = {"format": corpus.format, "count": len(entries), "id": last.content_id, "uri": last.content_uri}
    said |= {"version": last.content_version, "whole": [e.data for e in entries] == [picture(n) for n in range(130)]}
    print(json.dumps(said))  # noqa: T201 (the test reads it)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
