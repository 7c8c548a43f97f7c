"""Every kind of picture that a corpus may hold becomes upright 8-bit RGB, or a stable ImageError."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tasks.images.decoding import MAX_PIXELS, decode, read_picture
from tasks.images.settings import ImageSettings
from tasks.records import ImageError
from tests.fuzz.pictures import BOMBS

# pytest undoes the filters that the module sets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def photograph(width: int = 60, height: int = 40) -> Image.Image:
    """Four flat quarters (red, green, blue, white), so that every orientation differs."""
    image = Image.new("RGB", (width, height), "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert "0x" not in str(caught.value)
    assert "/tmp" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF"])
def test_lossless_formats_give_the_exact_pixels(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (decode(encoded(photograph(), kind, **options)) == np.asarray(photograph())).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("size", ["keep", 20])
def test_every_orientation_is_turned_upright(kind: str, orientation: int, size: Any) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that a camera would have recorded
    turned = photograph() if orientation == 1 else photograph().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_picture(encoded(turned, kind, exif=exif, **options), ImageSettings(size=size))
    assert (picture.source_width, picture.source_height) == (60, 40)
    height, width = picture.pixels_HWC.shape[:2]
    assert (width, height) == ((60, 40) if size == "keep" else (20, 13))
    corners = picture.pixels_HWC[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)
    assert np.abs(corners - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() < 12


def test_damaged_exif_does_not_spoil_a_good_picture() -> None:
    data = encoded(photograph(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data).shape == (40, 60, 3)


def test_alpha_is_composited_on_white() -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    image.putpixel((2, 0), (0, 0, 0, 128))
    assert decode(encoded(image, "PNG"))[0].tolist() == [[255, 255, 255], [255, 0, 0], [127, 127, 127]]


def test_transparent_greys_and_palettes_are_composited_too() -> None:
    assert decode(encoded(Image.new("LA", (2, 2), (10, 0)), "PNG")).min() == 255
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([200, 10, 10, 10, 200, 10])
    palette.putpixel((1, 1), 1)
    assert decode(encoded(palette, "PNG"))[0, 0].tolist() == [200, 10, 10]
    pixels = decode(encoded(palette, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [10, 200, 10]
    keyed = decode(encoded(photograph(), "PNG", transparency=(255, 0, 0)))
    assert keyed[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_greys_and_bits_become_rgb(mode: str) -> None:
    pixels = decode(encoded(Image.new(mode, (5, 4), 255), "PNG"))
    assert pixels.shape == (4, 5, 3)
    assert (pixels == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    assert decode(encoded(Image.fromarray(values), kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_colour_keeps_its_range() -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32768, 65535, 65535, 256, 0) for _ in range(2))
    pixels = decode(_png(2, 2, bits=16, colour=2, rows=zlib.compress(rows)))
    assert np.abs(pixels[0].astype(int) - [[0, 128, 255], [255, 1, 0]]).max() <= 1


def test_grey_without_an_agreed_white_is_refused() -> None:
    assert reason(encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")) == "unsupported_format"
    assert reason(encoded(Image.fromarray(np.full((2, 2), 70000, np.int32)), "TIFF")) == "unsupported_format"


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    pixels = decode(encoded(photograph().convert("CMYK"), kind)).astype(int)
    assert np.abs(pixels[5, 5] - [255, 0, 0]).max() < 12
    assert np.abs(pixels[-5, -5] - 255).max() < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "white")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode(data) == [255, 0, 0]).all()


def test_one_pixel_is_a_picture() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), "red"), "PNG")).tolist() == [[[255, 0, 0]]]


def test_what_is_no_picture_has_its_reason() -> None:
    assert reason(b"") == "empty_file"
    assert reason(b"hello, I am text") == "not_an_image"
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n") == "unsupported_format"
    assert reason(encoded(photograph(), "EPS")) == "unsupported_format"
    assert reason(encoded(photograph(), "ICO")) == "unsupported_format"
    assert reason(b"\x89PNG\r\n\x1a\n junk") == "corrupt"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_cut_file_is_truncated_or_corrupt(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert reason(data[: len(data) // 2]) in ("truncated", "corrupt")
    if kind in ("JPEG", "PNG", "BMP", "PPM"):
        assert reason(data[: len(data) // 2]) == "truncated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_flipped_bytes_give_a_picture_or_an_image_error(kind: str) -> None:
    rng = np.random.default_rng(1)
    data = np.frombuffer(encoded(photograph(), kind), np.uint8)
    survived = 0
    for _ in range(150):
        damaged = data.copy()
        places = rng.integers(0, min(len(data), 400), 3)
        damaged[places] = rng.integers(0, 256, 3)
        with suppress(ImageError):
            survived += read_picture(damaged.tobytes(), ImageSettings(size=32)).pixels_HWC.shape[2] == 3
    assert survived < 150


def test_a_bomb_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    assert reason(_png(side, side, rows=b"")) == "too_large"
    assert reason(_png(65535, 65535, rows=b"")) == "too_large"


def test_a_bomb_in_a_text_chunk_is_refused() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 90_000_000, zip=True)
    assert reason(encoded(photograph(), "PNG", pnginfo=text)) == "corrupt"


@pytest.mark.parametrize("bomb", ["a JPEG of many scans", "a TIFF of a tile a pixel"])
def test_what_a_small_file_makes_long_is_refused(bomb: str) -> None:
    assert reason(BOMBS[bomb]()) == "too_large"


def test_a_progressive_jpeg_and_a_tiff_of_many_strips_are_no_bombs() -> None:
    image = Image.new("RGB", (40, 3000))
    assert decode(encoded(image, "JPEG", progressive=True)).shape == (3000, 40, 3)
    assert decode(encoded(image, "TIFF", tiffinfo={278: 1})).shape == (3000, 40, 3)  # a row a strip


def test_a_picture_is_scaled_and_never_enlarged() -> None:
    data = encoded(photograph(600, 400), "JPEG", quality=95)
    assert read_picture(data, ImageSettings(size=300)).pixels_HWC.shape == (200, 300, 3)
    assert read_picture(data, ImageSettings(size=5000)).pixels_HWC.shape == (400, 600, 3)
    assert read_picture(encoded(photograph(3000, 40), "PNG"), ImageSettings()).pixels_HWC.shape == (7, 512, 3)


def test_the_fast_decode_of_a_large_jpeg_stays_close_to_the_full_one() -> None:
    across, down = np.meshgrid(np.linspace(0, 9, 1600), np.linspace(0, 7, 1200))
    waves = np.stack([np.sin(across * 3), np.cos(down * 5), np.sin(across * down)], axis=-1)
    image = Image.fromarray(((waves + 1) * 127).astype(np.uint8))
    data = encoded(image, "JPEG", quality=95)
    fast = read_picture(data, ImageSettings(size=200))
    slow = Image.open(BytesIO(data)).resize((200, 150), Image.Resampling.LANCZOS)
    assert (fast.source_width, fast.source_height) == (1600, 1200)
    assert np.abs(fast.pixels_HWC.astype(int) - np.asarray(slow)).mean() < 1


def test_crop_cuts_the_centre_square() -> None:
    image = Image.new("RGB", (90, 30), "red")
    image.paste("blue", (30, 0, 60, 30))
    pixels = read_picture(encoded(image, "PNG"), ImageSettings(size=64, fit="crop")).pixels_HWC
    assert pixels.shape == (30, 30, 3)
    assert (pixels == [0, 0, 255]).all()
    assert read_picture(encoded(image, "PNG"), ImageSettings(size=16, fit="crop")).pixels_HWC.shape == (16, 16, 3)


def test_pad_mirrors_to_a_square() -> None:
    ramp = np.arange(64, dtype=np.uint8)[None, :, None].repeat(3, 2).repeat(20, 0)
    pixels = read_picture(
        encoded(Image.fromarray(ramp.transpose(1, 0, 2).copy()), "PNG"), ImageSettings(size=64, fit="pad")
    )
    square = pixels.pixels_HWC
    assert square.shape == (64, 64, 3)
    assert (square[:, 22:42] == ramp.transpose(1, 0, 2)).all()
    assert (square[:, :22] == square[:, 22:23]).all()


def _png(width: int, height: int, bits: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
