"""Pictures fetched from elsewhere: bounded in bytes, in time, in redirects, and only from where they may come."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Timer
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from fsspec.asyn import sync as run_on_loop

from tasks.corpus.allowed import WEB, AllowList, leads_out
from tasks.corpus.folder import NO_FILE
from tasks.images.decoding import MAX_BYTES
from tasks.records import ImageError, RequestError
from tasks.storage import open_filesystem, storage_errors

# A picture, with all its tries and redirects; a try's connection, and each wait for more of it.
FETCH_SECONDS = 60.0
WAIT_SECONDS = 10.0
TRIES = 4
BACKOFF_SECONDS = 0.5
LONGEST_WAIT = 20.0
REDIRECTS = 5
CHUNK_BYTES = 2**18
MOVED = frozenset([301, 302, 303, 307, 308])
BUSY = frozenset([408, 425, 429, 500, 502, 503, 504])
GONE = frozenset([404, 410])
FORBIDDEN = frozenset([401, 403, 407, 451])


class BusyError(Exception):
    """The other side may answer later, after this many seconds if it says so."""

    def __init__(self, said: str, seconds: float | None = None) -> None:
        super().__init__(said)
        self.seconds = seconds


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    location: str | None
    wait: float | None
    body: bytes


def fetch(uri: str, allowed: AllowList) -> bytes:
    """The bytes behind a URI. Raises ImageError, whose message never repeats the URI; it takes a minute at most."""
    deadline = time.monotonic() + FETCH_SECONDS
    said = "it took too long"
    for attempt in range(TRIES):
        try:
            return _fetch_web(uri, allowed, deadline) if is_web(uri) else _fetch_store(uri, allowed, deadline)
        except BusyError as error:
            said = str(error)
            wait = error.seconds if error.seconds is not None else BACKOFF_SECONDS * 2**attempt * (1 + random.random())
            if attempt == TRIES - 1 or time.monotonic() + wait > deadline:
                break
            time.sleep(min(wait, LONGEST_WAIT))
    raise ImageError("unreachable", f"the picture could not be fetched: {said}")


def is_web(uri: str) -> bool:
    """Whether a URI is fetched over HTTP."""
    return urlsplit(uri).scheme in WEB


def check_place(uri: str, allowed: AllowList) -> None:
    """Raise ImageError where a URI may not be fetched."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:
        raise ImageError("bad_uri", "the URI cannot be understood") from error
    if leads_out(parts.path if is_web(uri) else uri):
        raise ImageError("bad_uri", "the URI has a step up (..) in its path")
    if "@" in parts.netloc:
        raise ImageError("bad_uri", "the URI carries a name or a password")
    if not allowed.permits(uri):
        raise ImageError("not_allowed", "the URI lies outside of what the corpus's `allow` lists")


def _fetch_web(uri: str, allowed: AllowList, deadline: float) -> bytes:
    for _ in range(REDIRECTS + 1):
        check_place(uri, allowed)
        try:
            answer = _get(uri, allowed, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            kind = "it took too long" if isinstance(error, TimeoutError) else f"the connection failed ({_kind(error)})"
            raise BusyError(kind) from error
        if answer.status not in MOVED or answer.location is None:
            return _take(answer)
        uri = urljoin(uri, answer.location)
        if not is_web(uri):
            raise ImageError("not_allowed", "the server sends elsewhere than to the web")
    raise ImageError("unreachable", f"the server sends from place to place more than {REDIRECTS} times")


def _take(answer: Answer) -> bytes:
    if answer.status in BUSY:
        raise BusyError(f"the server answered {answer.status}", answer.wait)
    if answer.status in GONE:
        raise ImageError("missing", f"the picture is not there (the server answered {answer.status})")
    if answer.status in FORBIDDEN:
        raise ImageError("forbidden", f"the picture may not be read (the server answered {answer.status})")
    if answer.status != http.client.OK:
        raise ImageError("unreachable", f"the picture could not be fetched: the server answered {answer.status}")
    return answer.body


def _get(uri: str, allowed: AllowList, deadline: float) -> Answer:
    parts = urlsplit(uri)
    host, port = parts.hostname or "", parts.port or http.client.HTTPS_PORT
    if parts.scheme == "http":
        port = parts.port or http.client.HTTP_PORT
    address = _resolve(host, port, allowed)
    # Letters that no request may hold are written out; what is written out already stays.
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(parts.query, safe='/%:@!$&()*+,;=~?')}" if parts.query else ""
    )
    with _connect(address, parts.scheme == "https", host, port, deadline) as connection:
        connection.request("GET", target, headers={"User-Agent": "atelier", "Accept-Encoding": "identity"})
        reply = connection.getresponse()
        body = _read(reply, deadline) if reply.status == http.client.OK else b""
        return Answer(reply.status, reply.getheader("Location"), _seconds(reply.getheader("Retry-After")), body)


