"""Where pixels go: the placement of a picture against what its decoder really does."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tasks.images.decoding import read_picture
from tasks.images.placement import place, place_labels
from tasks.images.settings import ImageSettings
from tasks.records import ImageError

FITS = [
    ImageSettings(size="keep"),
    ImageSettings(size=64),
    ImageSettings(size=64, fit="crop"),
    ImageSettings(size=64, fit="pad"),
    ImageSettings(size=500, fit="pad"),
]


def png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("images", FITS, ids=lambda one: f"{one.size}-{one.fit}")
@pytest.mark.parametrize("size", [(200, 120), (90, 160), (33, 33)])
def test_a_bright_square_is_where_the_placement_says(images: ImageSettings, size: tuple[int, int]) -> None:
    width, height = size
    # Near the middle, so that no crop cuts it off; as large as a third of the short side.
    side = min(size) // 3
    left, top = (width - side) // 2, (height - side) // 2
    source = np.zeros((height, width, 3), np.uint8)
    source[top : top + side, left : left + side] = 255
    picture = read_picture(png(Image.fromarray(source)), images)
    where = place(width, height, images)
    assert picture.pixels_HWC.shape[:2] == (where.height, where.width)
    bright = picture.pixels_HWC[..., 0] > 127
    # A padded picture's surroundings mirror it.
    bright[: max(0, int(where.offset_y))] = bright[where.height - max(0, int(where.offset_y)) :] = False
    bright[:, : max(0, int(where.offset_x))] = bright[:, where.width - max(0, int(where.offset_x)) :] = False
    rows, columns = np.nonzero(bright)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    expected = (
        left * where.scale_x + where.offset_x,
        top * where.scale_y + where.offset_y,
        (left + side) * where.scale_x + where.offset_x,
        (top + side) * where.scale_y + where.offset_y,
    )
    assert np.abs(np.subtract(found, expected)).max() <= 1  # a pixel is on or off


@pytest.mark.parametrize("images", FITS, ids=lambda one: f"{one.size}-{one.fit}")
@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16"])
def test_a_label_map_goes_where_its_picture_goes_and_mixes_no_labels(images: ImageSettings, mode: str) -> None:
    labels = np.zeros((120, 200), np.uint8)
    labels[40:90, 60:150] = 7
    labels[90:110, 20:60] = 3
    as_picture = Image.fromarray(np.repeat((labels == 7)[..., None] * np.uint8(255), 3, axis=2))
    if mode == "P":
        given = Image.fromarray(labels).convert("P")
        given.putpalette([value for number in range(256) for value in (number, 255 - number, 0)])
        given = Image.fromarray(labels, "L")
        given.putpalette([value for number in range(256) for value in (number, 255 - number, 0)])
    elif mode == "1":
        given = Image.fromarray(labels == 7)
    else:
        given = Image.fromarray(labels.astype(np.uint16) * 300 if mode == "I;16" else labels)
    moved = np.asarray(Image.open(BytesIO(place_labels(png(given), (200, 120), images))))
    picture = read_picture(png(as_picture), images).pixels_HWC[..., 0]
    assert moved.shape == picture.shape
    allowed = {"1": {0, 1}, "I;16": {0, 900, 2100}}.get(mode, {0, 3, 7})
    assert {int(value) for value in np.unique(moved)} <= allowed
    seven = moved == {"1": 1, "I;16": 2100}.get(mode, 7)
    # Along the edges of the object nearest and antialiased differ by at most a pixel.
    assert (seven != (picture > 127)).mean() < 0.06


def test_what_is_not_moved_is_not_touched() -> None:
    data = png(Image.new("L", (20, 10), 3))
    assert place_labels(data, (20, 10), ImageSettings(size=64)) is data
    assert place(20, 10, ImageSettings(size=64)).is_identity


def test_a_label_map_of_another_size_or_none_is_told() -> None:
    with pytest.raises(ImageError, match="a mask is 20x10, its picture 40x20 pixels"):
        place_labels(png(Image.new("L", (20, 10))), (40, 20), ImageSettings(size=16))
    with pytest.raises(ImageError, match="no usable picture"):
        place_labels(b"words", (40, 20), ImageSettings(size=16))
