"""What exports hold: samples of tars, trees of pictures, and the records that were chosen."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tasks.records import RequestError
from tasks.storage import Folder
from tests.tasks.dataset.exporting import (
    rows_of,
    run,
)


def samples_of(folder: Folder) -> dict[str, dict[str, bytes]]:
    """What each sample of all tars has, by its key and then by ending; no name comes twice."""
    found: dict[str, dict[str, bytes]] = {}
    for name in folder.list(""):
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(folder.read(name))) as tar:
                for member in tar:
                    key, _, ending = member.name.partition(".")
                    assert ending not in found.setdefault(key, {})
                    file = tar.extractfile(member)
                    assert file is not None
                    found[key][ending] = file.read()
    return found


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_tars_hold_a_picture_its_record_and_its_class(
    busy: Folder, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    target = Folder(str(tmp_path / "new") if place == "disk" else f"{request.getfixturevalue('s3')}/new")
    run(busy, target, "webdataset", size=60_000, label=None)
    samples = samples_of(target)
    rows = {(row["content_id"], row["style"]): row for row in rows_of(busy)}
    assert len(samples) == len(rows)
    assert sum(name.endswith(".tar") for name in target.list("")) > 2
    for key, sample in samples.items():
        assert key.isascii()
        told = json.loads(sample["json"])
        row = rows[told["content_id"], told["style"]]
        assert sample["jpg"] == row["image"]["bytes"]
        assert told["seed"] == row["seed"]
        assert "image" not in told
        assert sample.get("cls") == (None if row.get("kind") is None else str(row["kind"]).encode())
    assert sum("cls" in sample for sample in samples.values()) == 10


def test_a_label_that_no_corpus_has_is_refused(busy: Folder, tmp_path: Path) -> None:
    for name in ("split", "width", "colour"):
        with pytest.raises(RequestError, match=f"'{name}' is no column of class numbers; of whole numbers are: kind"):
            run(busy, Folder(str(tmp_path / name)), "webdataset", label=name)


def test_records_are_chosen_by_what_columns_hold(busy: Folder, tmp_path: Path) -> None:
    target = Folder(str(tmp_path / "new"))
    done = run(busy, target, "webdataset", where=("content_id >= 010.jpg", "content_id < '012.jpg'", "style != ink"))
    names = {
        (json.loads(one["json"])["content_id"], json.loads(one["json"])["style"]) for one in samples_of(target).values()
    }
    assert names == {(f"01{n}.jpg", style) for n in range(2) for style in ("wave", "mosaic")}
    assert done.records == 4


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("colour = red", "no column 'colour'"),
        ("clip_text > high", "is float, and 'high' is no such value"),
        ("clip_text", "is no condition"),
        ("image = 1", "no column 'image'"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(dataset: Folder, tmp_path: Path, where: str, message: str) -> None:
    target = Folder(str(tmp_path / "new"))
    with pytest.raises(RequestError, match=message):
        run(dataset, target, "webdataset", where=(where,))
    assert target.list("") == {}


def test_a_condition_on_a_dataset_is_refused_for_it_owns_whole_pairs(dataset: Folder, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="A dataset holds every pair"):
        run(dataset, Folder(str(tmp_path / "new")), "parquet", where=("clip_text > 0.2",))


def test_a_tree_has_a_folder_a_style_and_lines_that_name_its_files(busy: Folder, tmp_path: Path) -> None:
    target = Folder(str(tmp_path / "new"))
    done = run(busy, target, "imagefolder", size=60_000)
    lines = [json.loads(line) for line in target.read("metadata.jsonl").splitlines()]
    rows = {(row["content_id"], row["style"]): row for row in rows_of(busy)}
    assert done.records == len(lines) == len(rows)
    for line in lines:
        row = rows[line["content_id"], line["style"]]
        assert target.read(line["file_name"]) == row["image"]["bytes"]
        assert line["file_name"].startswith(f"{row['style']}/")
        assert line.get("mask") in (None, "/wA=")
    names = {line["file_name"] for line in lines}
    assert "wave/000.jpg" in names
    kept = {n for n in target.list("") if not n.startswith(".atelier-export/")}
    assert kept == names | {"metadata.jsonl"}
    assert not [name for name in target.list(".atelier-export") if name.endswith(".jsonl")]
