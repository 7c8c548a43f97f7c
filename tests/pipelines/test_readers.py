"""A dataset that two drivers made at once, as others read it: datasets, DuckDB, pandas."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.pipelines.conftest import Atelier, read_images, write_job
from tests.tasks.actors.making import encoded, photograph, write_style_pictures

pytestmark = [pytest.mark.ray, pytest.mark.prefect]

NAMES = ["calm", "stormy"]
ROWS = 12


def write_table(path: Path) -> None:
    """Pictures with a label, as `datasets` writes them."""
    import datasets

    rows = {"image": [], "label": []}
    for index in range(ROWS):
        rows["image"].append({"bytes": encoded(photograph(64, 48, seed=index), quality=95), "path": None})
        rows["label"].append(index % 2)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    path.parent.mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


@pytest.fixture(scope="module")
def dataset(atelier: Atelier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    write_table(folder / "photos" / "rows.parquet")
    write_style_pictures(folder / "art")
    job = write_job(folder, shard_images=3)
    drivers = [atelier.start("run", job, "--json") for _ in range(2)]
    outcomes = [atelier.finish(driver) for driver in drivers]
    # A driver that finds everything owned ends; where the other is still at work then, it says "incomplete".
    codes = sorted(outcome.code for outcome in outcomes)
    assert codes in ([0, 0], [0, 3]), [outcome.stderr for outcome in outcomes]
    return folder / "out"


def test_two_drivers_at_once_make_one_dataset(atelier: Atelier, dataset: Path) -> None:
    assert len(read_images(dataset)) == 2 * ROWS
    verified = atelier("verify", dataset, "--json").data
    assert (verified["whole"], verified["records"], verified["problems"]) == (True, 2 * ROWS, [])
    plans = atelier("status", dataset, "--json").data
    assert sum(plan["pairs"] for plan in plans) == 2 * ROWS


def test_hugging_face_datasets_give_pictures_and_class_names(dataset: Path, tmp_path: Path) -> None:
    import datasets

    files = str(dataset / "data" / "*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == 2 * ROWS
    assert isinstance(loaded[0]["image"], Image.Image)
    assert loaded[0]["image"].size == (64, 48)
    assert loaded.features["label"].names == NAMES
    assert {(row["content_id"], row["label"]) for row in loaded.remove_columns("image")} == {
        (f"rows.parquet#{index}", index % 2) for index in range(ROWS)
    }


def test_duckdb_counts_and_filters_by_style(dataset: Path) -> None:
    files = str(dataset / "data" / "*.parquet")
    query = f"select style, count(*), min(width), count(distinct content_id) from '{files}' group by style order by 1"
    assert duckdb.sql(query).fetchall() == [("bars", ROWS, 64, ROWS), ("blots", ROWS, 64, ROWS)]
    picture = f"select image.bytes from '{files}' where style = 'bars' and content_id = 'rows.parquet#3'"
    ((data,),) = duckdb.sql(picture).fetchall()
    assert Image.open(BytesIO(data)).size == (64, 48)


def test_pandas_reads_and_decodes(dataset: Path) -> None:
    frame = pd.concat(pd.read_parquet(path) for path in sorted((dataset / "data").glob("*.parquet")))
    assert len(frame) == 2 * ROWS
    assert frame.groupby("style").size().to_dict() == {"bars": ROWS, "blots": ROWS}
    assert Image.open(BytesIO(frame.iloc[0]["image"]["bytes"])).size == (64, 48)
    assert frame["seconds"].between(0, 60, inclusive="right").all()


def test_rows_of_a_shard_are_grouped_by_style(dataset: Path) -> None:
    for path in (dataset / "data").glob("*.parquet"):
        styles = pq.read_table(path, columns=["style"])["style"].to_pylist()
        assert styles == sorted(styles)
        assert pq.read_schema(path).field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_a_report_can_be_written_again(atelier: Atelier, dataset: Path) -> None:
    outcome = atelier("report", dataset, "--json")
    assert outcome.code == 0, outcome.stderr
    page = Path(outcome.data["report"]).read_text()
    assert "bars" in page
    assert "blots" in page
