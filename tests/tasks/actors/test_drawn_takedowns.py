"""A style of a bank is taken down: every pair that drew it goes and stays away, and no other changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.banks.kept import open_bank, parts_folder
from tasks.banks.tensors import BankTensors
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import plan_retry
from tasks.dataset.compact import CompactExporter
from tasks.dataset.export import ExportRequest, export
from tasks.dataset.forget import Takedown, carry_out, find_takedown
from tasks.dataset.forgotten import mark_forgotten
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.tasks.actors.making import photograph, write_photographs
from tests.tasks.actors.synthesis import SPLIT, Row, Synthesis, rewrite, write_art
from tests.tasks.actors.test_drawn_labels import LABELS, write_table


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_art(tmp_path_factory.mktemp("bank") / "art")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two splits of six photographs, one of them damaged."""
    for number, split in enumerate(("train", "test")):
        write_photographs(tmp_path / "photos" / split, 6, first=6 * number)
    (tmp_path / "photos/test/p08.jpg").write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture
def synthesis(tmp_path: Path, photos: Path) -> Synthesis:
    return Synthesis(tmp_path / "out", CorpusSettings(uri=str(photos)))


def take_down(output: Folder, *names: str) -> Takedown:
    takedown = find_takedown(Ledger(output), (), names)
    carry_out(output, takedown)
    return takedown


def others(rows: list[Row], name: str) -> set[tuple[str, str, int]]:
    return {(row["content_id"], row["style"], row["seed"]) for row in rows if row["style"] != name}


def drawn_most(rows: list[Row]) -> str:
    return str(Counter(row["style"] for row in rows).most_common(1)[0][0])


@pytest.mark.parametrize("draw", [{"styles": 3}, {"styles": 2, "split": SPLIT, "strength": [0.5, 1.0]}])
def test_every_pair_that_drew_it_goes_and_no_other(synthesis: Synthesis, art: Path, draw: dict[str, Any]) -> None:
    before, failed = synthesis.make(str(art), **draw), synthesis.rows("failures")
    name = drawn_most(before)
    digest = next(row["style_digest"] for row in before if row["style"] == name)
    takedown = take_down(synthesis.output, name)
    gone = [row for row in [*before, *failed] if row["style_digest"] == digest]
    assert (takedown.records + takedown.failed, len(takedown.banks)) == (len(gone), 1)
    assert synthesis.rows() == [row for row in before if row["style"] != name]
    assert synthesis.rows("failures") == [row for row in failed if row["style"] != name]
    found = verify(synthesis.output)
    assert (found.problems, found.is_whole, found.forgotten) == ([], True, len(gone))
    assert name not in {row["style"] for row in synthesis.rows()}
    again = find_takedown(Ledger(synthesis.output), (), ())
    assert (again.records, again.failed, again.banks, again.representations) == (0, 0, [], [])


def test_its_tensors_leave_the_bank_and_the_parts_it_was_packed_from(synthesis: Synthesis, art: Path) -> None:
    name = drawn_most(synthesis.make(str(art), styles=3))
    plan = Ledger(synthesis.output).chain[0]
    assert plan.styles[0].draw is not None
    key, store = plan.styles[0].draw.bank, synthesis.loaded.store.folder
    bank = open_bank(store, "adain", key)
    before = {one: BankTensors(bank.table).representation(row) for row, one in enumerate(bank.names)}
    assert len(store.list(parts_folder("adain"))) == 1
    take_down(synthesis.output, name)
    assert store.list(parts_folder("adain")) == {}
    blanked = open_bank(store, "adain", key)
    assert (blanked.identities, blanked.names, blanked.left_out) == (bank.identities, bank.names, bank.left_out)
    for row, one in enumerate(blanked.names):
        found = BankTensors(blanked.table).representation(row)
        assert found.tensors.keys() == (set() if one == name else before[one].tensors.keys())
        assert all((found.tensors[n] == before[one].tensors[n]).all() for n in found.tensors)
    held = [tensor.numpy().tobytes() for tensor in before[name].tensors.values()]
    assert held
    assert not [one for one in store.list("") for data in held if data in store.read(one)]


