"""A proxy between S3 clients and their server that delays, throttles, resets, cuts, swallows and repeats old lists."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass, field

THROTTLED = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
SILENCE_SECONDS = 3600.0
# How a connection ends: by either side, or with the proxy.
ENDINGS = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)


@dataclass
class Weather:
    """What happens to requests: shares of them, drawn from `seed`. All zero is a clear sky."""

    latency: float = 0.0  # seconds, at most
    throttle: float = 0.0  # answered with 503
    reset: float = 0.0  # connection reset before the server heard of it
    lost: float = 0.0  # the server did it, and the answer is lost
    cut_request: float = 0.0  # half of the request arrives
    cut_answer: float = 0.0  # half of the answer arrives
    silence: float = 0.0  # no answer, for ever
    stale: float = 0.0  # lists: what was answered the first time
    seed: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.lists: dict[bytes, bytes] = {}

    def draw(self) -> str:
        """What becomes of the next request: the name of a share, or nothing."""
        left = self._random.random()
        for name in ("throttle", "reset", "lost", "cut_request", "cut_answer", "silence", "stale"):
            left -= getattr(self, name)
            if left < 0:
                self.counts[name] = self.counts.get(name, 0) + 1
                return name
        return ""

    async def wait(self) -> None:
        """The latency of one request."""
        if self.latency:
            await asyncio.sleep(self._random.uniform(0, self.latency))


class Proxy:
    """Listens on a free port of this machine, in a thread of its own; `weather` may change at any time."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream, self.weather = upstream, Weather()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self.port = server.result().sockets[0].getsockname()[1]

    def close(self) -> None:
        """Drop every connection, and listen no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1)
        self._loop.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*ENDINGS):
            while await self._pass_on(reader, writer):
                continue
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False where the connection ends with it."""
        weather = self.weather
        head = await reader.readuntil(b"\r\n\r\n")
        fate = weather.draw()
        await weather.wait()
        if fate == "reset":
            return _reset(writer)
        if fate == "silence":
            await asyncio.sleep(SILENCE_SECONDS)
        body = await self._read_request_body(head, reader, writer)
        line = head.split(b"\r\n", 1)[0]
        if fate == "throttle":
            return await _answer(writer, b"503 Slow Down", THROTTLED)
        is_list = line.startswith(b"GET") and b"list-type=2" in line
        if fate == "stale" and line in weather.lists:
            writer.write(weather.lists[line])
            await writer.drain()
            return True
        if fate == "cut_request":
            await self._send_half(head + body)
            return _reset(writer)
        answer = await self._ask(head, body)
        if is_list:
            weather.lists.setdefault(line, answer)
        if fate == "lost":
            return _reset(writer)
        writer.write(answer[: len(answer) // 2] if fate == "cut_answer" else answer)
        await writer.drain()
        return fate != "cut_answer" and bool(answer)

    async def _read_request_body(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
        return await _read_body(head, reader)

    async def _send_half(self, request: bytes) -> None:
        _, upward = await asyncio.open_connection(*self.upstream)
        upward.write(request[: len(request) // 2])
        await upward.drain()
        upward.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """The server's whole answer, over a connection of its own."""
        downward, upward = await asyncio.open_connection(*self.upstream)
        upward.write(_without(head, b"expect") + body)
        await upward.drain()
        answer = await downward.readuntil(b"\r\n\r\n")
        bare = head.startswith(b"HEAD") or answer.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))
        answer += b"" if bare else await _read_body(answer, downward)
        upward.close()
        return answer


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name + b":"))


async def _read_body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """A body by its length or in chunks, as it is on the wire."""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            chunk = await reader.readexactly(int(line.split(b";")[0], 16) + 2)
            body += line + chunk
            if len(chunk) == 2:
                return body
    return await reader.readexactly(int(fields.get(b"content-length", b"0")))


async def _answer(writer: asyncio.StreamWriter, status: bytes, body: bytes) -> bool:
    writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
    await writer.drain()
    return False


def _reset(writer: asyncio.StreamWriter) -> bool:
    """End a connection with a RST, as a crashed peer does."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
