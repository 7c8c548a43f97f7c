"""Bytes to pixels: any picture of a corpus becomes upright 8-bit RGB, or an ImageError.

Dimension key: H height, W width, C channels (RGB).
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from tasks.images.fitting import Pixels, resize, scaled_size, shape
from tasks.images.settings import ImageSettings
from tasks.records import ImageError

# An allow-list, because Pillow hands some formats to other programs (EPS to Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# 400 MB as 8-bit RGB; the largest cameras in use (102 and 108 megapixels) pass. Pillow's own limit is 179M.
MAX_PIXELS = 2**27
# An uncompressed picture of MAX_PIXELS fits; a film under a picture's name does not.
MAX_BYTES = 2**29
# Each scan of a JPEG goes over the whole picture, and takes as little as 17 bytes of the file: 88 scans of 121
# megapixels take 10 s on a core here. The usual progressive JPEG has 10.
MAX_SCANS = 100
SCAN = b"\xff\xda"  # its marker, which compressed data cannot hold
# Pillow keeps 400 bytes for each tile or strip of a TIFF, and takes 5 us. 65,000 rows in three planes pass.
MAX_TILES = 2**18
# A JPEG is decoded at a half, quarter or eighth of its size where this many times the wanted side remains for
# the antialiased resize: a mean of 0.7 levels from the full decode at 4000 pixels, and 4 times as fast.
DRAFT_MARGIN = 2

# What Pillow raises on damaged files, found by cutting them and flipping their bytes in every format.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)
_MESSAGES = {
    "empty_file": "the file is empty",
    "not_an_image": "the file is not a picture",
    "truncated": "the picture ends too early",
    "corrupt": "the picture is damaged",
    "unsupported_format": f"the picture's format is not among {', '.join(FORMATS)}",
}
_OWN_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FOREIGN_MAGIC = (
    b"%!PS",
    b"\xc5\xd0\xd3\xc6",  # EPS with a preview
    b"%PDF",
    b"8BPS",
    b"\0\0\1\0",  # Windows icon
    b"\0\0\0\x0cjP  ",
    b"\0\0\0\x0cJXL ",
    b"\xff\x0a",  # bare JPEG XL
    b"\x76\x2f\x31\x01",  # OpenEXR
    b"<svg",
    b"<?xml",
)
_FOREIGN_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # EXIF's tag number

# MAX_PIXELS refuses in its place; and damaged metadata is nobody's concern where the pixels are good.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True)
class Picture:
    """A corpus picture brought to size (uint8 RGB), and the source's own size once upright."""

    pixels_HWC: Pixels
    source_width: int
    source_height: int


def decode(data: bytes) -> Pixels:
    """Decode a picture at its own size: uint8 HWC RGB.

    Upright (EXIF), the first frame of an animation, alpha composited on white, 16 bits scaled to 8. Colour
    profiles are ignored: RGB counts as sRGB, CMYK is converted by the plain formula. Raises ImageError
    (`empty_file`, `not_an_image`, `unsupported_format`, `too_large`, `truncated`, `corrupt`).
    """
    return read_picture(data, ImageSettings(size="keep")).pixels_HWC


def read_picture(data: bytes, settings: ImageSettings) -> Picture:
    """Decode a picture as `decode` does, then scale it and cut or fill it as the settings ask.

    A JPEG at least four times as large as wanted is decoded reduced, with `DRAFT_MARGIN` to spare.
    """
    image = _open(data)
    orientation = _orientation(image)
    width, height = image.size
    if settings.size != "keep":
        wanted = scaled_size(width, height, settings)
        image.draft(None, (DRAFT_MARGIN * wanted[0], DRAFT_MARGIN * wanted[1]))
    _load(image)
    if image.format == "TIFF":
        # Pillow turns a TIFF upright while it loads.
        (width, height), orientation = image.size, 1
    scaled = resize(_to_rgb(image), scaled_size(width, height, settings))
    if orientation in _TRANSPOSITIONS:
        scaled = scaled.transpose(_TRANSPOSITIONS[orientation])
    source_width, source_height = (height, width) if orientation >= 5 else (width, height)
    return Picture(shape(np.array(scaled), settings), source_width, source_height)


