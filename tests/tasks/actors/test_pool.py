"""The pool on a local Ray: pinning, deaths, bugs, progress. Processes are killed for real."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from tasks.actors.cluster import Share, cluster_nodes, divide
from tasks.actors.orders import ActorSettings, ShardOrder, split_together
from tasks.actors.pool import Pool, open_pool
from tasks.actors.settings import ResourceSettings
from tasks.dataset.footer import ShardFooter
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.clipstyler.settings import FastSettings
from tasks.style_settings import StyleSettings
from tasks.styles import PlannedStyle, plan_style
from tests.tasks.actors.crashing.sitecustomize import MARK
from tests.tasks.actors.making import load, make_order, stylize, write_photographs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def settings(output: Path, share: Share) -> ActorSettings:
    return ActorSettings(
        output=str(output),
        store=f"{output}/representations",
        clip="none",
        batch_pixels=1,  # a batch a picture, so that there is time to kill
        gpu_share=share.gpus,
        actors=share.actors,
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool") / "out"


@pytest.fixture(scope="module")
def pool(output: Path) -> Iterator[Pool]:
    """Two CPU actors for all tests that ask for nothing else; each test has shards of its own number."""
    share = Share(actors=2, gpus=0.0, threads=1)
    with open_pool(settings(output, share), share) as made:
        yield made


def rows(folder: Path, shard: int) -> list[dict[str, object]]:
    return pq.read_table(folder / f"{1:05d}-{shard:05d}.parquet").to_pylist()


def images(output: Path, shard: int) -> dict[tuple[object, object], object]:
    return {(row["content_id"], row["style"]): row["image"] for row in rows(output / "data", shard)}


def undisturbed(tmp_path: Path, order: ShardOrder) -> dict[tuple[object, object], object]:
    stylize(load(tmp_path / "undisturbed", batch_pixels=1), order)
    return images(tmp_path / "undisturbed", order.shard)


def run(pool: Pool, orders: list[ShardOrder], on_progress: Callable[[int], object] = lambda _: None):  # type: ignore[no-untyped-def]
    footers: list[ShardFooter] = []
    given_up = pool.stylize(orders, footers.append, on_progress)
    return {footer.shard: footer for footer in footers}, given_up


def kill_at_work(pool: Pool, shard: int) -> threading.Thread:
    """Kill the process that has made a few rows of a shard, as soon as there is one."""

    pids = [place["pid"] for place in ray.get([actor.describe.remote() for actor in pool.actors])]

    def watch() -> None:
        while True:
            for slot, entry in pool.entries().items():
                if entry.shard[1] == shard and entry.rows >= 3:
                    os.kill(pids[slot], signal.SIGKILL)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_fractions_of_a_gpu_are_packed_and_whole_ones_kept_apart(tmp_path: Path) -> None:
    for wanted, ids in ((0.5, ["0", "0", "1", "1"]), (1, ["0", "1"])):
        share = divide(ResourceSettings(gpus_per_actor=wanted), cluster_nodes())
        with open_pool(settings(tmp_path, share), share) as pinned:
            assert sorted(str(gpu) for place in pinned.places for gpu in place["gpus"]) == ids
            # This machine's torch has no such GPUs, and the actors say so.
            assert {place["device"] for place in pinned.places} == {"cpu"}
            assert len({place["pid"] for place in pinned.places}) == share.actors


def test_actors_that_ask_for_no_gpu_are_given_none(pool: Pool) -> None:
    assert [place["gpus"] for place in pool.places] == [[], []]


def test_representations_are_spread_and_computed_once(pool: Pool, styles: tuple[PlannedStyle, ...]) -> None:
    done: list[int] = []
    assert pool.represent(styles, done.append) == len(styles) == sum(done)
    assert pool.represent(styles) == 0


def test_what_actors_are_at_is_told_while_they_represent(
    pool: Pool, styles: tuple[PlannedStyle, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.actors.pool.TOLD_SECONDS", 0.05)
    method = FastSettings(mode="fast", steps=40, batch=1, views=1, crop_size=64)
    slow = styles[0].model_copy(update={"name": "slow", "method": method, "representation": "0" * 32})
    told: list[str] = []
    pool.represent([slow], on_told=told.extend)
    assert any(re.fullmatch(r"tuning to a picture: \d+ of 40", line) for line in told), told
    assert ray.get(pool._journal.told.remote()) == []


def test_styles_that_share_no_work_are_told_of_one_by_one() -> None:
    fire = StyleSettings(name="fire", references=[{"text": "fire"}])
    ice = StyleSettings(name="ice", references=[{"text": "ice"}])
    alone, together = (
        [plan_style(style, method) for style in (fire, ice)] for method in (FastSettings(mode="fast"), AdainSettings())
    )
    assert list(split_together([*alone, *together])) == [[alone[0]], [alone[1]], together]


def test_rows_are_counted_while_shards_are_in_hand(
    pool: Pool, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    corpus = write_photographs(tmp_path / "photos", 60)
    order = make_order(corpus, styles, shard=10)
    seen: list[int] = []
    footers, given_up = run(pool, [order], seen.append)
    assert given_up == []
    assert footers[10].records == order.pairs == 120
    assert seen[-1] == 0  # a committed shard is no longer in hand
    assert max(seen) <= order.pairs


def test_a_killed_process_costs_nothing_but_time(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    corpus = write_photographs(tmp_path / "photos", 90)
    long = make_order(corpus, styles, shard=20)
    short = [make_order(write_photographs(tmp_path / f"s{i}", 2), styles, shard=21 + i) for i in range(3)]
    killer = kill_at_work(pool, 20)
    footers, given_up = run(pool, [long, *short])
    killer.join(timeout=5)
    assert not killer.is_alive()
    assert given_up == []
    assert {shard: footer.attempt for shard, footer in footers.items()} == {20: 1, 21: 0, 22: 0, 23: 0}
    assert images(output, 20) == undisturbed(tmp_path, long)


def test_a_content_that_kills_its_process_fails_and_the_rest_is_made(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    corpus = write_photographs(tmp_path / "photos", 6)
    calm = make_order(write_photographs(tmp_path / "calm", 3), styles, shard=31)
    with (corpus / "p04.jpg").open("ab") as file:
        file.write(MARK)
    footers, given_up = run(pool, [make_order(corpus, styles, shard=30), calm])
    assert given_up == []
    assert (footers[30].records, footers[30].failed, footers[30].attempt) == (10, 2, 2)
    assert (footers[31].records, footers[31].failed) == (6, 0)
    failed = rows(output / "failures", 30)
    assert {(row["content_id"], row["error_class"], row["error_stage"]) for row in failed} == {
        ("p04.jpg", "process_died", "process")
    }
    assert len(images(output, 30)) == 10


def test_a_shard_that_always_raises_is_given_up_with_its_reason(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    orders = [make_order(write_photographs(tmp_path / f"s{i}", 2), styles, shard=40 + i) for i in range(3)]
    (output / "data").mkdir(parents=True, exist_ok=True)
    (output / "data" / "00001-00041.parquet").write_bytes(b"somebody else's")
    footers, given_up = run(pool, orders)
    assert sorted(footers) == [40, 42]
    ((plan, shard, reason),) = [(one.plan, one.shard, one.reason) for one in given_up]
    assert (plan, shard) == (1, 41)
    assert "taken by an object of another plan" in reason


def test_an_abandoned_plan_is_not_tried_again(
    pool: Pool, output: Path, tmp_path: Path, styles: tuple[PlannedStyle, ...]
) -> None:
    order = replace(make_order(write_photographs(tmp_path / "photos", 2), styles, shard=0), plan=7)
    (output / "plans" / "00007").mkdir(parents=True)
    (output / "plans" / "00007" / "abandoned.json").write_text("{}")
    footers, given_up = run(pool, [order])
    assert footers == {}
    assert [failure.reason for failure in given_up] == ["AbandonedError: Plan 7 was abandoned."]
    assert not (output / "data" / "00007-00000.parquet").exists()
