"""For Ray workers of the tests: a decoder that kills, hangs or fills its process at a marked picture, as bugs in C do.

Python imports this file by itself in every process that has this folder on its path. A test that imports it by its
full name, for the mark alone, keeps an honest decoder.
"""

import os
import signal
import time
from io import BytesIO
from typing import Any

from PIL import Image

MARK = b"takes its process down"
HANGS = b"never comes to an end"
FILLS = b"takes all memory there is"
MOST_BYTES = 10 * 2**30  # in case that nobody stops it
honest_open = Image.open


def open_or_die(file: Any, *args: Any, **options: Any) -> Image.Image:
    if isinstance(file, BytesIO) and MARK in file.getvalue():
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(file, BytesIO) and HANGS in file.getvalue():
        time.sleep(3600)
    if isinstance(file, BytesIO) and FILLS in file.getvalue():
        fill()
    return honest_open(file, *args, **options)


def fill() -> None:
    held, step = [], 64 * 2**20
    while len(held) * step < MOST_BYTES:
        held.append(b"\1" * step)  # written to, or it would take none
    time.sleep(3600)


if __name__ == "sitecustomize":
    Image.open = open_or_die
