"""Every wanted pair is in one plan and no pair in two, whatever comes in what order."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.corpus.base import Piece
from tasks.corpus.settings import CorpusSettings
from tasks.images.settings import ImageSettings
from tasks.ownership import Ownership, Want, subtract
from tasks.plan import Plan, Wanted, draft, pieces_to_parquet, publish_plan, read_chain, read_pieces
from tasks.records import RequestError
from tasks.shards import PlannedPiece, ShardSize, by_shard, cut
from tasks.storage import Folder
from tasks.styles import PlannedStyle
from tests.tasks.dataset.making import planned_style, styles

FOUR = (*styles("wave", "ink"), planned_style("dots"), planned_style("half", strength=0.5))


def photo(name: str, version: str = "v1") -> Piece:
    return Piece(name, version, 100, 1)


def rows(first: int, count: int, version: str = "v1", path: str = "t.parquet") -> Piece:
    return Piece(path, version, 1000, 1, first, count)


def plan_next(
    owned: Ownership, pieces: Iterable[Piece], chosen: Sequence[PlannedStyle], size: ShardSize, on_change: str = "error"
) -> tuple[Plan, list[PlannedPiece]]:
    """Plan what is left, and own it."""
    mask = owned.mask(style.digest for style in chosen)
    groups, planned = cut(subtract(pieces, mask, owned, on_change), chosen, owned.bits, size)
    wanted = Wanted(CorpusSettings(uri="/photos"), ImageSettings(), 0, tuple(chosen), "store", "none")
    plan = draft("wanted", wanted, groups, planned)
    for one in planned:
        owned.add(one.piece, owned.mask(plan.styles[i].digest for i in plan.groups[one.group].styles))
    return plan, planned


def pairs(plan: Plan, planned: Iterable[PlannedPiece]) -> list[tuple[str, str, str]]:
    return [
        (content, one.piece.version, plan.styles[index].name)
        for one in planned
        for content in one.piece.content_ids()
        for index in plan.groups[one.group].styles
    ]


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_plans_covers_what_is_wanted_once(seed: int) -> None:
    """Photographs come in any order, a table grows and is cut anew each time, styles come and go."""
    chance = random.Random(seed)
    owned, made, want = Ownership(), Counter[tuple[str, str, str]](), set()
    for _ in range(6):
        photos = [photo(f"{number}.jpg") for number in chance.sample(range(12), chance.randint(0, 8))]
        edges = sorted({0, 60, *(chance.randint(1, 59) for _ in range(chance.randint(0, 5)))})
        cuts = list(pairwise(edges))
        table = [rows(first, stop - first) for first, stop in chance.sample(cuts, chance.randint(0, len(cuts)))]
        chosen = chance.sample(FOUR, chance.randint(1, 4))
        plan, planned = plan_next(owned, photos + table, chosen, ShardSize(images=chance.choice([1, 3, 7, 100])))
        made.update(pairs(plan, planned))
        want |= {(c, p.version, s.name) for p in photos + table for c in p.content_ids() for s in chosen}
        assert set(made) == want
        assert set(made.values()) <= {1}
        assert plan.pairs == len(pairs(plan, planned))
        assert plan.shards == len(by_shard(planned))


def test_a_shard_holds_one_group_and_no_more_contents_than_it_may() -> None:
    pieces = [photo(f"{number}.jpg") for number in range(5)] + [rows(0, 10)]
    plan, planned = plan_next(Ownership(), pieces, FOUR, ShardSize(images=4))
    for shard in by_shard(planned).values():
        assert len({one.group for one in shard}) == 1
        assert sum(one.piece.contents for one in shard) <= 4
    assert {group.wave for group in plan.groups} == {style.wave for style in FOUR}


def test_a_piece_of_a_table_is_cut_where_a_shard_is_full() -> None:
    plan, planned = plan_next(Ownership(), [rows(0, 10), rows(10, 5)], FOUR[:1], ShardSize(images=6))
    spans = [[(one.piece.first_row, one.piece.rows) for one in shard] for shard in by_shard(planned).values()]
    assert spans == [[(0, 6)], [(6, 4), (10, 2)], [(12, 3)]]
    assert plan.contents == 15


def test_one_content_in_many_styles_is_more_than_a_shard() -> None:
    many = styles(*(f"style {number}" for number in range(100)))
    size = ShardSize(pair_seconds=5.0)
    plan, planned = plan_next(Ownership(), [photo("a.jpg"), photo("b.jpg")], many, size)
    assert max(len(group.styles) for group in plan.groups) == 24
    assert len(pairs(plan, planned)) == len(set(pairs(plan, planned))) == 200


def test_what_is_left_of_a_range_is_what_nobody_owns() -> None:
    owned = Ownership()
    wave, ink = owned.mask(["wave"]), owned.mask(["ink"])
    owned.add(rows(10, 10), wave)
    owned.add(rows(15, 10), ink)
    left = owned.missing(rows(0, 30), wave | ink, any_version=False)
    assert left == [
        Want(rows(0, 10), wave | ink),
        Want(rows(10, 5), ink),
        Want(rows(20, 5), wave),
        Want(rows(25, 5), wave | ink),
    ]
    assert owned.missing(rows(12, 2), wave, any_version=False) == []
    assert owned.missing(rows(12, 2, "v2"), wave, any_version=False) == [Want(rows(12, 2, "v2"), wave)]
    assert owned.missing(rows(12, 2, "v2"), wave, any_version=True) == []
    assert owned.missing(rows(0, 5, path="other.parquet"), wave, any_version=False)


def test_retried_rows_do_not_change_who_owns_them() -> None:
    owned = Ownership()
    mask = owned.mask(["wave"])
    owned.add(rows(0, 100), mask)
    for row in range(0, 100, 3):
        owned.add(rows(row, 1), mask)
    assert owned.missing(rows(0, 101), mask, any_version=False) == [Want(rows(100, 1), mask)]


def test_a_changed_content_is_an_error_kept_or_another_version() -> None:
    owned = Ownership()
    plan_next(owned, [photo("a.jpg"), rows(0, 4)], FOUR[:1], ShardSize())
    changed = [photo("a.jpg", "v2"), rows(0, 6, "v2")]
    with pytest.raises(RequestError, match=r"a\.jpg has changed"):
        plan_next(owned, changed, FOUR[:1], ShardSize())
    kept = pairs(*plan_next(owned, changed, FOUR[:1], ShardSize(), "keep"))
    assert kept == [("t.parquet#4", "v2", "wave"), ("t.parquet#5", "v2", "wave")]
    versions = pairs(*plan_next(owned, changed, FOUR[:1], ShardSize(), "version"))
    assert versions == [("a.jpg", "v2", "wave"), *((f"t.parquet#{row}", "v2", "wave") for row in range(4))]
    assert not pairs(*plan_next(owned, [photo("a.jpg", "v1"), photo("a.jpg", "v2")], FOUR[:1], ShardSize()))


def publish_some(folder: Folder, count: int = 3) -> tuple[Plan, list[PlannedPiece]]:
    plan, planned = plan_next(Ownership(), [photo(f"{n}.jpg") for n in range(count)], FOUR, ShardSize(images=2))
    placed = publish_plan(folder, plan, planned, 1)
    assert placed is not None
    return placed, planned


def test_a_plan_comes_back_as_it_was_published(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    plan, planned = publish_some(folder)
    assert read_chain(folder) == [plan]
    assert list(read_pieces(folder, plan)) == list(planned)


def test_a_place_in_the_chain_is_given_once(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    plan, planned = publish_some(folder)
    other, others = plan_next(Ownership(), [photo("other.jpg")], FOUR, ShardSize())
    assert publish_plan(folder, other, others, 1) is None
    assert publish_plan(folder, plan, planned, 1) == plan
    assert list(read_pieces(folder, read_chain(folder)[0])) == list(planned)


def test_the_same_pieces_give_the_same_bytes_and_any_other_plan_another_digest() -> None:
    pieces = [photo(f"{number}.jpg") for number in range(10)]
    one, planned = plan_next(Ownership(), pieces, FOUR, ShardSize())
    two, again = plan_next(Ownership(), pieces, FOUR, ShardSize())
    assert pieces_to_parquet(planned) == pieces_to_parquet(again)
    assert (one.digest, one.pieces) == (two.digest, two.pieces)
    redrawn = (planned_style("wave", "another wave"), *FOUR[1:])
    other, _ = plan_next(Ownership(), pieces, redrawn, ShardSize())
    assert other.pieces == one.pieces
    assert other.digest != one.digest


def test_a_hole_in_the_chain_is_refused(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    plan, planned = publish_some(folder)
    publish_plan(folder, plan, planned, 3)
    with pytest.raises(RequestError, match="hole"):
        read_chain(folder)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"seq": 1}'])
def test_a_damaged_plan_is_refused_by_name(tmp_path: Path, damage: bytes) -> None:
    folder = Folder(str(tmp_path))
    publish_some(folder)
    folder.publish("plans/00001/plan.json", damage, create=False)
    with pytest.raises(RequestError, match=r"plans/00001/plan\.json is damaged"):
        read_chain(folder)


@pytest.mark.parametrize("damage", [None, b"", b"PAR1"])
def test_damaged_pieces_are_refused_by_name(tmp_path: Path, damage: bytes | None) -> None:
    folder = Folder(str(tmp_path))
    plan, _ = publish_some(folder)
    name = f"plans/00001/{plan.pieces}"
    folder.delete(name) if damage is None else folder.publish(name, damage, create=False)
    with pytest.raises(RequestError, match="missing or damaged"):
        read_pieces(folder, plan)


def test_other_files_below_plans_are_no_plans(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    plan, _ = publish_some(folder)
    folder.publish("plans/notes/plan.json", b"{}")
    assert read_chain(folder) == [plan]


def test_a_hundred_thousand_contents_are_planned_and_planned_again_in_seconds(tmp_path: Path) -> None:
    """Measured on two cores: 1.5 s and 1 s; a million 7 s and 10 s, with 1.5 GB."""
    eight = styles(*(f"style {number}" for number in range(8)))
    pieces = [photo(f"folder/photograph-{number:07d}.jpg", f"sha256:{number:032x}") for number in range(100_000)]
    pieces += [rows(first, 64, path="large.parquet") for first in range(0, 320_000, 64)]
    folder, started = Folder(str(tmp_path)), time.process_time()
    plan, planned = plan_next(Ownership(), pieces, eight, ShardSize())
    placed = publish_plan(folder, plan, planned, 1)
    assert placed is not None
    owned = Ownership()
    for one in read_pieces(folder, placed):
        owned.add(one.piece, owned.mask(style.digest for style in eight))
    left = list(subtract(pieces, owned.mask(style.digest for style in eight), owned, "error"))
    assert left == []
    assert plan.contents == 420_000
    assert time.process_time() - started < 15
