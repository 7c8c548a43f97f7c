"""Pictures small enough to travel inside the page."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageOps

from tasks.records import ImageError

# Below 74 flat skies band visibly; above, 12 x 8 pictures of brush strokes outgrow two megabytes.
JPEG_QUALITY = 74
SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp"}


def thumbnail(image: bytes, side: int = 256) -> bytes:
    """JPEG of at most `side` pixels a side, upright, transparency laid on white; never enlarged.

    Raises ImageError where the bytes hold no picture that can be decoded.
    """
    try:
        with Image.open(io.BytesIO(image)) as picture:
            picture.draft("RGB", (2 * side, 2 * side))
            upright = _on_white(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError:
        raise ImageError("too_large", "the picture has too many pixels for a thumbnail") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError("not_an_image", "the picture cannot be decoded for a thumbnail") from error
    upright.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    upright.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def data_uri(image: bytes) -> str:
    """The picture as a `data:` URI; ValueError for bytes that are not JPEG, PNG or WebP."""
    for signature, kind in SIGNATURES.items():
        if image.startswith(signature):
            return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
    raise ValueError("a report embeds JPEG, PNG and WebP pictures only; make others with `thumbnail`")


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
