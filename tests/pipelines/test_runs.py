"""The command line from end to end: run, run again, more of everything, killed half-way, started twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import Atelier, Outcome, read_images, wait_for, write_job
from tests.tasks.actors.making import encoded, photograph, write_photographs, write_style_pictures

pytestmark = [pytest.mark.ray, pytest.mark.prefect]

# Importing either of them raises.
WITHOUT_RAY_AND_PREFECT = (
    "import sys; sys.modules['ray'] = sys.modules['prefect'] = sys.modules['torch'] = None; "
    "from pipelines.cli import main; main()"
)


def failures(root: Path) -> dict[tuple[str, str], str]:
    rows = [row for path in sorted((root / "failures").glob("*")) for row in pq.read_table(path).to_pylist()]
    return {(row["content_id"], row["style"]): row["error_class"] for row in rows}


def test_a_dataset_grows_by_what_is_new(atelier: Atelier, tmp_path: Path) -> None:
    photos, art = write_photographs(tmp_path / "photos", 7), write_style_pictures(tmp_path / "art")
    good = (photos / "p03.jpg").read_bytes()
    (photos / "p03.jpg").write_bytes(good[: len(good) // 2])
    job, out = write_job(tmp_path), tmp_path / "out"

    first = atelier("run", job, "--json")
    assert (first.code, first.stdout[:1]) == (1, "{"), first.stderr  # one of seven failed, and max_failed is 0
    assert (first.data["made"], first.data["records"], first.data["failed"]) == (12, 12, 2)
    assert failures(out) == {("p03.jpg", "bars"): "truncated", ("p03.jpg", "blots"): "truncated"}
    assert Path(first.data["report"]).read_text().startswith("<!")
    assert_quiet(first)

    lenient = write_job(tmp_path, max_failed=0.5)
    again = atelier("run", lenient, "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert (again.code, again.data["made"], again.data["records"]) == (0, 0, 12), again.stderr

    write_photographs(photos, 10, first=10)
    (art / "grain.png").write_bytes(encoded(photograph(40, 40, seed=55), "png"))
    grown = atelier("run", lenient, "--json")
    # ten contents in three styles, and the six good old ones in the new style; the cut one fails there too
    assert (grown.code, grown.data["made"], grown.data["failed"]) == (0, 10 * 3 + 6, 3), grown.stderr
    assert len(read_images(out)) == 12 + 36

    status = atelier("status", out, "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert status.code == 0
    assert [(plan["plan"], plan["pairs"], plan["open"]) for plan in status.data] == [(1, 14, 0), (2, 37, 0)]
    verified = atelier("verify", out, "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert (verified.code, verified.data["whole"], verified.data["records"]) == (0, True, 48)
    assert processes_are_gone(atelier)


@pytest.mark.slow
def test_a_retry_makes_what_had_failed_and_a_changed_picture_is_a_new_version(atelier: Atelier, tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 3)
    write_style_pictures(tmp_path / "art")
    whole = (photos / "p01.jpg").read_bytes()
    (photos / "p01.jpg").write_bytes(b"")
    job, out = write_job(tmp_path, max_failed=1.0), tmp_path / "out"
    process = atelier.start("run", job)
    wait_for(lambda: (out / "plans" / "00001" / "plan.json").exists(), process)
    (photos / "p02.jpg").rename(tmp_path / "p02.jpg")
    assert atelier.finish(process).code == 0
    assert set(failures(out).items()) == {
        ((name, style), reason)
        for name, reason in (("p01.jpg", "empty_file"), ("p02.jpg", "missing"))
        for style in ("bars", "blots")
    }

    (tmp_path / "p02.jpg").rename(photos / "p02.jpg")
    retried = atelier("retry", out, "--json")
    assert (retried.data["made"], retried.data["records"], retried.data["failed"]) == (2, 4, 2), retried.stderr

    (photos / "p01.jpg").write_bytes(whole)
    refused = atelier("run", job, code=WITHOUT_RAY_AND_PREFECT)
    assert refused.code == 2
    assert "p01.jpg has changed since it was stylized" in refused.stderr
    newer = atelier(
        "run", write_job(tmp_path, corpus={"uri": "photos", "on_change": "version"}, max_failed=1.0), "--json"
    )
    # The empty file's failure stays in the ledger: it is another version's.
    assert (newer.code, newer.data["made"], newer.data["records"], newer.data["failed"]) == (0, 2, 6, 2), newer.stderr
    assert ("p01.jpg", "bars") in read_images(out)
    assert atelier("verify", out, code=WITHOUT_RAY_AND_PREFECT).code == 0


def test_a_run_killed_half_way_goes_on_as_if_nothing_had_been(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 24)
    write_style_pictures(tmp_path / "art")
    slowly = {"actors": 2, "gpus_per_actor": 0, "batch_megapixels": 0.001}
    options = {"shard_images": 2, "resources": slowly, "images": {"size": "keep", "codec": "png"}}
    job, out = write_job(tmp_path, **options), tmp_path / "out"

    process = atelier.start("run", job)
    wait_for(lambda: (out / "data").is_dir() and any(out.glob("data/*.parquet")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert processes_are_gone(atelier)
    committed = {path.name: path.stat().st_mtime_ns for path in out.glob("data/*.parquet")}
    assert 1 <= len(committed) < 12
    assert atelier("status", out, code=WITHOUT_RAY_AND_PREFECT).code == 3

    assert atelier("run", job).code == 0
    assert atelier("verify", out, code=WITHOUT_RAY_AND_PREFECT).code == 0
    assert {name: (out / "data" / name).stat().st_mtime_ns for name in committed} == committed
    undisturbed = write_job(tmp_path, **options, output="undisturbed")
    assert atelier("run", undisturbed).code == 0
    assert read_images(out) == read_images(tmp_path / "undisturbed")
    assert len(read_images(out)) == 48


@pytest.mark.slow
def test_what_was_abandoned_is_planned_again(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 8)
    write_style_pictures(tmp_path / "art")
    job, out = write_job(tmp_path, shard_images=2), tmp_path / "out"
    (tmp_path / "photos" / "p05.jpg").rename(tmp_path / "p05.jpg")
    process = atelier.start("run", job)
    wait_for(lambda: (out / "plans" / "00001" / "plan.json").exists(), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert processes_are_gone(atelier)
    committed = len(list(out.glob("data/*.parquet")))
    assert atelier("status", out, code=WITHOUT_RAY_AND_PREFECT).code == (3 if committed < 4 else 0)

    given_up = atelier("abandon", out, "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert (given_up.code, given_up.data) == (0, {"abandoned": [1]})
    (tmp_path / "p05.jpg").rename(tmp_path / "photos" / "p05.jpg")
    assert atelier("run", job).code == 0
    assert len(read_images(out)) == 16
    assert atelier("verify", out, code=WITHOUT_RAY_AND_PREFECT).code == 0


@pytest.mark.slow
def test_a_shard_that_cannot_be_done_leaves_the_run_incomplete(atelier: Atelier, tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 4)
    write_style_pictures(tmp_path / "art")
    job, out = write_job(tmp_path, shard_images=2), tmp_path / "out"
    process = atelier.start("run", job)
    wait_for(lambda: (out / "plans" / "00001" / "plan.json").exists(), process)
    # Linux answers a read of address 0 as a failing disk does: an error of the store, and no property of a picture.
    (photos / "p03.jpg").unlink()
    (photos / "p03.jpg").symlink_to("/proc/self/mem")
    outcome = atelier.finish(process)
    assert outcome.code == 3, outcome.stdout + outcome.stderr
    assert "Shard 1-1 was given up" in outcome.stdout
    assert sorted({content for content, _ in read_images(out)}) == ["p00.jpg", "p01.jpg"]
    (photos / "p03.jpg").unlink()
    write_photographs(photos, 1, first=3)
    assert atelier("run", job).code == 0
    assert len(read_images(out)) == 8


def processes_are_gone(atelier: Atelier) -> bool:
    return atelier.wait_until_quiet() == []


def assert_quiet(outcome: Outcome) -> None:
    """Nothing but the progress bars: no warning that nobody can act on."""
    lines = outcome.stderr.replace("\r", "\n").splitlines()
    lines = [line for line in lines if line.strip() and not re.search(r"\| \d+/\d+ \[", line)]
    assert lines == []
