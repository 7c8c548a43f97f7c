"""Servers that tests talk to: each a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 30
MOTO = ("moto_server", "-H", HOST, "-p", "{port}")
PREFECT = ("prefect", "server", "start", "--host", HOST, "--port", "{port}", "--no-ui")


@dataclass(frozen=True)
class Server:
    """A process that listens at `port`."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        """End it."""
        stop(self.process)


def start_server(
    words: tuple[str, ...],
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    log: Path | None = None,
) -> Server:
    """Start a program that is installed beside this interpreter, and wait until it listens.

    `environment` comes over this process's own; what the program says goes to the file `log`, or nowhere.
    """
    port = port or free_port()
    program, *rest = (word.format(port=port) for word in words)
    with open(log or os.devnull, "ab") as said:
        process = subprocess.Popen(
            [tool(program), *rest],
            env={**os.environ, **(environment or {})},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while not is_listening(port):
        assert process.poll() is None, f"{program} ended"
        assert time.monotonic() < end, f"{program} does not listen"
        time.sleep(0.1)
    return Server(process, port)


def stop(process: subprocess.Popen[Any], seconds: float = STOP_SECONDS) -> int:
    """End a process as a service manager does, which kills what does not end; gives its exit code."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(STOP_SECONDS)


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def tool(name: str) -> str:
    """The path of a program that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))
