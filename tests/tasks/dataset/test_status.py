"""How far a dataset is, by what its shards say of themselves."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.dataset import footer as footers
from tasks.dataset import ledger as ledgers
from tasks.dataset.chain import abandon_plans
from tasks.dataset.footer import KEY, ShardFooter, read_footer
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.status import PlanProgress, Straggler, read_progress
from tasks.dataset.writing import open_writer
from tasks.plan import Plan
from tasks.planned import hold_pieces
from tasks.storage import Folder
from tests.tasks.dataset.making import commit_shard, plan_something, read_shard, styles, wanted, write_photos

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
BOTH = styles("wave", "ink")


@pytest.fixture
def planned(tmp_path: Path, folder: Folder) -> Plan:
    """Twenty photographs in two styles, two photographs a shard: ten shards of four pairs."""
    write_photos(tmp_path / "many", range(20))
    return plan_something(folder, wanted(tmp_path / "many", BOTH), images=2)


def commit_at(folder: Folder, plan: Plan, shard: int, minute: float, seconds: float = 60.0) -> None:
    """Commit a shard that an actor ended so many minutes after noon, and worked so long at."""
    commit_shard(folder, plan, shard, failing={"003.jpg"})
    name = f"data/{shard_name(plan.seq, shard)}"
    footer, _ = read_footer(folder, name)
    assert footer is not None
    finished = (NOON + timedelta(minutes=minute)).isoformat(timespec="seconds")
    footer = footer.model_copy(update={"finished": finished, "seconds": {"busy": seconds}})
    rows = read_shard(folder, plan.seq, shard)
    sink = io.BytesIO()
    with open_writer(sink, rows.schema.remove_metadata()) as writer:
        writer.write_table(rows.replace_schema_metadata())
        writer.add_key_value_metadata({KEY.decode(): footer.to_json()})
    folder.publish(name, sink.getvalue(), create=False)


def look(folder: Folder, minute: float, alive: bool | None = None) -> PlanProgress:
    (one,) = read_progress(Ledger(folder), NOON + timedelta(minutes=minute), alive)
    return one


def test_a_plan_without_a_commit_has_no_pace(planned: Plan, folder: Folder) -> None:
    one = look(folder, 0)
    assert (one.status.open_shards, one.status.open_pairs, one.pace, dict(one.reasons)) == (10, 40, None, {})


def test_rate_time_to_go_and_reasons_come_of_the_commits(planned: Plan, folder: Folder) -> None:
    for shard in range(4):
        commit_at(folder, planned, shard, minute=shard + 1)
    one = look(folder, 4.5)
    assert one.pace is not None
    assert (one.status.records, one.status.failed, dict(one.reasons)) == (14, 2, {"truncated": 2})
    assert one.pace.images_per_second == pytest.approx(14 / 240)
    assert (one.pace.shard_seconds, one.pace.idle_seconds, one.pace.stragglers) == (60, 30, ())
    assert one.pace.eta_seconds == pytest.approx(24 * 240 / 16)
    assert one.pace.last_commit == "2026-11-27T12:04:00+00:00"


def test_a_shard_that_others_overtook_is_a_straggler_with_its_age_at_least(planned: Plan, folder: Folder) -> None:
    for shard in (0, 1, 3, 4, 5, 6):
        commit_at(folder, planned, shard, minute=shard + 1)
    one = look(folder, 7.5)
    assert one.pace is not None
    # Shard 3 was begun three minutes after noon, and shard 2 before it.
    assert one.pace.stragglers == (Straggler(2, 270.0),)
    assert look(folder, 5.9).pace.stragglers == ()  # type: ignore[union-attr]  # less than three times the median


def test_shards_of_another_wave_overtake_nobody(folder: Folder, tmp_path: Path) -> None:
    write_photos(tmp_path / "many", range(8))
    plan = plan_something(folder, wanted(tmp_path / "many", BOTH), images=2)
    other = plan.groups[0].model_copy(update={"wave": "another"})
    ledger = Ledger(folder)
    # As it is where the last two shards are of another method: read from a plan that says so.
    ledger._pieces[plan.seq] = hold_pieces(replace(p, group=int(p.shard >= 2)) for p in ledger.pieces(plan))
    ledger.chain = [plan.model_copy(update={"groups": (plan.groups[0], other)})]
    commit_at(folder, plan, 0, 1)
    commit_at(folder, plan, 2, 2)
    ledger.data = folder.list("data")
    (one,) = read_progress(ledger, NOON + timedelta(minutes=8))
    assert one.pace is not None
    assert one.pace.stragglers == ()


@pytest.mark.parametrize(
    ("minute", "alive", "works"), [(5, None, True), (30, None, False), (30, True, True), (5, False, False)]
)
def test_nobody_is_at_work_after_a_long_pause_unless_it_is_known(
    planned: Plan, folder: Folder, minute: float, alive: bool | None, works: bool
) -> None:
    for shard in (0, 2):
        commit_at(folder, planned, shard, minute=shard + 1)
    pace = look(folder, minute, alive).pace
    assert pace is not None
    assert (pace.eta_seconds is not None) == works
    assert bool(pace.stragglers) == (works and minute > 5)


def test_a_run_that_was_interrupted_is_measured_from_where_it_went_on(planned: Plan, folder: Folder) -> None:
    commit_at(folder, planned, 0, minute=1)
    commit_at(folder, planned, 2, minute=2)
    for shard in (3, 4, 5):
        commit_at(folder, planned, shard, minute=500 + shard)
    pace = look(folder, 506).pace
    assert pace is not None
    assert pace.images_per_second == pytest.approx(12 / 180)
    # Shard 1 was handed out again when the run went on, before shard 3.
    assert pace.stragglers == (Straggler(1, 240.0),)


def test_what_was_given_up_is_not_open(planned: Plan, folder: Folder) -> None:
    commit_at(folder, planned, 0, minute=1)
    abandon_plans(folder)
    one = look(folder, 2)
    assert (one.status.open_shards, one.status.open_pairs, one.status.abandoned) == (0, 0, True)
    assert one.pace is not None
    assert one.pace.eta_seconds is None


def test_a_second_look_reads_only_new_footers(planned: Plan, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_shard(folder, planned, 0)
    first = Ledger(folder)
    assert len(first.footers) == 1
    commit_shard(folder, planned, 1)
    read: list[str] = []

    def count(folder: Folder, name: str) -> tuple[ShardFooter | None, int]:
        read.append(name)
        return footers.read_footer(folder, name)

    monkeypatch.setattr(ledgers, "read_footer", count)
    second = Ledger(folder, first)
    assert sorted(second.footers) == [(1, 0), (1, 1)]
    assert read == ["data/00001-00001.parquet"]
