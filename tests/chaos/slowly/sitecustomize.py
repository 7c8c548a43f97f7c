"""For Ray workers of the chaos and of infra/bench/shards.py: decoding takes time; marked pictures kill or hang.

While there is a file at ATELIER_SMALL_DEVICE, the device that networks run on has memory for one picture at a time.

Python imports this file by itself in every process that has this folder on its path.
"""

import os
import signal
import sys
import time
from io import BytesIO
from typing import Any

from PIL import Image

SECONDS = float(os.environ.get("ATELIER_DECODING_SECONDS", "0.4"))
KILLS = b"takes its process down"
HANGS = b"never comes to an end"
SMALL_DEVICE = os.environ.get("ATELIER_SMALL_DEVICE")
honest_open = Image.open


def shrink_device() -> None:
    """Have convolutions of several pictures run out of memory, as torch says it, while the file is there."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not SMALL_DEVICE or hasattr(torch.nn.functional.conv2d, "honest"):
        return
    honest = torch.nn.functional.conv2d

    def convolve(images: Any, *args: Any, **options: Any) -> Any:
        if len(images) > 1 and os.path.exists(SMALL_DEVICE):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return honest(images, *args, **options)

    convolve.honest = honest  # type: ignore[attr-defined]
    torch.nn.functional.conv2d = convolve


def open_slowly(file: Any, *args: Any, **options: Any) -> Image.Image:
    shrink_device()
    data = file.getvalue() if isinstance(file, BytesIO) else b""
    if KILLS in data:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600 if HANGS in data else SECONDS)
    return honest_open(file, *args, **options)


if __name__ == "sitecustomize":
    Image.open = open_slowly