def test_no_content_gets_it_any_more(synthesis: Synthesis, art: Path, photos: Path, tmp_path: Path) -> None:
    untouched = Synthesis(tmp_path / "untouched", synthesis.corpus)
    name = drawn_most(synthesis.make(str(art), styles=3))
    take_down(synthesis.output, name)
    for number, split in enumerate(("train", "test")):
        write_photographs(photos / split, 12, first=20 + 12 * number)
    (photos / "train/empty.jpg").write_bytes(b"")
    plan = synthesis.plan(str(art), styles=3)
    assert plan is not None
    synthesis.finish()
    rows = untouched.make(str(art), styles=3)
    assert others(synthesis.rows(), name) == others(rows, name)
    assert {row["style"] for row in synthesis.rows()} == {row["style"] for row in rows} - {name}
    found = verify(synthesis.output)
    assert (found.problems, found.is_whole) == ([], True)
    every = [*rows, *untouched.rows("failures")]
    assert found.forgotten == sum(row["style"] == name for row in every) > 3
    assert sum(status.open_pairs for status in Ledger(synthesis.output).status()) == 0
    assert plan_retry(synthesis.output, lambda _: ShardSize()) is not None  # the damaged ones
    synthesis.finish()
    assert verify(synthesis.output).is_whole


def test_a_new_bank_of_the_same_pictures_gives_it_to_nobody(synthesis: Synthesis, tmp_path: Path) -> None:
    art = write_art(tmp_path / "art")
    name = drawn_most(synthesis.make(str(art), styles=3))
    take_down(synthesis.output, name)
    photograph(30, 30, 9).save(art / "new.png")
    assert synthesis.plan(str(art), styles=10, name="second") is not None
    synthesis.finish()
    assert {row["style"] for row in synthesis.rows()} == {*(f"a{n:02d}" for n in range(12)), "new"} - {name}
    found = verify(synthesis.output)
    assert (found.problems, found.is_whole) == ([], True)
    held = find_takedown(Ledger(synthesis.output), (), ())
    assert len(held.banks) == 1, "the new bank holds its tensors until it is asked to finish"
    carry_out(synthesis.output, held)
    assert find_takedown(Ledger(synthesis.output), (), ()).banks == []


def test_a_shard_that_is_committed_after_the_tombstone_lands_without_it(synthesis: Synthesis, art: Path) -> None:
    synthesis.plan(str(art), styles=3)
    name = "a05"
    takedown = find_takedown(Ledger(synthesis.output), (), (name,))
    mark_forgotten(synthesis.output, takedown.forgotten)
    synthesis.finish()
    rows = synthesis.rows()
    assert rows
    assert name not in {row["style"] for row in rows}
    found = verify(synthesis.output)
    assert (found.problems, found.is_whole) == ([], True)
    assert found.records + found.failed + found.forgotten == 36


def test_where_a_column_holds_the_split_the_footer_says_how_many_went(tmp_path: Path, art: Path) -> None:
    write_table(tmp_path / "corpus/a.parquet", 12)
    corpus = CorpusSettings(uri=str(tmp_path / "corpus"), labels=LABELS)  # type: ignore[arg-type]
    synthesis = Synthesis(tmp_path / "out", corpus)
    before = synthesis.make(str(art), styles=2, split=SPLIT | {"column": "part"})
    name = drawn_most(before)
    take_down(synthesis.output, name)
    found = verify(synthesis.output)
    assert (found.problems, found.is_whole) == ([], True)
    assert found.forgotten == sum(row["style"] == name for row in before)
    # A record that is lost is not one of those.
    rewrite(synthesis.output, {"content_id": "another"})
    assert any("pairs lost" in problem for problem in verify(synthesis.output).problems)


def test_what_is_still_there_is_found(synthesis: Synthesis, art: Path) -> None:
    name = drawn_most(synthesis.make(str(art), styles=3))
    takedown = find_takedown(Ledger(synthesis.output), (), (name,))
    mark_forgotten(synthesis.output, takedown.forgotten)
    problems = verify(synthesis.output).problems
    assert problems
    assert all("were taken down and are still there; run `atelier forget` again" in problem for problem in problems)
    carry_out(synthesis.output, find_takedown(Ledger(synthesis.output), (), ()))
    assert verify(synthesis.output).is_whole


def test_a_compact_copy_is_whole_without_it(synthesis: Synthesis, art: Path, tmp_path: Path) -> None:
    name = drawn_most(synthesis.make(str(art), styles=3))
    take_down(synthesis.output, name)
    ledger, target = Ledger(synthesis.output), Folder(str(tmp_path / "compact"))
    request = ExportRequest(format="parquet", object_bytes=10**9)
    export(ledger, target, request, CompactExporter(ledger, target, request))
    here, there = verify(synthesis.output), verify(target)
    assert (there.problems, there.is_whole) == ([], True)
    assert (there.records, there.failed, there.forgotten) == (here.records, here.failed, here.forgotten)


def test_a_name_that_no_bank_has_is_told_with_one_that_it_has(synthesis: Synthesis, art: Path) -> None:
    synthesis.make(str(art), styles=1)
    with pytest.raises(RequestError, match="No plan has a style 'a005': did you mean 'a05'"):
        find_takedown(Ledger(synthesis.output), (), ("a005",))
