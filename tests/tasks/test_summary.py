"""The report of a dataset made by the pipeline's own parts: numbers equal the dataset's, pictures are its own."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tasks.dataset.chain import abandon_plans
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.forecast import forecast, shard_size
from tasks.gallery.contents import gallery_rows
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.preflight import prepare_styles
from tasks.shards import ShardSize
from tasks.storage import Folder
from tasks.summary import report_data, write_report
from tests.tasks.encoders.small_clip import save_small_clip
from tests.tasks.gallery.making import draw, make


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven photographs, one of them broken, in two styles; then a third style."""
    folder = tmp_path_factory.mktemp("summary")
    for seed in range(6):
        draw(folder / f"photos/{seed}.png", seed)
    (folder / "photos/broken.png").write_bytes(b"no picture")
    draw(folder / "art/one.png", 10)
    draw(folder / "art/two.png", 11)
    make(folder)
    draw(folder / "art/three.png", 12)
    make(folder)
    return folder


def test_the_numbers_of_a_report_are_the_datasets(dataset: Path) -> None:
    ledger = Ledger(Folder(str(dataset / "out")))
    data = report_data(ledger, verify(ledger.folder))
    assert (data.records, data.failed, data.verification) == (18, 3, [])
    assert {style.name: (style.records, style.failed) for style in data.styles} == {
        name: (6, 1) for name in ("one", "two", "three")
    }
    assert [(reason.error_class, reason.count) for reason in data.failures] == [("not_an_image", 3)]
    assert data.failures[0].example_content_id == "broken.png"
    assert [(run.seq, run.records, run.failed) for run in data.runs] == [(1, 12, 2), (2, 6, 1)]
    assert data.throughput is not None
    assert data.throughput.records_per_second > 0
    assert sum(size.images for size in data.sizes) == 12


def test_the_gallery_shows_contents_beside_their_styles_and_failures_as_such(dataset: Path) -> None:
    rows = {row.content_id: row for row in gallery_rows(Ledger(Folder(str(dataset / "out"))))}
    assert set(rows) == {"broken.png", *(f"{seed}.png" for seed in range(6))}
    assert {cell.style for cell in rows["0.png"].cells} == {"one", "two", "three"}
    for cell in rows["0.png"].cells:
        assert cell.image is not None
        assert Image.open(io.BytesIO(cell.image)).size == (32, 40)
    assert all(cell.image is None and "not_an_image" in cell.failure for cell in rows["broken.png"].cells)
    assert rows["broken.png"].content_image is None


def test_a_content_that_became_no_picture_is_not_decoded(tmp_path: Path) -> None:
    """It may be what took the processes down that tried; here it could be decoded by now, and would be seen."""
    draw(tmp_path / "photos/good.png", 1)
    (tmp_path / "photos/bad.png").write_bytes(b"no picture")
    draw(tmp_path / "art/one.png", 2)
    make(tmp_path)
    draw(tmp_path / "photos/bad.png", 3)
    rows = {row.content_id: row for row in gallery_rows(Ledger(Folder(str(tmp_path / "out"))))}
    assert rows["good.png"].content_image is not None
    assert rows["bad.png"].content_image is None


def test_a_report_is_written_under_its_newest_plan(dataset: Path) -> None:
    folder = Folder(str(dataset / "out"))
    uri = write_report(folder, report_data(Ledger(folder), None))
    assert uri.endswith("reports/00002/index.html")
    assert "broken.png" in Path(uri).read_text()


def test_a_report_of_a_moved_corpus_and_lost_art_still_works(dataset: Path, tmp_path: Path) -> None:
    draw(tmp_path / "photos/a.png", 1)
    draw(tmp_path / "art/one.png", 2)
    make(tmp_path)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    (tmp_path / "art/one.png").unlink()
    data = report_data(Ledger(Folder(str(tmp_path / "out"))), None)
    assert data.gallery[0].content_image is None
    assert [reference.image for reference in data.styles[0].references] == [None]
    assert data.gallery[0].cells[0].image is not None


def test_a_report_of_a_scored_dataset_shows_whether_the_styles_arrived(tmp_path: Path) -> None:
    clip = f"local-dir:{save_small_clip(tmp_path / 'clip')}"
    for seed in range(4):
        draw(tmp_path / f"photos/{seed}.png", seed)
    draw(tmp_path / "art/one.png", 9, (3, 3))
    draw(tmp_path / "art/two.png", 10)
    make(tmp_path, clip=clip)
    folder = Folder(str(tmp_path / "out"))
    data = report_data(Ledger(folder), None)
    assert data.score_model == data.arrivals.matrices[0].model != ""
    assert data.extremes is not None
    assert (len(data.extremes.best), len(data.extremes.worst)) == (4, 4)
    assert {name: summary.count for style in data.styles for name, summary in style.scores.items()} == {
        "clip_image": 4,
        "clip_content": 4,
        "clip_direction": 4,
    }
    assert [len(style.references) for style in data.styles] == [1, 1]
    page = Path(write_report(folder, data)).read_text()
    assert "Did the styles arrive?" in page
    assert "Best and worst" in page


def test_an_empty_dataset_has_a_report(tmp_path: Path) -> None:
    data = report_data(Ledger(Folder(str(tmp_path))), None)
    assert (data.records, data.throughput, list(data.gallery)) == (0, None, [])


def test_an_abandoned_plan_counts_what_it_had_made(tmp_path: Path) -> None:
    for seed in range(6):
        draw(tmp_path / f"photos/{seed}.png", seed)
    draw(tmp_path / "art/one.png", 9)
    make(tmp_path, finish=False)
    folder = Folder(str(tmp_path / "out"))
    assert abandon_plans(folder) == [1]
    data = report_data(Ledger(folder), verify(folder))
    assert (data.records, data.verification) == (3, [])
    plan = make(tmp_path)
    assert plan is not None
    assert plan.pairs == 3
    assert report_data(Ledger(folder), verify(folder)).records == 6


def test_a_forecast_measures_contents_and_scales_up(dataset: Path) -> None:
    ledger = Ledger(Folder(str(dataset / "out")))
    plan = ledger.chain[0]
    made = forecast(plan, ledger.pieces(plan), "cpu", 2)
    assert (made.records, made.contents, made.shards) == (14, 7, 3)
    assert made.megapixels == pytest.approx(14 * 40 * 32 / 1e6)
    assert made.bytes_read == sum(path.stat().st_size for path in (dataset / "photos").iterdir())
    assert made.wall_seconds == pytest.approx(made.device_seconds / 2)
    assert made.codec_seconds > 0


def test_shards_grow_smaller_with_more_styles_and_more_actors() -> None:
    sizes = [
        ShardSize(pair_seconds=1.0, actors=actors).contents(styles, 10_000)
        for styles, actors in ((1, 1), (8, 1), (8, 500))
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 120
    assert ShardSize(images=7).contents(8, 10_000) == 7
    assert ShardSize(pair_seconds=1e6).contents(1, 5) == 1


def test_the_size_of_a_shard_comes_from_the_methods_own_speed(dataset: Path) -> None:
    styles = prepare_styles(str(dataset / "art"), AdainSettings())
    size = shard_size(ImageSettings(size=512), styles, "auto", "cpu", 2)
    expected = AdainSettings().seconds_per_megapixel("cpu") * 512 * 512 * 2 / 3 / 1e6
    assert size.pair_seconds == pytest.approx(expected)
    assert size.actors == 2
