"""Training pictures: what is read, what is skipped, and crops that depend on the step alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.records import RequestError
from tasks.training.data import change_colours, draw_crops, load_pictures, step_generator


def test_a_corrupt_picture_in_a_subfolder_is_skipped_and_counted(photos: Path) -> None:
    (photos / "deep").mkdir()
    (photos / "0.png").rename(photos / "deep" / "0.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (photos / "empty.png").write_bytes(b"")
    (photos / "notes.txt").write_text("no picture, and not counted")
    pictures = load_pictures([photos])
    assert pictures.names == ["1.png", "2.png", "3.png", "deep/0.png"]
    assert pictures.skipped == 2


def test_large_pictures_are_kept_smaller_and_tiny_ones_skipped(tmp_path: Path) -> None:
    Image.new("RGB", (900, 300)).save(tmp_path / "large.png")
    Image.new("RGB", (40, 4)).save(tmp_path / "thin.png")
    pictures = load_pictures([tmp_path], longest_side=150)
    assert [image.shape for image in pictures.images] == [(50, 150, 3)]
    assert pictures.skipped == 1


@pytest.mark.parametrize("case", ["missing", "empty", "unreadable"])
def test_a_bad_folder_is_a_request_error_that_names_it(tmp_path: Path, case: str) -> None:
    folder = tmp_path / case
    if case != "missing":
        folder.mkdir()
    if case == "unreadable":
        (folder / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(RequestError, match=case):
        load_pictures([folder])


def test_crops_depend_on_seed_and_step_alone(photos: Path) -> None:
    pictures = load_pictures([photos])

    def draw(seed: int, step: int) -> torch.Tensor:
        return draw_crops(pictures, 3, 32, step_generator(seed, step, 0), recolour=0.5)

    assert torch.equal(draw(7, 5), draw(7, 5))
    assert not torch.equal(draw(7, 5), draw(7, 6))
    assert not torch.equal(draw(7, 5), draw(8, 5))
    assert draw(7, 5).shape == (3, 3, 32, 32)
    assert 0 <= float(draw(7, 5).min()) <= float(draw(7, 5).max()) <= 1


def test_pictures_smaller_than_the_crop_are_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (20, 18), (255, 0, 0)).save(tmp_path / "small.png")
    crops = draw_crops(load_pictures([tmp_path]), 1, 64, step_generator(0, 0, 0))
    assert crops.shape == (1, 3, 64, 64)
    assert float(crops[0, 0].min()) == 1


def test_validation_pictures_are_not_trained_on(photos: Path) -> None:
    training, validation = load_pictures([photos]).split(every=4)
    assert (training.names, validation.names) == (["0.png", "1.png", "2.png"], ["3.png"])


def test_changed_colours_keep_size_and_type() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    changed = change_colours(image, np.random.default_rng(1))
    assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
    assert not np.array_equal(changed, image)
