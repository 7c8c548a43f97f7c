"""A job whose corpus is prompts: planned, made by inst, verified and reported."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.pipelines.conftest import Atelier, read_images, write_job
from tests.tasks.actors.making import write_style_pictures
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion
from tests.tasks.encoders.small_clip import save_small_clip

pytestmark = [pytest.mark.ray, pytest.mark.prefect]


def test_prompts_become_pictures_in_every_style(atelier: Atelier, tmp_path: Path) -> None:
    write_style_pictures(tmp_path / "art")
    (tmp_path / "words.csv").write_text("prompt,label\na boat,1\na <b>hill</b>,2\na boat,3\n\x07,4\n")
    clip = f"local-dir:{save_small_clip(tmp_path / 'clip')}"
    model = f"local-dir:{save_small_diffusion(tmp_path / 'model')}"
    job = write_job(
        tmp_path,
        corpus={"uri": "words.csv", "size": [72, 64]},
        method={"name": "inst", "weights": model, "clip": clip, "updates": 1, "size": 64, "steps": 2},
        scores={"clip": clip, "judge": "none"},
        max_failed=0.5,
    )
    planned = atelier("plan", job, "--json")
    assert (planned.code, planned.data["records"], planned.data["contents"]) == (0, 8, 4), planned.stderr
    assert planned.data["megapixels"] == pytest.approx(8 * 72 * 64 / 1e6)
    made = atelier("run", job, "--json")
    assert (made.code, made.data["made"], made.data["failed"]) == (0, 6, 2), made.stderr
    assert atelier("verify", tmp_path / "out").code == 0
    rows = [row for path in (tmp_path / "out" / "data").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {(row["content_id"], row["prompt"], row["label"]) for row in rows} == {
        ("words.csv#0", "a boat", "1"),
        ("words.csv#1", "a <b>hill</b>", "2"),
        ("words.csv#2", "a boat", "3"),
    }
    assert {(row["width"], row["height"], row["source_width"], row["clip_content"]) for row in rows} == {
        (72, 64, None, None)
    }
    assert all(row["clip_image"] is not None and row["clip_direction"] is None for row in rows)
    pictures = {pair: np.asarray(Image.open(io.BytesIO(data))) for pair, data in read_images(tmp_path / "out").items()}
    assert {picture.shape for picture in pictures.values()} == {(64, 72, 3)}
    assert (pictures["words.csv#0", "bars"] != pictures["words.csv#2", "bars"]).any(), "each pair has its own noise"
    report = (tmp_path / "out" / "reports" / "00001" / "index.html").read_text()
    assert "a &lt;b&gt;hill&lt;/b&gt;" in report
