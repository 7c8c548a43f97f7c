"""Every codec gives a file that reads back as the picture, the same bytes every time."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tasks.images.decoding import decode
from tasks.images.encoding import encode, suffix
from tasks.images.settings import ImageSettings

GRADIENT = np.stack([*np.meshgrid(np.arange(0, 250, 2), np.arange(0, 200, 2)), np.full((100, 125), 90)], -1)
PIXELS = GRADIENT.astype(np.uint8)


@pytest.mark.parametrize(("codec", "ending"), [("jpeg", ".jpg"), ("png", ".png"), ("webp", ".webp")])
def test_a_picture_reads_back(codec: str, ending: str) -> None:
    settings = ImageSettings.model_validate({"codec": codec})
    data = encode(PIXELS, settings)
    assert encode(PIXELS, settings) == data
    assert suffix(settings) == ending
    assert Image.open(BytesIO(data)).format == codec.upper()
    assert np.abs(decode(data).astype(int) - PIXELS).mean() < 2
    if codec == "png":
        assert (decode(data) == PIXELS).all()


def test_colour_keeps_its_full_size_at_high_quality() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = [255, 0, 0]
    stripes[:, 1::2] = [0, 0, 255]
    error = {
        q: np.abs(decode(encode(stripes, ImageSettings(quality=q))).astype(int) - stripes).mean() for q in (89, 92)
    }
    assert error[92] < 8 < error[89]


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="give `size` as a number of pixels"):
        ImageSettings(size="keep", fit="crop")
    for wrong in ({"size": 8}, {"size": 9000}, {"quality": 0}, {"codec": "gif"}, {"sizes": 512}):
        with pytest.raises(ValidationError):
            ImageSettings.model_validate(wrong)
    assert all("description" in field for field in ImageSettings.model_json_schema()["properties"].values())
