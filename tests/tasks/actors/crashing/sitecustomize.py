"""For Ray workers of the tests: a decoder that takes its process down at a marked picture, as a bug in C would."""

import os
import signal
from typing import Any

from PIL import Image

MARK = b"takes its process down"
honest_open = Image.open


def open_or_die(file: Any, *args: Any, **options: Any) -> Image.Image:
    if MARK in file.getvalue():
        os.kill(os.getpid(), signal.SIGKILL)
    return honest_open(file, *args, **options)


Image.open = open_or_die
