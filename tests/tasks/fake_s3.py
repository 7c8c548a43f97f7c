"""Small HTTP servers between or in place of an object store: they count, cut, refuse, or ignore conditions."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import s3fs

CONFLICT = b"<?xml version='1.0'?><Error><Code>ConditionalRequestConflict</Code><Message>try again</Message></Error>"


@dataclass
class Request:
    """What a handler may decide by."""

    method: str
    path: str
    body: bytes
    is_conditional: bool


@dataclass
class Answer:
    """A status and a body; `cut` closes the connection in its place."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@contextmanager
def serve(answer: Callable[[Request, dict[str, str]], Answer]) -> Iterator[str]:
    """A server on a free port; S3 clients made meanwhile find it by the environment."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items())
            request = Request(self.command, self.path, body, "If-None-Match" in self.headers)
            reply = answer(request, headers)
            if reply.cut:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(reply.status)
            length = reply.headers.pop("Content-Length", str(len(reply.body)))
            for name, value in {**reply.headers, "Content-Length": length}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = os.environ["AWS_ENDPOINT_URL"]
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield os.environ["AWS_ENDPOINT_URL"]
    finally:
        os.environ["AWS_ENDPOINT_URL"] = before
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()
        server.server_close()


def forward(endpoint: str, request: Request, headers: dict[str, str]) -> Answer:
    """The answer of the server behind."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    sent = {name: value for name, value in headers.items() if name.lower() != "expect"}
    connection.request(request.method, request.path, request.body, sent)
    reply = connection.getresponse()
    body = reply.read()
    kept = {
        k: v for k, v in reply.getheaders() if k.lower() not in ("transfer-encoding", "connection", "date", "server")
    }
    kept = {("Content-Length" if k.lower() == "content-length" else k): v for k, v in kept.items()}
    connection.close()
    return Answer(reply.status, body, kept)