def _resolve(host: str, port: int, allowed: AllowList) -> str:
    """An address of a host, all of whose addresses are allowed: the connection goes there, whatever names say later."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise BusyError("its host has no address") from error
    if not found or not all(map(allowed.permits_address, found)):
        raise ImageError("not_allowed", "the host is at a private address, which the corpus's `allow` does not list")
    return found[0]


@contextmanager
def _connect(
    address: str, is_secure: bool, host: str, port: int, deadline: float
) -> Iterator[http.client.HTTPConnection]:
    """A connection to an address that is cut at the deadline, whatever it is at."""
    left = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection(host, port, timeout=min(WAIT_SECONDS, left))
    connected = socket.create_connection((address, port), min(WAIT_SECONDS, left))
    if is_secure:
        context = ssl.create_default_context()
        connected = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    connection.sock = connected
    # A connection forgets its socket while an answer is still being read.
    timer = Timer(left, _cut, [connected])
    timer.daemon = True
    timer.start()
    try:
        if isinstance(connected, ssl.SSLSocket):
            connected.do_handshake()
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _read(reply: http.client.HTTPResponse, deadline: float) -> bytes:
    if (reply.length or 0) > MAX_BYTES:
        raise ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
    held = bytearray()
    while chunk := reply.read(CHUNK_BYTES):
        held += chunk
        if len(held) > MAX_BYTES:
            raise ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
    if reply.length:
        raise http.client.IncompleteRead(b"", reply.length)
    if time.monotonic() > deadline:
        raise TimeoutError  # what was cut looks like an end
    return bytes(held)


def _fetch_store(uri: str, allowed: AllowList, deadline: float) -> bytes:
    check_place(uri, allowed)
    try:
        filesystem, path = open_filesystem(uri)
    except RequestError as error:
        raise ImageError("bad_uri", "no storage answers to this URI") from error
    try:
        if (filesystem.info(path)["size"] or 0) > MAX_BYTES:
            raise ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
        return bytes(_cat(filesystem, path, max(0.1, deadline - time.monotonic())))
    except PermissionError as error:
        raise ImageError("forbidden", "the picture may not be read") from error
    except NO_FILE as error:
        raise ImageError("missing", "the picture is not there") from error
    except storage_errors(filesystem) as error:
        raise BusyError(f"its storage failed ({_kind(error)})") from error


def _cat(filesystem: Any, path: str, seconds: float) -> Any:
    if getattr(filesystem, "async_impl", False):
        return run_on_loop(filesystem.loop, filesystem._cat_file, path, 0, MAX_BYTES + 1, timeout=seconds)
    return filesystem.cat_file(path, start=0, end=MAX_BYTES + 1)


def _seconds(header: str | None) -> float | None:
    return min(float(header), LONGEST_WAIT) if header and header.isdecimal() and len(header) < 6 else None


def _kind(error: Exception) -> str:
    return type(error).__name__
