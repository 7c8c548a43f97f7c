"""`atelier backfill` from end to end: forecast, cheapest first, a few at a time, and on with the next."""

from __future__ import annotations

import os
import signal
from datetime import date
from pathlib import Path

import pytest

from pipelines.job import load_job
from pipelines.partitioned import forecast_backfill
from tasks.partitions import PartitionSettings
from tests.pipelines.conftest import Atelier, read_images, wait_for, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures

WITHOUT_PREFECT = "import sys; sys.modules['prefect'] = None; from pipelines.cli import main; main()"
DAYS = {"2026-11-01": 3, "2026-11-02": 1, "2026-11-03": 2}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Three, one and two photographs of three days, in two styles."""
    for day, number in DAYS.items():
        write_photographs(tmp_path / "photos" / day, number)
    write_style_pictures(tmp_path / "art")
    return write_job(tmp_path)


def test_the_forecast_is_of_each_partition_the_cheapest_first(job: Path) -> None:
    cells = forecast_backfill(load_job(job), PartitionSettings(by="date"))
    assert [(one.cell.partition, one.forecast.records) for one in cells] == [
        ("2026-11-02", 2),
        ("2026-11-03", 4),
        ("2026-11-01", 6),
    ]
    seconds = [one.forecast.device_seconds for one in cells]
    assert seconds == sorted(seconds)
    assert all(one.forecast.bytes_read > 1000 and one.forecast.bytes_written > 1000 for one in cells)
    assert not (job.parent / "out").exists()


def test_a_dearer_method_comes_later_however_few_its_pictures(tmp_path: Path, job: Path) -> None:
    slow = {"name": "slow", "method": {"name": "adaattn"}, "references": [{"image": "art/bars.png"}]}
    fast = {"name": "fast", "references": [{"image": "art/bars.png"}]}
    mixed = write_job(tmp_path, styles=[slow, fast])
    cells = forecast_backfill(load_job(mixed), PartitionSettings(by="date"))
    assert (cells[0].cell.partition, cells[0].styles) == ("2026-11-02", "fast")
    assert cells[-1].styles == "slow"
    assert len(cells) == 6


@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(900)
def test_a_backfill_makes_the_cheapest_partitions_and_leaves_the_rest(
    atelier: Atelier, job: Path, tmp_path: Path
) -> None:
    first = atelier("backfill", job, "--by", "date", "--limit", 2, "--json")
    assert (first.code, first.data["records"], first.data["unplanned"]) == (3, 6, 1), first.stderr
    assert "2 of 3 now: 6 records" in first.stderr
    assert {Path(content).parent.name for content, _ in read_images(tmp_path / "out")} == {"2026-11-02", "2026-11-03"}

    left = forecast_backfill(load_job(job), PartitionSettings(by="date"))
    assert [(one.cell.partition, one.forecast.records) for one in left] == [("2026-11-01", 6)]
    assert forecast_backfill(load_job(job), PartitionSettings(by="date", last=date(2026, 10, 31))) == []


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.timeout(1500)
def test_a_backfill_that_was_killed_goes_on_with_several_partitions_at_once(atelier: Atelier, tmp_path: Path) -> None:
    for number in range(8):
        write_photographs(tmp_path / "photos" / f"set{number}", 4)
    write_style_pictures(tmp_path / "art")
    slowly = {"actors": 1, "gpus_per_actor": 0, "batch_megapixels": 0.001}
    job = write_job(tmp_path, shard_images=2, resources=slowly, images={"size": "keep", "codec": "png"})
    out = tmp_path / "out"
    process = atelier.start("backfill", job, "--at-once", 3)
    wait_for(lambda: len(list(out.glob("data/*.parquet"))) > 7, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert atelier.wait_until_quiet() == []
    assert 0 < len(list(out.glob("data/*.parquet"))) < 16

    left = atelier("backfill", job, "--dry-run", "--json", code=WITHOUT_PREFECT)
    assert 0 < len(left.data) < 8, left.stderr
    again = atelier("backfill", job, "--at-once", 3, "--json")
    assert (again.code, again.data["records"], again.data["unplanned"]) == (0, 64, 0), again.stderr
    assert [plan["pairs"] for plan in atelier("status", out, "--json").data] == [24, 24, 16]
    assert atelier("verify", out).code == 0
    assert len(read_images(out)) == 64


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--from", "2026-11-01"], "a range of dates needs partitions by date"),
        (["--by", "date", "--from", "2026-11-02", "--to", "2026-11-01"], "the range of dates ends before it begins"),
    ],
)
def test_wrong_partitions_are_told_in_one_sentence(atelier: Atelier, job: Path, words: list[str], reason: str) -> None:
    refused = atelier("backfill", job, *words, code=WITHOUT_PREFECT)
    assert (refused.code, refused.stderr) == (2, f"atelier: The partitions are wrong: {reason}.\n")
