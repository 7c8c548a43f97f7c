"""For Ray workers of the tests: a decoder that kills or hangs its process at a marked picture, as a bug in C would.

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
honest_open = Image.open


def open_or_die(file: Any, *args: Any, **options: Any) -> Image.Image:
    if isinstance(file, BytesIO) and MARK in file.getvalue():
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(file, BytesIO) and HANGS in file.getvalue():
        time.sleep(3600)
    return honest_open(file, *args, **options)


if __name__ == "sitecustomize":
    Image.open = open_or_die
