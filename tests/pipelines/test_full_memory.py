"""A host that runs out of memory: Ray ends the process that takes it all, and one picture is to blame."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import Atelier, read_images, write_job
from tests.pipelines.orchestra import ROOT
from tests.tasks.actors import crashing
from tests.tasks.actors.crashing.sitecustomize import FILLS
from tests.tasks.actors.making import write_photographs, write_style_pictures

# What the run itself may take before Ray thinks that memory is full.
ROOM_BYTES = 4 * 2**30


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(600)
def test_a_picture_that_fills_the_memory_fails_and_the_rest_is_made(
    atelier: Atelier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 2 * ROOM_BYTES:
        pytest.skip("too little memory is free to run out of some of it")
    folder = Path(crashing.__path__[0])
    settings = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "RAY_memory_usage_threshold": f"{(memory.total - memory.available + ROOM_BYTES) / memory.total:.3f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    for name, value in settings.items():
        monkeypatch.setitem(atelier.environment, name, value)
    photos = write_photographs(tmp_path / "photos", 6)
    (photos / "p03.jpg").write_bytes((photos / "p02.jpg").read_bytes() + FILLS)
    write_style_pictures(tmp_path / "art")

    outcome = atelier("run", write_job(tmp_path, max_failed=1.0), "--json")
    assert outcome.code == 0, outcome.stderr
    assert (outcome.data["records"], outcome.data["failed"]) == (10, 2)
    rows = [row for path in (tmp_path / "out/failures").iterdir() for row in pq.read_table(path).to_pylist()]
    assert {(row["content_id"], row["error_class"]) for row in rows} == {("p03.jpg", "process_died")}
    assert len(read_images(tmp_path / "out")) == 10
    assert atelier("verify", tmp_path / "out").code == 0
