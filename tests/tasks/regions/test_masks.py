"""Masks that contents bring: levels, labels, and the content's own size and shape."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from tasks.images.decoding import Picture, read_picture
from tasks.images.settings import ImageSettings
from tasks.records import ImageError
from tasks.regions.masks import read_map, to_masks
from tasks.regions.settings import RegionSettings

GREY = RegionSettings(masks="beside")
KEEP = ImageSettings(size="keep")


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def picture(width: int, height: int, images: ImageSettings = KEEP) -> Picture:
    return read_picture(encoded(Image.new("RGB", (width, height))), images)


def test_white_is_the_first_of_two_and_grey_a_mixture() -> None:
    masks = to_masks(torch.tensor([[255, 0, 51]], dtype=torch.uint8), GREY, 2)
    assert_close(masks[:, 0].T, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]]))


def test_levels_of_several_references_go_from_white_to_black_in_equal_steps() -> None:
    masks = to_masks(torch.tensor([[255, 170, 85, 0, 212]], dtype=torch.uint8), GREY, 4)
    assert_close(masks[:, 0, :4], torch.eye(4))
    assert_close(masks.sum(0), torch.ones(1, 5))
    assert masks[:2, 0, 4].min() > 0.4


def test_labels_name_references_and_the_last_takes_the_rest() -> None:
    layout = RegionSettings(column="mask", labels=(15, 8))
    masks = to_masks(torch.tensor([[15, 8, 0, 16, 255]], dtype=torch.uint8), layout, 3)
    assert masks.argmax(0).tolist() == [[0, 1, 2, 2, 2]]
    every = RegionSettings(column="mask", labels=(15, 8, 0))
    assert to_masks(torch.tensor([[15, 8, 0, 16]], dtype=torch.uint8), every, 3).argmax(0).tolist() == [[0, 1, 2, 2]]


def test_labels_of_a_palette_are_its_numbers_and_are_never_mixed() -> None:
    image = Image.fromarray(np.repeat(np.array([[1, 15]], np.uint8), 3, 0), "P")
    image.putpalette([value for number in range(256) for value in (255 - number, number, 7)])
    labelled = read_map(encoded(image), RegionSettings(masks="beside", labels=(15,)), picture(40, 60), KEEP)
    assert labelled.shape == (60, 40)
    assert set(np.unique(labelled)) == {1, 15}
    assert labelled[0, 0] == 1


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_labels_of_many_bits_stay_numbers(kind: type) -> None:
    levels = np.array([[15, 8], [0, 255]], kind)
    layout = RegionSettings(masks="beside", labels=(15, 8))
    small, large = (encoded(Image.fromarray(values), "TIFF") for values in (levels, levels * 257))
    assert read_map(small, layout, picture(2, 2), KEEP).tolist() == levels.tolist()
    with pytest.raises(ImageError, match="outside 0 to 255") as caught:
        read_map(large, layout, picture(2, 2), KEEP)
    assert caught.value.reason == "mask_large_labels"


def test_a_mask_of_sixteen_bits_without_labels_is_grey() -> None:
    levels = encoded(Image.fromarray(np.array([[65535, 32768, 0]], np.uint16)))
    assert read_map(levels, GREY, picture(3, 1), KEEP).tolist() == [[255, 128, 0]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_not_here(mode: str) -> None:
    """A cut-out is white where it shows, or of any colour that counts, and black where it does not."""
    cut = Image.new("LA", (2, 1), (255, 0))
    cut.putpixel((0, 0), (255, 255))
    if mode == "P":
        cut = Image.new("P", (2, 1), 1)
        cut.putpalette([255, 255, 255, 200, 200, 200])
        cut.putpixel((0, 0), 0)
        cut.info["transparency"] = 1
    image = cut.convert("RGBA") if mode == "RGBA" else cut
    assert read_map(encoded(image), GREY, picture(2, 1), KEEP).tolist() == [[255, 0]]


@pytest.mark.parametrize("fit", ["keep", "crop", "pad"])
def test_a_mask_follows_its_content(fit: str) -> None:
    """A content whose left half is white, and that half as its mask, stay together through every shape."""
    images = ImageSettings(size=32, fit=fit)  # type: ignore[arg-type]
    pixels = np.zeros((60, 96, 3), np.uint8)
    pixels[:, :48] = 255
    content = read_picture(encoded(Image.fromarray(pixels)), images)
    mask = np.zeros((30, 48), np.uint8)  # at half the size
    mask[:, :24] = 255
    levels = read_map(encoded(Image.fromarray(mask)), GREY, content, images)
    assert levels.shape == content.pixels_HWC.shape[:2]
    assert np.abs(levels.astype(int) - content.pixels_HWC[..., 0]).mean() < 8


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "mask_empty_file"), (b"words", "mask_not_an_image"), (b"\x89PNG\r\n", "mask_corrupt")]
)
def test_what_is_no_mask_says_so(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match="the mask cannot be used") as caught:
        read_map(data, GREY, picture(8, 8), KEEP)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("mask", "source", "fits"),
    [
        ((640, 480), (640, 480), True),
        ((480, 640), (640, 480), False),  # the pixels of a photograph as they are stored
        ((160, 120), (640, 480), True),
        ((1, 1), (640, 480), True),
        ((7, 5), (640, 480), True),  # 6.7 and 5
        ((64, 64), (640, 480), False),
        ((646, 480), (640, 480), True),
        ((640, 520), (640, 480), False),
        ((3, 300), (40, 3000), True),
        ((300, 4), (3000, 40), True),
        ((300, 40), (3000, 40), False),
    ],
)
def test_a_mask_has_its_picture_s_proportions(mask: tuple[int, int], source: tuple[int, int], fits: bool) -> None:
    data = encoded(Image.new("L", mask, 255))
    if fits:
        assert read_map(data, GREY, picture(*source), KEEP).shape == source[::-1]
        return
    with pytest.raises(ImageError, match=rf"the mask is {mask[0]} x {mask[1]}, .* {source[0]} x {source[1]}") as caught:
        read_map(data, GREY, picture(*source), KEEP)
    assert caught.value.reason == "mask_shape"


def test_a_mask_turns_upright_as_its_content_does() -> None:
    image = Image.fromarray(np.array([[255, 0]], np.uint8).repeat(20, 0).repeat(10, 1))
    exif = image.getexif()
    exif[0x0112] = 6
    file = BytesIO()
    image.save(file, "PNG", exif=exif)
    assert image.size == (20, 20)
    levels = read_map(file.getvalue(), GREY, picture(20, 20), KEEP)
    assert (levels[:8] == 255).all()
    assert (levels[-8:] == 0).all()
