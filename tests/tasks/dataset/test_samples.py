"""Names of exported samples are safe wherever they land, and tell apart whatever the records are."""

from __future__ import annotations

import json
import math
import posixpath
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.dataset.archives import ArchiveExporter
from tasks.dataset.compact import CompactExporter
from tasks.dataset.export import ExportRequest, export
from tasks.dataset.ledger import Ledger
from tasks.dataset.samples import plain_values, sample_key, tree_path
from tasks.dataset.trees import TreeExporter
from tasks.storage import Folder

HOSTILE = [
    "../../etc/passwd.jpg",
    "/etc/passwd.jpg",
    "a/../b.jpg",
    "a//b.jpg",
    "a/./b.jpg",
    ".hidden/b.jpg",
    "a/.jpg",
    "a\\b.jpg",
    "a\0b.jpg",
    "a\nb.jpg",
    "a b .jpg",
    "con:.jpg",
    "$(rm -rf x).jpg",
    "x" * 300 + ".jpg",
    "ä" * 200 + ".jpg",
    "table.parquet#12",
    "photo.png",
    "photo.jpeg",
    "photo",
    "a.jpg/b.jpg",
    "metadata.jsonl",
    "..",
    "",
]


def pair(content_id: str, style: str = "wave", version: str = "v1") -> dict[str, Any]:
    return {"content_id": content_id, "content_version": version, "style": style, "style_digest": f"digest of {style}"}


@pytest.mark.parametrize("content_id", HOSTILE)
@pytest.mark.parametrize("style", ["wave", "../../wave", "a/b", "..", "", "metadata.jsonl", "\x1b[31m"])
def test_a_name_stays_below_the_folder_and_fits_on_any_disk(content_id: str, style: str) -> None:
    path = tree_path(pair(content_id, style), ".jpg")
    assert posixpath.normpath(path) == path
    parts = path.split("/")
    assert len(parts) > 1
    assert path.endswith(".jpg")
    assert parts[0] != "metadata.jsonl"
    for part in parts:
        assert part
        assert not part.startswith(".")
        assert len(part.encode()) <= 255
        assert not set(part) & set('\\:*?"<>|\0\n\r\t\x1b')
    assert not any(part.endswith(".jpg") for part in parts[:-1])
    key = sample_key(pair(content_id, style))
    assert key.isascii()
    assert key.replace("-", "").replace("_", "").isalnum()
    assert len(key) < 150


def test_a_plain_name_is_kept_as_it_is() -> None:
    assert tree_path(pair("animals/cats/tom 1.jpg"), ".jpg") == "wave/animals/cats/tom 1.jpg"
    assert tree_path(pair("Müller.jpg", "nuit étoilée"), ".jpg") == "nuit étoilée/Müller.jpg"


def test_whatever_differs_has_another_name() -> None:
    rows = [pair(content_id, style) for content_id in HOSTILE for style in ("wave", "wave/", "wave_")]
    rows += [pair("photo.jpg"), pair("photo.JPG"), pair("photo.bmp")]
    assert len({tree_path(row, ".jpg") for row in rows}) == len(rows)
    assert len({sample_key(row) for row in rows}) == len(rows)
    versions = [pair("photo.jpg", version=version) for version in ("v1", "v2")]
    assert len({tree_path(row, ".jpg", several_versions=True) for row in versions}) == 2
    assert len({sample_key(row) for row in versions}) == 2


def test_values_are_such_as_json_has() -> None:
    row = {"image": {"bytes": b"1"}, "score": math.nan, "mask": b"\xff", "boxes": [{"x": math.inf}], "n": 1, "ok": True}
    plain = plain_values(row)
    assert plain == {"score": None, "mask": "/w==", "boxes": [{"x": None}], "n": 1, "ok": True}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_hugging_face_reads_every_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    shutil.copytree(Path(__file__).parent / "version1", tmp_path / "out")
    ledger = Ledger(Folder(str(tmp_path / "out")))
    exporters = {"parquet": CompactExporter, "webdataset": ArchiveExporter, "imagefolder": TreeExporter}
    for layout, exporter in exporters.items():
        target = Folder(str(tmp_path / layout))
        request = ExportRequest(format=layout, object_bytes=10**9)  # type: ignore[arg-type]
        assert export(ledger, target, request, exporter(ledger, target, request)).records == 8
    where = {
        "parquet": {"data_files": f"{tmp_path}/parquet/data/*.parquet"},
        "webdataset": {"data_files": f"{tmp_path}/webdataset/*.tar"},
        "imagefolder": {"data_dir": str(tmp_path / "imagefolder")},
    }
    pairs = {(f"p{number}.png", style) for number in range(4) for style in ("ink", "wave")}
    for layout, place in where.items():
        rows = list(datasets.load_dataset(layout, split="train", cache_dir=str(tmp_path / "cache"), **place))
        told = [row["json"] if layout == "webdataset" else row for row in rows]
        assert {(one["content_id"], one["style"]) for one in told} == pairs
        images = [row["png" if layout == "webdataset" else "image"] for row in rows]
        assert {image.size for image in images} == {(24, 16)}
        assert len(rows) == 8
