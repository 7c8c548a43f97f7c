"""Pictures small enough to travel inside the page."""

from __future__ import annotations

import base64
import re

from tasks.images.decoding import read_picture
from tasks.images.encoding import encode
from tasks.images.settings import ImageSettings

# 12 contents in 8 styles at 256 pixels then make a page of 1.8 MB (photographs recoloured with noise).
JPEG_QUALITY = 74
SIGNATURES = {"jpeg": rb"\xff\xd8\xff", "png": rb"\x89PNG\r\n\x1a\n", "webp": rb"RIFF....WEBP"}


def thumbnail(image: bytes, side: int = 256) -> bytes:
    """JPEG of at most `side` pixels (16 to 8192) a side, upright; never enlarged.

    Raises ImageError where the bytes hold no picture that can be decoded.
    """
    settings = ImageSettings(size=side, codec="jpeg", quality=JPEG_QUALITY)
    return encode(read_picture(image, settings).pixels_HWC, settings)


def data_uri(image: bytes) -> str:
    """The picture as a `data:` URI; ValueError for bytes that are not JPEG, PNG or WebP."""
    for kind, signature in SIGNATURES.items():
        if re.match(signature, image, re.DOTALL):
            return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
    raise ValueError("a report embeds JPEG, PNG and WebP pictures only; make others with `thumbnail`")
