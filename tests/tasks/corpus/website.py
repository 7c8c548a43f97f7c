"""A website on this machine that answers as a test tells it to, and notes what it was asked for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Page = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Website:
    """Pages by path; others answer 404."""

    uri: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, data: bytes, status: int = 200, **headers: str) -> str:
        """Answer a path with these bytes; gives its URI."""
        self.pages[path] = lambda handler: send(handler, data, status, **headers)
        return f"{self.uri}{path}"


def send(handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def open_website(secure: ssl.SSLContext | None = None) -> Iterator[Website]:
    website = Website()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            website.asked.append(self.path)
            page = website.pages.get(self.path.partition("?")[0])
            with suppress(ConnectionError):  # whoever asked has gone
                page(self) if page else send(self, b"", 404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if secure is not None:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    website.uri = f"{'https' if secure else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield website
    finally:
        server.shutdown()
        server.server_close()
