"""`atelier matrix`: folders, files, Parquet and datasets to a matrix, a heat map and a summary."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipelines.cli import app, main
from tasks.dataset.pictures import open_pictures
from tasks.encoders.clip import open_clip_model
from tasks.storage import Folder
from tests.pipelines.painted_dataset import TEXTS, write_dataset
from tests.tasks.actors.making import damaged_files, write_photographs
from tests.tasks.encoders.small_clip import save_small_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local-dir:{save_small_clip(tmp_path_factory.mktemp('models') / 'small')}"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, two of them in a folder below, and files that are none."""
    folder = write_photographs(tmp_path_factory.mktemp("corpus") / "photos", 4)
    write_photographs(folder / "more", 2, first=4)
    (folder / "notes.txt").write_text("no picture, and no picture's name")
    return folder


def run(*words: object) -> dict[str, Any]:
    """The command in this process, as JSON."""
    result = CliRunner().invoke(app, ["matrix", *map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def read_csv(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the columns, and the numbers of each row by its name."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    return header[2:], {row[0]: np.array(row[2:], float) for row in rows}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    root = tmp_path_factory.mktemp("dataset") / "out"
    write_dataset(root, photos)
    return root


def test_a_folder_of_pictures_gives_every_cosine_where_it_belongs(photos: Path, clip: str, tmp_path: Path) -> None:
    summary = run("--images", photos, "--texts", "ink", "--texts", "gold leaf", "--clip", clip, "--output", tmp_path)
    names, rows = read_csv(tmp_path / "similarity.csv")
    assert names == ["more/p04.jpg", "more/p05.jpg", "p00.jpg", "p01.jpg", "p02.jpg", "p03.jpg"]
    encoder = open_clip_model(clip)
    images_ND = encoder.embed_images([np.array(Image.open(photos / name)) for name in names])
    expected = (encoder.embed_texts(["ink", "gold leaf"]) @ images_ND.T).numpy()
    np.testing.assert_allclose([rows["ink"], rows["gold leaf"]], expected, atol=2e-6)
    assert Image.open(tmp_path / "heatmap.png").width > 1000
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(summary["files"])
    assert (summary["images"], summary["listed"], summary["skipped"], summary["intended"]) == (6, 6, [], None)
    assert summary["temperature"] == pytest.approx(0.07, rel=1e-4)


def test_a_dataset_knows_its_texts_and_what_each_image_was_meant_to_be(
    dataset: Path, clip: str, tmp_path: Path
) -> None:
    summary = run("--images", dataset, "--clip", clip, "--output", tmp_path, "--top", 1)
    assert {text["name"]: text["text"] for text in summary["texts"]} == TEXTS
    names, rows = read_csv(tmp_path / "similarity.csv")
    assert len(names) == len(set(names)) == 18
    intended = summary["intended"]
    assert (intended["images"], intended["without"], intended["chance"]) == (12, 6, 0.5)
    ranks = {}
    with open(tmp_path / "images.csv", newline="") as file:
        for row in csv.DictReader(file):
            ranks[row["image"]] = row["intended_rank"]
            assert row["image"].startswith(f"{row['style']}/")
    for column, name in enumerate(names):
        style = name.split("/")[0]
        other = {"ink": "gold", "gold": "ink", "plain": None}[style]
        expected = "" if other is None else str(1 + int(rows[other][column] > rows[style][column]))
        assert ranks[name] == expected
    assert intended["first"] == sum(rank == "1" for rank in ranks.values()) / 12


def test_a_mapping_of_texts_takes_the_place_of_the_styles_own(dataset: Path, clip: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts.yaml"
    texts.write_text("plain: a photograph\ngold: yellow\nsea: waves\n")
    summary = run("--images", dataset, "--texts", texts, "--clip", clip, "--output", tmp_path / "out")
    assert [text["name"] for text in summary["texts"]] == ["plain", "gold", "sea"]
    assert {style["style"]: style["images"] for style in summary["intended"]["styles"]} == {"plain": 6, "gold": 6}


def test_a_damaged_picture_is_skipped_and_named(photos: Path, clip: str, tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photos", 2)
    for name, (data, _) in damaged_files().items():
        (folder / name).write_bytes(data)
    summary = run("--images", folder, "--texts", "ink", "--clip", clip, "--output", tmp_path / "out")
    reasons = {one["image"]: one["reason"] for one in summary["skipped"]}
    assert reasons == {name: reason for name, (_, reason) in damaged_files().items()}
    assert (summary["images"], summary["listed"]) == (2, 7)
    assert read_csv(tmp_path / "out" / "similarity.csv")[0] == ["p00.jpg", "p01.jpg"]


def test_one_picture_and_one_text_are_enough(photos: Path, clip: str, tmp_path: Path) -> None:
    summary = run("--images", photos / "p01.jpg", "--texts", "ink", "--clip", clip, "--output", tmp_path)
    assert read_csv(tmp_path / "probability.csv")[1]["ink"] == pytest.approx([1])
    assert summary["leads"] == {"p05": None, "median": None, "p95": None}


def test_the_texts_of_one_picture_are_coloured_among_themselves(
    photos: Path, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.matrix

    shown = []
    draw = pipelines.matrix.draw_heatmap
    monkeypatch.setattr(pipelines.matrix, "draw_heatmap", lambda heatmap: shown.append(heatmap) or draw(heatmap))
    texts = [word for text in ("ink", "gold", "a green hill") for word in ("--texts", text)]
    run("--images", photos / "p01.jpg", *texts, "--clip", clip, "--output", tmp_path)
    (heatmap,) = shown
    assert heatmap.columns[0].nearest == int(heatmap.values_TN[:, 0].argmax())
    assert heatmap.shades_TN[:, 0].argsort().tolist() == heatmap.values_TN[:, 0].argsort().tolist()
    assert heatmap.shades_TN.std() == pytest.approx(1, abs=1e-3)


def test_parquet_in_and_parquet_out(photos: Path, clip: str, tmp_path: Path) -> None:
    pictures = [(photos / f"p0{n}.jpg").read_bytes() for n in range(4)]
    (tmp_path / "corpus").mkdir()
    table = pa.table({"image": pictures, "label": [0, 1, 2, 3]})
    pq.write_table(table, tmp_path / "corpus" / "rows.parquet", row_group_size=2)
    words = ("--texts", "ink", "--texts", "gold", "--clip", clip, "--format", "parquet")
    run("--images", tmp_path / "corpus", "--output", tmp_path / "a", *words)
    run("--images", tmp_path / "corpus" / "rows.parquet", "--output", tmp_path / "b", *words)
    found = [pq.read_table(tmp_path / name / "similarity.parquet") for name in "ab"]
    assert found[0].equals(found[1])
    assert found[0]["image"].to_pylist() == [f"rows.parquet#{n}" for n in range(4)] * 2
    run("--images", photos, "--output", tmp_path / "c", *words[:-2])
    _, rows = read_csv(tmp_path / "c" / "similarity.csv")
    assert found[0]["cosine"].to_pylist()[:4] == pytest.approx(rows["ink"][2:], abs=2e-6)


def test_a_limit_draws_the_same_images_for_the_same_seed_from_any_source(
    photos: Path, dataset: Path, clip: str, tmp_path: Path
) -> None:
    words = ("--texts", "ink", "--clip", clip, "--limit", 3)

    def drawn(source: Path, seed: int, output: str) -> list[str]:
        summary = run("--images", source, *words, "--seed", seed, "--output", tmp_path / output)
        assert (summary["images"], summary["listed"]) == (3, 18 if source == dataset else 6)
        return read_csv(tmp_path / output / "similarity.csv")[0]

    for source in (photos, dataset):
        assert drawn(source, 1, "a") == drawn(source, 1, "b")
        assert len({tuple(drawn(source, seed, "c")) for seed in range(4)}) > 1


def test_drawn_rows_are_those_of_the_whole(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.dataset import pictures

    whole = open_pictures(str(dataset))
    known = {picture.name: picture.load() for picture in whole}
    assert len(known) == len(whole) == 18
    for gap in (512, 0):  # in one stretch, and each run of rows apart
        monkeypatch.setattr(pictures, "GAP", gap)
        for seed in range(5):
            found = {picture.name: picture.load() for picture in whole.sample(7, seed)}
            assert len(found) == 7
            assert found.items() <= known.items()


def test_the_heat_map_shows_few_of_many_and_says_so(
    dataset: Path, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.matrix

    shown = []
    draw = pipelines.matrix.draw_heatmap
    monkeypatch.setattr(pipelines.matrix, "draw_heatmap", lambda heatmap: shown.append(heatmap) or draw(heatmap))
    run("--images", dataset, "--clip", clip, "--output", tmp_path, "--columns", 9)
    (heatmap,) = shown
    assert "9 of 18 images" in heatmap.caption
    styles = [column.style for column in heatmap.columns]
    assert styles == sorted(styles, key=["ink", "gold", "plain"].index)
    assert len(set(styles)) == 3
    for column in heatmap.columns:
        assert column.intended == {"ink": 0, "gold": 1, "plain": None}[column.style]
    names, rows = read_csv(tmp_path / "similarity.csv")
    (place,) = (n for n, name in enumerate(names) if name.startswith("ink/") and heatmap.columns[0].name in name)
    assert heatmap.values_TN[:, 0] == pytest.approx([rows["ink"][place], rows["gold"][place]], abs=2e-6)


def test_many_texts_are_cut_to_those_that_matter(dataset: Path, clip: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join([*(f"text {n}" for n in range(300)), "gold"]))
    summary = run("--images", dataset, "--texts", texts, "--clip", clip, "--output", tmp_path / "out", "--columns", 3)
    assert len(summary["texts"]) == 301
    assert Image.open(tmp_path / "out" / "heatmap.png").height < 6000


def test_a_bucket_takes_and_gives_as_a_folder_does(photos: Path, s3: str, clip: str, tmp_path: Path) -> None:
    bucket = Folder(s3)
    for name in ("p00.jpg", "p01.jpg"):
        bucket.publish(f"photos/{name}", (photos / name).read_bytes())
    words = ("--images", f"{s3}/photos", "--texts", "ink", "--clip", clip)
    summary = run(*words, "--output", f"{s3}/matrix")
    assert sorted(bucket.list("matrix")) == sorted(f"matrix/{name}" for name in summary["files"])
    run(*words, "--output", tmp_path)
    assert bucket.read("matrix/similarity.csv") == (tmp_path / "similarity.csv").read_bytes()


def test_without_json_the_summary_is_for_people(photos: Path, clip: str, tmp_path: Path) -> None:
    words = ["--images", photos, "--texts", "ink", "--texts", "gold", "--clip", clip, "--output", tmp_path]
    result = CliRunner().invoke(app, ["matrix", *map(str, words)], catch_exceptions=False)
    assert "6 images x 2 texts" in result.stdout
    assert "ink: nearest of" in result.stdout


@pytest.mark.parametrize(
    ("images", "words", "said"),
    [
        ("nowhere", ["--texts", "ink"], "no pictures at"),
        ("photos", [], "give --texts"),
        ("photos", ["--texts", "missing.txt"], "no file of texts"),
        ("photos", ["--texts", ""], "is empty"),
        ("photos", ["--texts", "ink", "--clip", "ViT-B-32/none-such"], "open_clip has no weights"),
        ("photos", ["--texts", "ink", "--device", "abacus"], "no device"),
        ("photos", ["--texts", "ink", "--output", "photos/matrix"], "among the pictures"),
        ("photos", ["--texts", "ink", "--output", "photos/p00.jpg/matrix"], "among the pictures"),
        ("photos", ["--texts", "ink", "--output", "file/matrix"], "Nothing can be written"),
        ("empty", ["--texts", "ink"], "has no pictures"),
        ("damaged", ["--texts", "ink"], "None of the 1 pictures"),
        ("untexted", [], "styles have no texts"),
        ("twice", ["--texts", "ink"], "--image-column|several picture columns"),
    ],
)
def test_a_wrong_request_ends_with_one_sentence_and_exit_code_2(
    images: str,
    words: list[str],
    said: str,
    clip: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    write_photographs(tmp_path / "photos", 1)
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.jpg").write_bytes(b"no picture")
    write_dataset(tmp_path / "untexted", tmp_path / "photos", ("plain",))
    (tmp_path / "twice").mkdir()
    pq.write_table(pa.table({"a": [b"1"], "b": [b"2"]}), tmp_path / "twice" / "t.parquet")
    given = ["atelier", "matrix", "--images", images, "--clip", clip, "--output", "out", *words]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2, captured
    assert re.search(said, captured.err), captured.err
    assert captured.err.startswith("atelier: ")
    assert not list((tmp_path / "photos").glob("matrix"))


def test_the_same_request_writes_the_same_files_again(photos: Path, clip: str, tmp_path: Path) -> None:
    words = ("--images", photos, "--texts", "ink", "--texts", "gold", "--clip", clip)
    for name in "ab":
        run(*words, "--output", tmp_path / name)
    run(*words, "--output", tmp_path / "a")
    for name in ("similarity.csv", "probability.csv", "images.csv", "heatmap.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
