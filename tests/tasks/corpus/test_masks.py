"""The masks of contents: found by name, and where no file can have a name, there is none."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.corpus.masks import ReadMask, open_masks
from tasks.corpus.settings import CorpusSettings
from tasks.records import ImageError
from tasks.regions.settings import RegionSettings
from tests.tasks.corpus.conftest import picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(picture())
    return tmp_path / "photos"


def open_those(photos: Path, masks: str = "beside") -> ReadMask:
    return open_masks(RegionSettings(masks=masks), open_corpus(CorpusSettings(uri=str(photos))))


def read(masks: ReadMask, content_id: str) -> bytes:
    return masks(Entry(content_id, f"/{content_id}", "v", b""))


def missing(masks: ReadMask, content_id: str) -> bool:
    with pytest.raises(ImageError, match="there is no mask") as caught:
        read(masks, content_id)
    return caught.value.reason == "mask_missing"


@pytest.mark.parametrize("name", ["a.mask.png", "a.mask.PNG", "a.mask.webp", "a.mask.JPEG"])
def test_a_mask_is_found_by_any_suffix_of_a_picture(photos: Path, name: str) -> None:
    (photos / name).write_bytes(picture(7))
    assert read(open_those(photos), "a.jpg") == picture(7)
    assert [piece.path for piece in open_corpus(CorpusSettings(uri=str(photos))).pieces({})] == ["a.jpg"]


def test_a_row_of_a_table_has_its_mask_in_a_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/t.parquet#12.png").write_bytes(picture(7))
    masks = open_those(photos, str(tmp_path / "masks"))
    assert read(masks, "t.parquet#12") == picture(7)
    assert missing(masks, "t.parquet#1")


def test_a_name_that_no_file_can_have_is_no_mask(photos: Path, tmp_path: Path) -> None:
    beside = open_those(photos)
    (photos / "a.mask.png").mkdir()
    assert missing(beside, "a.jpg")
    assert missing(beside, f"{'b' * 250}.jpg")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/deep").write_bytes(b"no folder")
    (tmp_path / "masks/c.png").symlink_to(tmp_path / "masks/c.png")
    folder = open_those(photos, str(tmp_path / "masks"))
    assert missing(folder, "deep/a.jpg")
    assert missing(folder, "c.jpg")


def test_a_folder_in_the_place_of_a_mask_is_none_on_any_store(
    photos: Path, memory: fsspec.AbstractFileSystem, s3: str
) -> None:
    memory.pipe({"/masks/a.png/x": b"", "/masks/b.png": picture(7)})
    fsspec.filesystem("s3", use_listings_cache=False).pipe_file(f"{s3}/masks/a.png/x", b"")
    for folder in ("memory://masks", f"{s3}/masks"):
        assert missing(open_those(photos, folder), "a.jpg")
    assert read(open_those(photos, "memory://masks"), "b.jpg") == picture(7)
