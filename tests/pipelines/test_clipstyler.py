"""A job whose styles are words, by both modes of clipstyler: mixed, in regions, run again."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import Atelier, write_job
from tests.tasks.actors.making import write_photographs

pytestmark = [pytest.mark.ray, pytest.mark.prefect]

FAST = {"name": "clipstyler", "mode": "fast", "steps": 2, "batch": 1, "views": 1, "crop_size": 48}
OPTIMIZE = {"name": "clipstyler", "mode": "optimize", "start": "random", "steps": 3, "crops": 1, "crop_size": 32}


def test_words_become_styles(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    fire, ink = {"text": "fire"}, {"text": "black ink"}
    styles = [
        {"name": "fire", "references": [fire]},
        {"name": "fire-and-ink", "references": [{**fire, "weight": 0.3}, {**ink, "weight": 0.7}]},
        {"name": "fire-beside-ink", "references": [fire, ink], "regions": {"stripes": 2}},
        {"name": "fire-optimized", "references": [fire], "method": OPTIMIZE},
        {"name": "fire-on-ink", "references": [fire, ink], "regions": {"foreground": True}, "method": OPTIMIZE},
    ]
    job = write_job(tmp_path, method=FAST, styles=styles, scores={"clip": "embedded:clip-small", "judge": "none"})
    made = atelier("run", job, "--json")
    assert (made.code, made.data["made"], made.data["failed"]) == (0, 10, 0), made.stderr
    rows = [row for path in (tmp_path / "out" / "data").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {row["method"] for row in rows} == {"clipstyler"}
    strengths = {row["style"]: row["strength"] for row in rows}
    assert (strengths["fire"], strengths["fire-optimized"]) == (1.0, None)
    parts = {row["style"]: [part["reference"] for part in row["regions"] or ()] for row in rows}
    assert {name for name, found in parts.items() if len(found) == 2} == {"fire-beside-ink", "fire-on-ink"}
    representations = {row["style"]: row["representation"] for row in rows}
    assert len(set(representations.values())) == len(rows) // 2
    again = atelier("run", job, "--json")
    assert (again.code, again.data["made"]) == (0, 0), again.stderr
    assert atelier("verify", tmp_path / "out").code == 0
