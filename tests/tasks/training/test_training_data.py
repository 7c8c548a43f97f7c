"""Training pictures: what is read, what is skipped, and crops that depend on the step alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


def write_table(path: Path | str, files: list[bytes], struct: bool, **columns: list[bytes]) -> None:
    """A Parquet file of pictures, as Hugging Face keeps them or as plain bytes."""
    image = [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(files)] if struct else files
    table = pa.table({"label": list(range(len(files))), "image": image, **columns})
    with fsspec.open(str(path), "wb") as file:
        pq.write_table(table, file)


@pytest.fixture
def encoded(photos: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(photos.iterdir())]


@pytest.fixture
def memory() -> Iterator[str]:
    """A folder URI of the filesystem in memory, which is emptied afterwards."""
    yield "memory://pictures"
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("struct", [True, False])
def test_pictures_come_from_parquet_as_from_a_folder(
    photos: Path, encoded: list[bytes], tmp_path: Path, struct: bool
) -> None:
    (tmp_path / "tables").mkdir()
    write_table(tmp_path / "tables" / "a.parquet", [*encoded[:3], b"broken"], struct)
    write_table(tmp_path / "tables" / "b.parquet", encoded[3:], struct)
    from_folder, from_tables = load_pictures([photos]), load_pictures([tmp_path / "tables"])
    assert from_tables.names == ["a.parquet#0", "a.parquet#1", "a.parquet#2", "b.parquet#0"]
    assert from_tables.skipped == 1
    assert all(np.array_equal(*pair) for pair in zip(from_folder.images, from_tables.images, strict=True))


def test_folders_tables_and_uris_are_read_one_after_the_other(photos: Path, encoded: list[bytes], memory: str) -> None:
    write_table(f"{memory}/a.parquet", encoded[:2], struct=True)
    fsspec.filesystem("memory").pipe("/folder/z.png", encoded[3])
    pictures = load_pictures([f"{memory}/a.parquet", photos, "memory://folder"])
    assert pictures.names == ["a.parquet#0", "a.parquet#1", "0.png", "1.png", "2.png", "3.png", "z.png"]
    assert np.array_equal(pictures.images[-1], pictures.images[-2])


def test_pictures_are_ordered_by_the_parts_of_their_paths(photos: Path) -> None:
    (photos / "a").mkdir()
    (photos / "0.png").rename(photos / "a" / "0.png")
    (photos / "1.png").rename(photos / "a-1.png")
    assert load_pictures([photos]).names == ["2.png", "3.png", "a/0.png", "a-1.png"]


def test_a_column_is_named_where_several_hold_pictures(encoded: list[bytes], tmp_path: Path) -> None:
    table = tmp_path / "a.parquet"
    write_table(table, encoded[:1], struct=False, mask=encoded[1:2])
    with pytest.raises(RequestError, match="set `image` to one of image, mask"):
        load_pictures([table])
    [chosen], [expected] = load_pictures([table], image="mask").images, load_pictures([tmp_path / "photos"]).images[1:2]
    assert np.array_equal(chosen, expected)


def test_a_file_that_is_no_parquet_is_a_request_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nothing")
    with pytest.raises(RequestError, match="no Parquet file"):
        load_pictures([tmp_path / "a.parquet"])


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
