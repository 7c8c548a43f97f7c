"""Pieces of plans lie in files: what comes out is what went in, in the same bytes, however it came."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise, product

import pyarrow as pa
import pytest

from tasks import planned, wants
from tasks.corpus.base import Piece
from tasks.ownership import Ownership, Want, part, span
from tasks.planned import PIECES_SCHEMA, PieceWriter, PlannedPiece, hold_pieces, to_table
from tasks.shards import ShardSize, by_shard, cut
from tasks.wants import Wants
from tests.tasks.dataset.making import styles


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups and spools of a few rows, so that a few hundred pieces fill many."""
    monkeypatch.setattr(planned, "GROUP_ROWS", 16)
    monkeypatch.setattr(wants, "SPOOL_ROWS", 7)


def make_pieces(count: int, chance: random.Random) -> list[Piece]:
    """Photographs and ranges of tables, in any mixture."""
    pieces = []
    for number in range(count):
        if chance.random() < 0.7:
            pieces.append(Piece(f"{number:04d}.jpg", f"v{number}", number, 1, chance.randrange(9) * 512))
        else:
            edges = sorted(chance.sample(range(100), 3))
            pieces += [Piece(f"{number:04d}.parquet", "v", 9, 1, a, b - a) for a, b in pairwise(edges)]
    return pieces


def cut_plainly(pieces: Iterable[Piece], limit: int) -> Iterator[list[Piece]]:
    """What cutting means, piece by piece."""
    run: list[Piece] = []
    room = limit
    for piece in pieces:
        start, stop = span(piece)
        while start < stop:
            end = min(stop, start + room)
            run.append(part(piece, start, end))
            room, start = room - (end - start), end
            if not room:
                yield run
                run, room = [], limit
    if run:
        yield run


@pytest.mark.parametrize("seed", range(20))
def test_shards_are_cut_as_if_piece_by_piece(seed: int) -> None:
    chance = random.Random(seed)
    pieces = make_pieces(chance.randrange(1, 120), chance)
    limit = chance.choice([1, 2, 5, 16, 33, 1000])
    (group,), made = cut(
        [Want(piece, 1) for piece in pieces],
        styles("wave"),
        {s.digest: 0 for s in styles("wave")},
        ShardSize(images=limit),
    )
    expected = list(cut_plainly(pieces, limit))
    assert [[one.piece for one in shard] for _, shard in made.runs()] == expected
    assert [shard for shard, _ in made.runs()] == list(range(len(expected)))
    tally = made.tally()
    assert [tally.contents[n] for n in range(len(expected))] == [sum(p.contents for p in run) for run in expected]
    assert tally.by_group() == {0: sum(piece.contents for piece in pieces)}
    assert group.styles == (0,)


def test_the_same_pieces_give_the_same_bytes_however_they_come() -> None:
    pieces = make_pieces(100, random.Random(1))
    whole = [PlannedPiece(piece, place // 10, 0) for place, piece in enumerate(pieces)]
    for step in (1, 3, 16, 50):
        writer = PieceWriter()
        for start in range(0, len(pieces), step):
            some = whole[start : start + step]
            writer.add(to_table([one.piece for one in some]), [one.shard for one in some], 0)
        assert writer.close().data() == hold_pieces(whole).data()


def test_pieces_are_a_sequence() -> None:
    whole = [PlannedPiece(piece, 0, 0) for piece in make_pieces(60, random.Random(2))]
    held = hold_pieces(whole)
    assert list(held) == whole
    assert list(held) == whole  # again
    assert (len(held), held[0], held[-1], held[17]) == (len(whole), whole[0], whole[-1], whole[17])
    assert held[::7] == whole[::7]
    assert held[::-1] == whole[::-1]
    assert hold_pieces(held) is held
    with pytest.raises(IndexError):
        held[len(whole)]
    assert not hold_pieces([])
    assert list(hold_pieces([])) == []


def test_pieces_of_a_shard_are_read_where_they_are_asked_for() -> None:
    chance = random.Random(3)
    shards = [shard for shard in range(40) if shard % 7 for _ in range(chance.randrange(1, 30))]
    made = [PlannedPiece(Piece(f"{n}.jpg", "v", n, 1), shard, shard % 2) for n, shard in enumerate(shards)]
    found = by_shard(made)
    wanted = {shard: [one for one in made if one.shard == shard] for shard in dict.fromkeys(shards)}
    assert list(found) == list(wanted)
    for shard in chance.sample(list(wanted), len(wanted)):
        assert found[shard] == wanted[shard]
    assert found.get(7, []) == []
    assert len(by_shard([])) == 0


def test_files_go_with_whoever_holds_them() -> None:
    held = hold_pieces([PlannedPiece(Piece("a", "v", 1, 1), 0, 0)])
    path = held._file.path
    assert os.path.exists(path)
    del held
    gc.collect()
    assert not os.path.exists(path)


def test_wants_are_chosen_from_all_that_want_a_style() -> None:
    held = Wants(Want(Piece(f"{number:03d}", "v", 1, 1), 1 + number % 3) for number in range(300))
    assert held
    assert not Wants([])
    chosen = [int(piece.path) for piece in held.choose(2, 8)]
    assert 5 <= len(chosen) <= 8
    assert all(1 + number % 3 in (2, 3) for number in chosen)
    assert max(chosen) > 200
    assert len(held.choose(1 | 2, 1000)) == 300


@pytest.mark.parametrize("together", [1, 7, 1000])
@pytest.mark.parametrize("by_columns", [False, True])
def test_contents_are_owned_by_version_and_style(by_columns: bool, together: int) -> None:
    owned, chance = Ownership(), random.Random(3)
    masks = [owned.mask(["wave"]), owned.mask(["ink"]), owned.mask([f"style {number}" for number in range(100)])]
    pieces = [Piece(f"{chance.randrange(40)}.jpg", f"v{chance.randrange(3)}", n, n) for n in range(300)]
    whole = [PlannedPiece(piece, 0, chance.randrange(3)) for piece in pieces]
    for batch in hold_pieces(whole).batches() if by_columns else ():
        owned.add_table(batch, masks)
    for one in whole if not by_columns else ():
        owned.add(one.piece, masks[one.group])
    asked = list(product([f"{number}.jpg" for number in range(45)], ("v0", "v1", "v2", "v3")))
    for place, (path, version) in enumerate(asked):
        piece = Piece(path, version, 1, 1)
        if place % together == 0:
            owned.look_ahead(Piece(path, version, 1, 1) for path, version in asked[place : place + together])
        left = masks[0] | masks[1] | masks[2]
        for one in whole:
            left &= ~masks[one.group] if (one.piece.path, one.piece.version) == (path, version) else -1
        assert owned.missing(piece, masks[0] | masks[1] | masks[2], any_version=False) == [Want(piece, left)] * bool(
            left
        )
        versions = [one for one in pieces if one.path == path]
        assert owned.changed(piece) == (bool(versions) and version not in {one.version for one in versions})
        assert owned.known.get(path) == (versions[-1] if versions else None)


def test_columns_are_the_schema_of_plans() -> None:
    table = next(hold_pieces([PlannedPiece(Piece("a", "v", 1, 2, 3, 4), 5, 6)]).batches())
    assert table.schema == PIECES_SCHEMA
    assert table.to_pylist() == [
        {"path": "a", "version": "v", "bytes": 1, "modified": 2, "first_row": 3, "rows": 4, "shard": 5, "group": 6}
    ]
    assert pa.types.is_int32(table.schema.field("shard").type)
