"""A job whose styles are words, pictures and both, by mmist: inverted once, mixed on a path, rendered by adain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import Atelier, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures

pytestmark = [pytest.mark.ray, pytest.mark.prefect]

FEW = {"representations": 1, "starts": 2, "steps": 2, "crops": 2, "crop_size": 16, "size": 32}


def test_texts_pictures_and_a_path(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    bars = str(write_style_pictures(tmp_path / "art") / "bars.png")
    styles: list[dict[str, Any]] = [
        {"name": "fire", "references": [{"text": "fire"}]},
        {"name": "bars-on-fire", "references": [{"text": "fire"}, {"image": bars}]},
        {"path": ["fire", "bars-on-fire"], "steps": 1},
        {"name": "split", "references": [{"text": "fire"}, {"image": bars}], "regions": {"stripes": 2}},
    ]
    method = {"name": "mmist", "render_with": {"name": "adain", "strength": 0.5}, **FEW}
    job = write_job(tmp_path, method=method, styles=styles, scores={"clip": "embedded:clip-small", "judge": "none"})
    made = atelier("run", job, "--json")
    assert (made.code, made.data["made"], made.data["failed"]) == (0, 8, 0), made.stderr
    rows = [row for path in (tmp_path / "out" / "data").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {row["style"] for row in rows} == {"fire", "bars-on-fire", "fire-to-bars-on-fire-50", "split"}
    assert {(row["method"], row["strength"]) for row in rows} == {("mmist", 0.5)}
    # Of fire alone: the bars stand for themselves, mixed or in their region, and the path's step has those of its ends.
    pictures = list((tmp_path / "out" / "representations" / "mmist-pictures").glob("*.safetensors"))
    assert len(pictures) == 1
    report = (tmp_path / "out" / "reports" / "00001" / "index.html").read_text()
    assert 'id="paths"' in report
    assert "Pictures that stand for this style in adain" in report


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"styles": [{"path": ["fire", "ink"]}]}, 'names the style "fire", which the job has not'),
        ({"styles": [{"path": ["fire", "fire"]}]}, "two different styles"),
    ],
    ids=["no ends", "no way"],
)
def test_a_wrong_job_ends_in_a_sentence(
    atelier: Atelier, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    write_photographs(tmp_path / "photos", 1)
    styles = [{"name": "fire", "references": [{"text": "fire"}]}]
    job = write_job(tmp_path, **{"method": {"name": "mmist"}, "styles": styles} | change)
    made = atelier("run", job)
    assert made.code == 2
    assert sentence in made.stderr
    assert "Traceback" not in made.stderr
