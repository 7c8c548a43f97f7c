"""What is left of a corpus by partition and wave, and plans of some of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.cells import Cell, draft_cells, find_cells, publish_draft
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.partitions import PartitionSettings
from tasks.plan import Plan, Wanted
from tasks.shards import ShardSize
from tasks.storage import Folder
from tasks.styles import PlannedStyle
from tests.tasks.dataset.making import finish, pairs_of, plan_something, planned_style, styles, wanted, write_photos

BY_FOLDER = PartitionSettings().name


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four photographs in a/, two in b/, one above them."""
    photos = tmp_path / "corpus"
    write_photos(photos / "a", range(4))
    write_photos(photos / "b", range(2))
    write_photos(photos, [9])
    return photos


def two_waves() -> tuple[PlannedStyle, ...]:
    """Two styles of one wave and one of another: a method with other settings to encode by."""
    return (*styles("wave", "ink"), planned_style("slow").model_copy(update={"weights_digest": "others"}))


def plan_cells(folder: Folder, what: Wanted, cells: list[Cell]) -> Plan:
    seq = len(Ledger(folder).chain) + 1
    plan = publish_draft(folder, draft_cells(what, cells, ShardSize(images=2)), what, seq)
    assert plan is not None
    return plan


def names(cells: list[Cell]) -> list[tuple[str, list[str], int]]:
    return [(cell.partition, [style.name for style in cell.styles], cell.wants.pairs) for cell in cells]


def test_cells_are_partitions_in_the_styles_of_a_wave(corpus: Path, folder: Folder) -> None:
    chosen = two_waves()
    assert chosen[0].wave == chosen[1].wave != chosen[2].wave
    cells = find_cells(Ledger(folder), wanted(corpus, chosen), BY_FOLDER)
    assert names(cells) == [
        (".", ["wave", "ink"], 2),
        (".", ["slow"], 1),
        ("a", ["wave", "ink"], 8),
        ("a", ["slow"], 4),
        ("b", ["wave", "ink"], 4),
        ("b", ["slow"], 2),
    ]
    assert folder.list("plans") == {}


def test_what_is_owned_is_in_no_cell_and_all_plans_together_hold_every_pair_once(corpus: Path, folder: Folder) -> None:
    what = wanted(corpus, two_waves())
    first = find_cells(Ledger(folder), what, BY_FOLDER)
    plan = plan_cells(folder, what, [first[3], first[4]])
    assert [style.name for style in plan.styles] == ["slow", "wave", "ink"]
    assert plan.pairs == 4 + 4
    left = find_cells(Ledger(folder), what, BY_FOLDER)
    assert names(left) == [names(first)[place] for place in (0, 1, 2, 5)]

    write_photos(corpus / "b", [7])
    for cell in find_cells(Ledger(folder), what, BY_FOLDER):
        plan_cells(folder, what, [cell])
    assert find_cells(Ledger(folder), what, BY_FOLDER) == []
    finish(folder)
    assert verify(folder).is_whole
    pairs = [pair for plan in Ledger(folder).chain for pair in pairs_of(folder, plan)]
    assert len(pairs) == len(set(pairs)) == 8 * 3


def test_a_style_that_came_later_has_cells_of_its_own(corpus: Path, folder: Folder) -> None:
    plan_something(folder, wanted(corpus, styles("wave")))
    cells = find_cells(Ledger(folder), wanted(corpus, styles("wave", "ink")), BY_FOLDER)
    assert [(cell.partition, cell.wants.pairs) for cell in cells] == [(".", 1), ("a", 4), ("b", 2)]
    plan = plan_cells(folder, wanted(corpus, styles("wave", "ink")), cells)
    assert {digest for _, _, digest in pairs_of(folder, plan)} == {styles("ink")[0].digest}


def test_a_partition_that_is_not_wanted_is_left_out(corpus: Path, folder: Folder) -> None:
    cells = find_cells(Ledger(folder), wanted(corpus, styles("wave")), lambda path: "a" if "a/" in path else None)
    assert names(cells) == [("a", ["wave"], 4)]


def test_a_place_in_the_chain_that_another_driver_took_is_not_written_over(corpus: Path, folder: Folder) -> None:
    what = wanted(corpus, styles("wave"))
    (_, a, b) = find_cells(Ledger(folder), what, BY_FOLDER)
    theirs = plan_cells(folder, what, [a])
    assert publish_draft(folder, draft_cells(what, [b], ShardSize()), what, theirs.seq) is None
    assert [plan.pairs for plan in Ledger(folder).chain] == [4]


def test_rows_of_a_table_are_partitioned_by_their_file(tmp_path: Path, folder: Folder) -> None:
    for day in ("2026-11-01", "2026-11-02"):
        path = tmp_path / "tables" / f"date={day}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"image": [b"one", b"two", b"three"]}), path)
    by_date = PartitionSettings(by="date").name
    cells = find_cells(Ledger(folder), wanted(tmp_path / "tables", styles("wave", "ink")), by_date)
    assert names(cells) == [("2026-11-01", ["wave", "ink"], 6), ("2026-11-02", ["wave", "ink"], 6)]
