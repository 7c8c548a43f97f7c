"""Pictures that strangers wrote: seeds in every format, bombs, and the check that a reader keeps its promise."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from tasks.images.decoding import decode_levels, read_picture
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings
from tasks.records import ImageError
from tests.fuzz.mutations import mutate
from tests.fuzz.sandbox import Check

SETTINGS = (
    ImageSettings(size="keep"),
    ImageSettings(size=64),
    ImageSettings(size=64, fit="crop"),
    ImageSettings(size=64, fit="pad"),
)
BOMB_SHARE = 0.02  # of the cases: a bomb, most of them mutated too


def make_seeds() -> list[bytes]:
    """Small real pictures of every format and kind of pixel that is taken."""
    photograph = _photograph()
    return [_encode(photograph.convert(mode), kind, **options) for mode, kind, options in _kinds()] + _with_metadata()


def _photograph() -> Image.Image:
    rng = np.random.default_rng(8)
    smooth_HWC = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((9, 7, 1)))
    noise_HWC = rng.normal(0, 12, smooth_HWC.shape)
    return Image.fromarray((smooth_HWC + noise_HWC).clip(0, 255).astype(np.uint8))


def _kinds() -> Iterator[tuple[str, str, dict[str, object]]]:
    yield from (("RGB", "JPEG", {}), ("RGB", "JPEG", {"progressive": True}), ("L", "JPEG", {}), ("CMYK", "JPEG", {}))
    yield from ((mode, "PNG", {}) for mode in ("RGB", "RGBA", "P", "L", "LA", "1", "I;16"))
    yield from (("RGB", "WEBP", {}), ("RGBA", "WEBP", {"lossless": True}), ("P", "GIF", {}), ("1", "BMP", {}))
    yield from ((mode, "BMP", {}) for mode in ("RGB", "P"))
    yield from (("RGB", "TIFF", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "jpeg"))
    yield from (("1", "TIFF", {"compression": "group4"}), ("I;16", "TIFF", {}), ("F", "TIFF", {}))
    yield from ((mode, "PPM", {}) for mode in ("RGB", "L", "1"))


def _with_metadata() -> list[bytes]:
    picture = _photograph()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    frames = [picture.rotate(angle) for angle in (90, 180)]
    films = [_encode(picture, kind, save_all=True, append_images=frames) for kind in ("GIF", "WEBP", "PNG", "TIFF")]
    turned = [_encode(picture, kind, exif=exif.tobytes()) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    return [*films, *turned, _encode(picture, "JPEG", restart_marker_blocks=2), _interlaced_png()]


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes, *chunks: bytes, kind: int = 2, interlaced: int = 0) -> bytes:
    """A PNG that says what it is told to, whatever its pixels are."""
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, its checksum right."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _interlaced_png() -> bytes:
    sizes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]  # of the passes of 8 x 8
    return png(8, 8, b"".join((b"\0" + b"\x80" * 3 * width) * height for width, height in sizes), interlaced=1)


def _many_scans(scans: int, side: int) -> bytes:
    """A small progressive JPEG that asks for a large picture to be gone over many times."""
    data = _encode(Image.new("L", (side, side)), "JPEG", progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def _gif_of_many_frames() -> bytes:
    data = _encode(Image.new("P", (8, 8)), "GIF")
    body = data[data.index(b",") : -1]
    return data[:-1] + body * 20_000 + b";"


def _looped_tiff() -> bytes:
    """A TIFF whose only directory says that it comes after itself."""
    data = bytearray(_encode(Image.new("RGB", (4, 4)), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data)


def _tiff_of_tiles(side: int) -> bytes:
    """A TIFF of so many pixels a side, each a tile of its own."""
    tiles, fields = side * side, 10
    places = 8 + 2 + 12 * fields + 4
    longs = {256: side, 257: side, 322: 1, 323: 1}  # width and height, of the picture and of a tile
    shorts = {258: 8, 259: 1, 262: 1, 277: 1}  # bits, no compression, black is 0, one channel
    entries = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items()}
    entries |= {tag: struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    arrays = {324: places, 325: places + 4 * tiles}  # where each tile lies, and its bytes
    entries |= {tag: struct.pack("<HHII", tag, 4, tiles, place) for tag, place in arrays.items()}
    directory = b"".join(entries[tag] for tag in sorted(entries))
    head = b"II*\0" + struct.pack("<IH", 8, fields) + directory + struct.pack("<I", 0)
    return head + struct.pack("<I", 8) * tiles + struct.pack("<I", 1) * tiles


BOMBS: dict[str, Callable[[], bytes]] = {
    "a PNG that says 2^31 pixels a side": lambda: png(2**31 - 1, 2**31 - 1, b"\0" * 100),
    "a PNG just under the limit, of nothing": lambda: png(11585, 11585, b"\0" * 100),
    "a PNG whose 64 MB of zeros are no picture": lambda: png(4, 4, b"\0" * 2**26),
    "a PNG with text that swells": lambda: png(2, 2, b"\0" * 14, *[_swelling(b"zTXt", b"Comment\0\0")] * 8),
    "a PNG with a profile that swells": lambda: png(2, 2, b"\0" * 14, _swelling(b"iCCP", b"icc\0\0")),
    "a JPEG of many scans": lambda: _many_scans(4000, 1500),
    "a GIF of 20,000 frames": _gif_of_many_frames,
    "a GIF of 65535 x 65535": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;",
    "a TIFF that goes round": _looped_tiff,
    "a TIFF of a tile a pixel": lambda: _tiff_of_tiles(600),
    "a PPM of 10^9 pixels": lambda: b"P6 100000 10000 255\n" + b"\0" * 100,
    "a PPM with endless digits": lambda: b"P6 " + b"9" * 500_000 + b" 1 255\n\0\0\0",
    "a plain PPM of comments": lambda: b"P3 " + b"# x\n" * 200_000,
    "a BMP of a negative height": lambda: _bmp(4, -(2**31)),
    "a BMP as wide as can be": lambda: _bmp(2**31 - 1, 1),
    "a WebP that says 16383 x 16383": lambda: _webp(16383, 16383),
}


def _swelling(kind: bytes, prefix: bytes) -> bytes:
    return chunk(kind, prefix + zlib.compress(b"a" * 2**26, 9))


def _bmp(width: int, height: int) -> bytes:
    data = bytearray(_encode(Image.new("RGB", (4, 4)), "BMP"))
    struct.pack_into("<ii", data, 18, width, height)
    return bytes(data)


def _webp(width: int, height: int) -> bytes:
    data = bytearray(_encode(Image.new("RGB", (4, 4)), "WEBP"))
    struct.pack_into("<HH", data, 26, width, height)
    return bytes(data)


def prepare() -> Check:
    """A check of the case of a number: its file is a picture, or an ImageError says why not."""
    seeds = make_seeds()

    def check(case: int) -> str:
        rng = random.Random(case)
        data = make_case(case, seeds)
        try:
            pixels = _read(data, rng)
        except ImageError as error:
            said = str(error)
            assert said.isprintable()
            assert len(said) < 200
            return error.reason
        assert pixels.dtype == np.uint8
        assert pixels.size > 0
        return "picture"

    return check


def _read(data: bytes, rng: random.Random) -> Pixels:
    """As a content, or now and then as a mask."""
    if rng.random() < 0.1:
        return decode_levels(data, indices=rng.random() < 0.5)
    picture = read_picture(data, rng.choice(SETTINGS))
    assert picture.pixels_HWC.shape[2] == 3
    assert min(picture.source_width, picture.source_height) > 0
    return picture.pixels_HWC


def make_case(case: int, seeds: list[bytes]) -> bytes:
    """The file of a case; the same number is always the same file."""
    rng = random.Random(f"picture {case}")
    if rng.random() < BOMB_SHARE:
        bomb = BOMBS[rng.choice(list(BOMBS))]()
        return bomb if rng.random() < 0.3 else mutate([bomb], rng)
    return mutate(seeds, rng)
