"""Fetching ends: in bytes or in a reason, within its bounds, and never where it may not go."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import fsspec
import pytest

from tasks.corpus import fetching
from tasks.corpus.allowed import AllowList
from tasks.corpus.fetching import fetch
from tasks.records import ImageError
from tests.tasks.corpus.conftest import memory
from tests.tasks.corpus.website import Website, open_website, send

__all__ = ["memory"]


@pytest.fixture
def website(monkeypatch: pytest.MonkeyPatch) -> Iterator[Website]:
    monkeypatch.setattr(fetching, "BACKOFF_SECONDS", 0.01)
    with open_website() as site:
        yield site


def reason(uri: str, *allow: str) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        fetch(uri, AllowList(allow))
    return caught.value.reason, str(caught.value)


def test_a_picture_is_fetched_and_a_missing_one_has_a_reason(website: Website) -> None:
    uri = website.put("/a b/ü.jpg", b"picture")
    website.pages["/a%20b/%C3%BC.jpg"] = website.pages["/a b/ü.jpg"]
    assert fetch(f"{uri}?size=1&name=a b", AllowList([website.uri])) == b"picture"
    assert website.asked == ["/a%20b/%C3%BC.jpg?size=1&name=a%20b"]
    assert reason(f"{website.uri}/gone.jpg", website.uri)[0] == "missing"
    for status, word in ((410, "missing"), (401, "forbidden"), (403, "forbidden"), (418, "unreachable")):
        assert reason(website.put("/x", b"", status), website.uri)[0] == word


def test_a_busy_server_is_asked_again_and_given_up_in_the_end(website: Website) -> None:
    answers = iter([429, 503, 200])

    def busy(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"at last", next(answers), Retry_After="0")

    website.pages["/a.jpg"] = busy
    assert fetch(f"{website.uri}/a.jpg", AllowList([website.uri])) == b"at last"
    website.asked.clear()
    assert reason(website.put("/b.jpg", b"", 503), website.uri) == (
        "unreachable",
        "the picture could not be fetched: the server answered 503",
    )
    assert len(website.asked) == fetching.TRIES


def test_a_connection_that_breaks_is_tried_again(website: Website) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        if len(website.asked) < 3:
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"half")
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            send(handler, b"whole")

    website.pages["/a.jpg"] = hang_up
    assert fetch(f"{website.uri}/a.jpg", AllowList([website.uri])) == b"whole"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    word, said = reason(f"http://127.0.0.1:{port}/a.jpg", f"http://127.0.0.1:{port}")
    assert (word, said) == (
        "unreachable",
        "the picture could not be fetched: the connection failed (ConnectionRefusedError)",
    )


def test_what_is_too_large_is_not_read_whole(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 1000)

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(bytes(1000))

    website.pages["/endless.jpg"] = endless
    assert reason(website.put("/a.jpg", bytes(1001)), website.uri)[0] == "too_large"
    assert reason(f"{website.uri}/endless.jpg", website.uri)[0] == "too_large"


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_cut_at_the_deadline(
    website: Website, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Each byte comes in time, the whole never does."""
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 1.0)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X-Long: "))
        for _ in range(200):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    website.pages["/a.jpg"] = drip
    started = time.monotonic()
    assert reason(f"{website.uri}/a.jpg", website.uri)[0] == "unreachable"
    assert time.monotonic() - started < 4


def test_redirects_are_followed_a_few_times_and_each_is_checked(website: Website) -> None:
    website.put("/end.jpg", b"here")
    here, allow = website.uri, f"{website.uri}/"
    assert fetch(website.put("/a", b"", 302, Location="/end.jpg"), AllowList([allow])) == b"here"
    website.put("/loop", b"", 302, Location=f"{here}/loop")
    assert reason(f"{here}/loop", allow)[0] == "unreachable"
    for target in ("http://169.254.169.254/latest", "file:///etc/passwd", "http://user:pw@127.0.0.1/x", "gopher://x"):
        assert reason(website.put("/out", b"", 302, Location=target), allow, "http://*")[0] in (
            "not_allowed",
            "bad_uri",
        )
    other = here.replace("127.0.0.1", "localhost")
    assert reason(website.put("/other", b"", 301, Location=f"{other}/end.jpg"), allow)[0] == "not_allowed"
    website.put("/folder/a", b"", 301, Location="/end.jpg")
    assert reason(f"{here}/folder/a", f"{here}/folder")[0] == "not_allowed"


def test_a_host_at_a_private_address_is_refused_unless_its_network_is_allowed(
    website: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are looked up once; the connection goes to the address that was checked."""
    website.put("/a.jpg", b"here")
    port = website.uri.rpartition(":")[2]
    uri = f"http://images.example.org:{port}/a.jpg"
    asked = []

    def lookup(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    place = f"http://images.example.org:{port}"
    assert reason(uri, place)[0] == "not_allowed"
    assert not website.asked
    assert fetch(uri, AllowList([place, "127.0.0.0/8"])) == b"here"
    assert asked.count("images.example.org") == 2


def test_stores_are_read_where_they_are_allowed(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe_file("/photos/a.jpg", b"picture")
    assert fetch("memory://photos/a.jpg", AllowList(["memory://photos"])) == b"picture"
    assert reason("memory://photos/gone.jpg", "memory://photos")[0] == "missing"
    assert reason("memory://other/a.jpg", "memory://photos")[0] == "not_allowed"
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(b"here")
    (tmp_path / "b.jpg").write_bytes(b"secret")
    place = f"file://{tmp_path}/in"
    assert fetch(f"{place}/a.jpg", AllowList([place])) == b"here"
    for out in ("/../b.jpg", "/%2e%2e/b.jpg", "#/../../b.jpg", "/x/../../b.jpg"):
        assert reason(f"{place}{out}", place)[0] == "bad_uri"
    assert reason(f"{place}x/a.jpg", place)[0] == "not_allowed"
    assert reason(f"memory://photos/x::file://{tmp_path}/b.jpg", "memory://photos")[0] == "not_allowed"
    assert reason(f"simplecache::file://{tmp_path}/b.jpg", "memory://photos")[0] == "not_allowed"
    assert reason("nowhere://x/a", "nowhere://x")[0] == "bad_uri"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_a_secure_server_is_believed_only_with_a_certificate_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BACKOFF_SECONDS", 0.01)
    words = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    paths = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", "req", *words, *paths], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with open_website(context) as site:
        site.put("/a.jpg", b"picture")
        place = site.uri.replace("127.0.0.1", "localhost")
        word, said = reason(f"{place}/a.jpg", place, "127.0.0.0/8", "::1/128")
        assert (word, "SSLCertVerificationError" in said) == ("unreachable", True)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert fetch(f"{place}/a.jpg", AllowList([place, "127.0.0.0/8", "::1/128"])) == b"picture"