def decode_levels(data: bytes, indices: bool = False) -> Pixels:
    """Decode a picture to grey levels at its own size, upright, what is transparent as black: uint8 HW.

    With `indices` numbers stay numbers, as label maps have them: those of a palette's entries, and those of 16 or 32
    bits, where none is above 255 (else ImageError `large_labels`). Raises as `decode`.
    """
    image = _open(data)
    orientation = _orientation(image)
    _load(image)
    if image.format == "TIFF":
        orientation = 1
    grey = _to_numbers(image) if indices else _to_rgb(image, "black").convert("L")
    if orientation in _TRANSPOSITIONS:
        grey = grey.transpose(_TRANSPOSITIONS[orientation])
    return np.array(grey)


def inspect(data: bytes) -> tuple[str, int, int]:
    """Decode a picture whole; gives its format in lower case, its width and its height. Raises ImageError."""
    image = _open(data)
    _load(image)
    return (image.format or "").lower(), image.width, image.height


def _open(data: bytes) -> Image.Image:
    """Read the header alone, and refuse by what it says."""
    if not data:
        raise _error("empty_file")
    if len(data) > MAX_BYTES:
        raise ImageError("too_large", f"the file is larger than {MAX_BYTES} bytes")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except Image.UnidentifiedImageError as error:
        raise _error(_reason_by_magic(data)) from error
    except _DAMAGE as error:
        raise _error(_reason_by_text(error)) from error
    _check_effort(image, data)
    return image


def _check_effort(image: Image.Image, data: bytes) -> None:
    """Refuse what a small file can make long."""
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()
    if image.format in ("JPEG", "MPO") and data.count(SCAN) > MAX_SCANS:
        raise ImageError("too_large", f"the picture has more than {MAX_SCANS} scans")
    if len(getattr(image, "tile", ())) > MAX_TILES:
        raise ImageError("too_large", f"the picture has more than {MAX_TILES} tiles")


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except _DAMAGE as error:
        raise _error(_reason_by_text(error)) from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; damaged EXIF does not spoil a good picture."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_numbers(image: Image.Image) -> Image.Image:
    """The pixels of a label map."""
    if not image.mode.startswith("I"):
        return image if image.mode == "P" else _to_rgb(image, "black").convert("L")
    values_HW = np.asarray(image)
    if values_HW.min() < 0 or values_HW.max() > 255:
        raise ImageError("large_labels", "it has values outside 0 to 255, which no label can name")
    return Image.fromarray(values_HW.astype(np.uint8))


def _to_rgb(image: Image.Image, ground: str = "white") -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep_grey(image)
    try:
        if not image.has_transparency_data:
            return image.convert("RGB")
        translucent = image.convert("RGBA")
    except _DAMAGE as error:
        raise ImageError("unsupported_format", f"pixels of the kind {image.mode} have no RGB form") from error
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), translucent).convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, to the nearest of 8 bits. Deeper values have no agreed white, so they are refused."""
    values_HW = np.asarray(image)
    if image.mode == "F" or values_HW.min() < 0 or values_HW.max() > 65535:
        raise ImageError("unsupported_format", "grey of more than 16 bits has no agreed white")
    grey_HW = (values_HW.astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(grey_HW.astype(np.uint8)).convert("RGB")


def _reason_by_magic(data: bytes) -> str:
    head = data[:32]
    if head.startswith(_FOREIGN_MAGIC) or (head[4:8] == b"ftyp" and head[8:12] in _FOREIGN_BRANDS):
        return "unsupported_format"
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return "corrupt" if webp or head.startswith(_OWN_MAGIC) else "not_an_image"


def _reason_by_text(error: Exception) -> str:
    """Pillow tells an early end only in its text; its texts are never passed on (they hold addresses)."""
    return "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "corrupt"


def _error(reason: str) -> ImageError:
    return ImageError(reason, _MESSAGES[reason])


def _too_large() -> ImageError:
    return ImageError("too_large", f"the picture has more than {MAX_PIXELS} pixels")
