"""Faults that a shift outlives or gives way to: SIGTERM, hangs, a stuck store, shards without hope. All for real."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from tasks.actors.cluster import Share
from tasks.actors.hope import JUDGED_RECORDS, Hope, HopelessError
from tasks.actors.journal import JournalEntry, JournalWriter, open_journal
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.pool import Pool, open_pool
from tasks.dataset.footer import ShardFooter
from tasks.styles import PlannedStyle
from tests.tasks.actors.crashing.sitecustomize import HANGS, MARK
from tests.tasks.actors.making import make_order, write_photographs
from tests.tasks.actors.test_pool import images, rows, run, settings, undisturbed

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

# Loading takes a while on a busy machine, and is no stall.
STALLED_SECONDS = 25.0
# Rows of a shard after which something happens to its process.
ROWS = 3


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / "out"


@pytest.fixture(scope="module")
def pool(output: Path) -> Iterator[Pool]:
    share = Share(actors=2, gpus=0.0, threads=1)
    chosen = ActorSettings(**{**vars(settings(output, share)), "stalled_after": STALLED_SECONDS})
    with open_pool(chosen, share) as made:
        yield made


def at_work(pool: Pool, shard: int) -> tuple[int, int] | None:
    """Slot and rows of a shard that is in hand; None where it is not, or its process has left."""
    for slot, entry in pool.entries().items():
        if entry.shard[1] == shard and not entry.left:
            return slot, entry.rows
    return None


def pids(pool: Pool) -> list[int]:
    return [place["pid"] for place in ray.get([actor.describe.remote() for actor in pool.actors])]


def do_at_work(pool: Pool, shard: int, act: Callable[[int, int], None]) -> threading.Thread:
    """Do something to the process that has made a few rows of a shard, as soon as there is one: pid and slot."""
    processes = pids(pool)

    def watch() -> None:
        while (found := at_work(pool, shard)) is None or found[1] < ROWS:
            time.sleep(0.01)
        act(processes[found[0]], found[0])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_shard_runs_elsewhere_within_seconds_of_sigterm_and_is_charged_to_nobody(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    long = make_order(write_photographs(tmp_path / "photos", 90), styles, shard=1)
    moments: list[float] = []

    def ask_to_end(pid: int, slot: int) -> None:
        os.kill(pid, signal.SIGTERM)
        moments.append(time.monotonic())
        while (found := at_work(pool, 1)) is None or (found[0] == slot and found[1] >= ROWS):
            time.sleep(0.01)
        moments.append(time.monotonic())

    thread = do_at_work(pool, 1, ask_to_end)
    footers, given_up = run(pool, [long])
    thread.join(timeout=20)
    seconds = moments[1] - moments[0]
    sys.stderr.write(f"from SIGTERM to the shard at work again: {seconds:.2f} s\n")
    assert seconds < 10
    assert given_up == []
    assert footers[1].attempt == 0  # a death that is charged makes a new attempt
    assert images(output, 1) == undisturbed(tmp_path, long)


def test_nothing_is_noted_after_an_actor_has_said_that_it_leaves() -> None:
    _, journal = open_journal()
    writer = JournalWriter(journal, slot=0)

    def note_for_ever() -> None:
        while True:
            writer.note(JournalEntry((1, 1, 0), ("a.jpg",), "node", rows=1))

    threading.Thread(target=note_for_ever, daemon=True).start()  # as the thread that stylizes may, until the end
    while not ray.get(journal.entries.remote()):
        time.sleep(0.01)
    writer.leave(seconds=5)
    for _ in range(50):
        assert ray.get(journal.entries.remote())[0].left


@pytest.mark.slow
def test_contents_that_hang_or_kill_their_process_fail_and_the_rest_is_made(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    corpus = write_photographs(tmp_path / "photos", 5)
    for name, mark in (("p01.jpg", HANGS), ("p03.jpg", MARK)):
        with (corpus / name).open("ab") as file:
            file.write(mark)
    footers, given_up = run(pool, [make_order(corpus, styles, shard=10)])
    assert given_up == []
    assert (footers[10].records, footers[10].failed) == (6, 4)
    assert {(row["content_id"], row["error_class"]) for row in rows(output / "failures", 10)} == {
        ("p01.jpg", "process_hung"),
        ("p03.jpg", "process_died"),
    }


@pytest.mark.slow
def test_a_stopped_process_is_ended_and_its_shard_made_again(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = make_order(write_photographs(tmp_path / "photos", 60), styles, shard=20)
    do_at_work(pool, 20, lambda pid, _: os.kill(pid, signal.SIGSTOP))
    footers, given_up = run(pool, [order])
    assert given_up == []
    assert footers[20].attempt == 1
    assert images(output, 20) == undisturbed(tmp_path, order)


@pytest.mark.slow
def test_a_store_that_says_nothing_is_no_contents_fault(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    corpus = write_photographs(tmp_path / "photos", 3)
    order = make_order(corpus, styles, shard=30)
    # To open a pipe that nobody writes to takes for ever, as a read does from a server that is gone.
    (corpus / "p01.jpg").unlink()
    os.mkfifo(corpus / "p01.jpg")
    footers, ((plan, shard, reason),) = _with_reasons(pool, order)
    assert footers == {}
    assert (plan, shard) == (1, 30)
    assert "a read of the corpus took more than" in reason


def test_a_run_of_failures_is_stopped_early(pool: Pool, tmp_path: Path, styles: tuple[PlannedStyle, ...]) -> None:
    orders = [_empty_files(tmp_path / f"s{i}", 60, styles[:1], 40 + i) for i in range(12)]
    made: list[ShardFooter] = []
    with pytest.raises(HopelessError, match=r"Stopped early: \d+ of the first \d+ records failed"):
        pool.stylize(orders, made.append, lambda _: None, 0.01)
    assert JUDGED_RECORDS <= sum(footer.failed for footer in made) < 12 * 60


def test_a_run_whose_first_shards_are_all_given_up_is_stopped_early(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    orders = [make_order(write_photographs(tmp_path / f"s{i}", 1), styles, shard=60 + i) for i in range(6)]
    (output / "data").mkdir(parents=True, exist_ok=True)
    for order in orders:
        (output / "data" / f"00001-{order.shard:05d}.parquet").write_bytes(b"somebody else's")
    with pytest.raises(HopelessError, match=r"all given up, the last for this reason: .*taken by an object"):
        pool.stylize(orders, lambda _: None, lambda _: None)


def test_failures_are_hopeless_only_beyond_a_half_and_beyond_what_the_job_allows() -> None:
    few, many, allowed = Hope(0.01), Hope(0.01), Hope(0.9)
    few.add(_footer(records=120, failed=90))
    few.check([])
    for hope in (many, allowed):
        hope.add(_footer(records=60, failed=150))
    with pytest.raises(HopelessError, match="150 of the first 210 records failed"):
        many.check([])
    allowed.check([])


def _empty_files(folder: Path, count: int, styles: tuple[PlannedStyle, ...], shard: int) -> ShardOrder:
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:03d}.jpg").touch()
    return make_order(folder, styles, shard=shard)


def _footer(records: int, failed: int) -> ShardFooter:
    return ShardFooter(plan=1, shard=0, plan_digest="digest", token="token", records=records, failed=failed)


def _with_reasons(pool: Pool, order: ShardOrder):  # type: ignore[no-untyped-def]
    footers, given_up = run(pool, [order])
    return footers, [(one.plan, one.shard, one.reason) for one in given_up]
