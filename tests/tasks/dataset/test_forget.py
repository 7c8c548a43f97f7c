"""A takedown removes what it names from every object, once and for all, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.actors.orders import make_order
from tasks.corpus.base import Piece
from tasks.dataset import forget, rewriting
from tasks.dataset.chain import plan_retry, plan_wanted
from tasks.dataset.footer import read_footer
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.forgotten import Forgotten, digest_name, mark_forgotten
from tasks.dataset.identity import read_identity
from tasks.dataset.ledger import Ledger
from tasks.dataset.rewriting import rewrite_shard
from tasks.dataset.stored import stored_names
from tasks.dataset.verify import verify
from tasks.gallery.contents import choose_contents
from tasks.methods.mmist.settings import MmistSettings
from tasks.records import RequestError
from tasks.shards import ShardSize, by_shard
from tasks.storage import Folder
from tasks.styles import PlannedReference
from tests.tasks.dataset.making import (
    commit_shard,
    finish,
    names_of,
    pairs_of,
    plan,
    plan_something,
    planned_style,
    read_shard,
    recorded,
    styles,
    take_down,
    wanted,
    write_photos,
)

BOTH = styles("wave", "ink")
EVERYWHERE = pytest.mark.parametrize("place", ["disk", "s3"])


@pytest.fixture
def made(place: str, photos: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Folder:
    """Seven photographs in two styles, of which 003.jpg failed, on local disk or on S3."""
    folder = Folder(str(tmp_path / "out") if place == "disk" else f"{request.getfixturevalue('s3')}/out")
    plan_something(folder, wanted(photos, BOTH))
    finish(folder, failing={"003.jpg"})
    return folder


@EVERYWHERE
def test_a_content_leaves_its_shard_alone_and_is_not_lost_but_forgotten(made: Folder) -> None:
    others = {name: made.read(name) for name in made.list("data") if name != "data/00001-00000.parquet"}
    before = read_shard(made, 1, 0)
    assert take_down(made, ("001.jpg",)) == ["data/00001-00000.parquet"]
    after = read_shard(made, 1, 0)
    assert after.to_pylist() == [row for row in before.to_pylist() if row["content_id"] != "001.jpg"]
    assert {name: made.read(name) for name in others} == others
    found = verify(made)
    assert (found.records, found.failed, found.forgotten, found.problems) == (10, 2, 2, [])
    assert found.is_whole


@EVERYWHERE
def test_a_failed_content_leaves_the_failures_and_their_copy(made: Folder) -> None:
    take_down(made, ("003.jpg",))
    assert made.list("failures") == {}
    assert Ledger(made).failures() == []
    assert b"003.jpg" not in made.read("data/00001-00001.parquet")
    found = verify(made)
    assert (found.records, found.failed, found.forgotten, found.problems) == (12, 0, 2, [])


@EVERYWHERE
def test_a_style_leaves_every_shard_with_its_representation_and_the_reports(made: Folder) -> None:
    for style in BOTH:
        made.publish(f"representations/adain/{style.representation}.safetensors", b"tensors")
    made.publish("reports/00001/index.html", b"gallery")
    assert len(take_down(made, names=("ink",))) == 3
    assert {digest for _, _, digest in recorded(made)} == {BOTH[0].digest}
    assert list(made.list("representations")) == [f"representations/adain/{BOTH[0].representation}.safetensors"]
    assert made.list("reports") == {}
    found = verify(made)
    assert (found.records, found.failed, found.forgotten, found.problems) == (6, 1, 7, [])


@pytest.mark.parametrize("place", ["disk"])
def test_what_was_taken_down_is_planned_by_nobody(made: Folder, photos: Path) -> None:
    take_down(made, ("001.jpg", "003.jpg"), ("ink",))
    assert plan(made, wanted(photos, BOTH)) is None
    assert plan_retry(made, lambda _: ShardSize()) is None
    assert plan(made, wanted(photos, BOTH[1:])) is None
    write_photos(photos, [9])
    (photos / "001.jpg").write_bytes(b"changed")
    more = styles("wave", "ink", "mosaic")
    said: list[str] = []
    added = plan_wanted(made, wanted(photos, more), lambda: ShardSize(), said.append)
    assert added is not None
    assert names_of(pairs_of(made, added), more) == {
        ("009.jpg", "wave"),
        *((f"{number:03d}.jpg", "mosaic") for number in (0, 2, 4, 5, 6, 9)),
    }
    assert said == ["Style 'ink' was taken out of the dataset (`atelier forget`): it is left out."]


def test_tombstones_tell_no_names_and_the_schema_version_rises(dataset: Folder) -> None:
    assert b"schema_version" in dataset.read("dataset.json")
    take_down(dataset, ("001.jpg",), ("wave",))
    names = dataset.list("forgotten")
    assert set(names) == {
        f"forgotten/content-{digest_name('001.jpg')}.json",
        f"forgotten/style-{digest_name(BOTH[0].digest)}.json",
    }
    for name in names:
        assert set(json.loads(dataset.read(name))) == {"forgotten"}
    identity = read_identity(dataset)
    assert identity is not None
    assert identity.schema_version == 2


def test_looking_for_what_would_go_writes_nothing(dataset: Folder) -> None:
    before = {name: dataset.read(name) for name in dataset.list("")}
    takedown = find_takedown(Ledger(dataset), ("001.jpg", "003.jpg"), ())
    assert (takedown.records, takedown.failed, list(takedown.shards)) == (2, 2, [(1, 0), (1, 1)])
    assert {name: dataset.read(name) for name in dataset.list("")} == before


@pytest.mark.parametrize(
    ("contents", "names", "message"),
    [(("01.jpg",), (), "No plan has a content '01.jpg'"), ((), ("wafe",), "did you mean 'wave'")],
)
def test_what_no_plan_has_is_refused_before_anything_is_written(
    dataset: Folder, contents: tuple[str, ...], names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        take_down(dataset, contents, names)
    assert dataset.list("forgotten") == {}


@pytest.mark.parametrize("point", range(4))
def test_killed_at_any_point_and_run_again_it_finishes(
    dataset: Folder, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """The process ends before the tombstones, or before the first, the second or the third shard is replaced."""

    class Killed(BaseException):
        pass

    left = point

    def die(what: Callable[..., object]) -> Callable[..., object]:
        def dying(*words: object) -> object:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            return what(*words)

        return dying

    takedown = find_takedown(Ledger(dataset), ("003.jpg",), ("ink",))
    with monkeypatch.context() as patch:
        patch.setattr(forget, "REWRITERS", 1)
        patch.setattr(forget, "mark_forgotten", die(mark_forgotten))
        patch.setattr(forget, "rewrite_shard", die(rewrite_shard))
        with pytest.raises(Killed):
            carry_out(dataset, takedown)
    if point:
        assert any("run `atelier forget` again" in problem for problem in verify(dataset).problems)
        take_down(dataset)  # of what the tombstones name
    else:
        take_down(dataset, ("003.jpg",), ("ink",))
    found = verify(dataset)
    assert (found.records, found.failed, found.forgotten, found.problems) == (6, 0, 8, [])
    assert not find_takedown(Ledger(dataset), (), ()).shards


def test_a_copy_of_failures_that_stayed_behind_is_found_and_replaced(dataset: Folder) -> None:
    copy = dataset.read("failures/00001-00001.parquet")
    take_down(dataset, ("003.jpg",))
    dataset.publish("failures/00001-00001.parquet", copy)
    assert take_down(dataset) == ["data/00001-00001.parquet"]
    assert verify(dataset).is_whole


def test_a_shard_that_is_committed_while_its_content_is_taken_down_lands_without_it(
    photos: Path, folder: Folder
) -> None:
    made = plan_something(folder, wanted(photos, BOTH))
    mark_forgotten(folder, Forgotten(frozenset({digest_name("001.jpg")})))  # while an actor has the shard
    footer = commit_shard(folder, made, 0, failing={"001.jpg"})
    assert (footer.records, footer.failed, footer.forgotten) == (4, 0, 2)
    assert read_footer(folder, "data/00001-00000.parquet")[0] == footer
    commit_shard(folder, made, 1)
    commit_shard(folder, made, 2)
    assert verify(folder).is_whole


def test_an_order_leaves_out_what_was_taken_down(photos: Path, folder: Folder) -> None:
    made = plan_something(folder, wanted(photos, BOTH))
    planned = by_shard(Ledger(folder).pieces(made))[0]
    order = make_order(made, planned, made.corpus)
    forgotten = Forgotten(frozenset({digest_name("001.jpg")}), frozenset({digest_name(BOTH[1].digest)}))
    kept = order.without(forgotten)
    assert (kept.contents(), kept.styles, kept.pairs, kept.forgotten) == (["000.jpg", "002.jpg"], BOTH[:1], 2, 4)
    assert order.without(Forgotten()) is order


def test_a_piece_of_a_table_is_cut_around_forgotten_rows() -> None:
    forgotten = Forgotten(frozenset(digest_name(f"a.parquet#{row}") for row in (3, 6, 7)))
    pieces = list(forgotten.keep_pieces([Piece("a.parquet", "v", 9, 0, 3, 7), Piece("b.jpg", "v", 9, 0)]))
    assert [piece.content_ids() for piece in pieces] == [
        ["a.parquet#4", "a.parquet#5"],
        ["a.parquet#8", "a.parquet#9"],
        ["b.jpg"],
    ]


def test_a_report_does_not_choose_what_was_taken_down(dataset: Folder) -> None:
    take_down(dataset, ("001.jpg",))
    ledger = Ledger(dataset)
    assert "001.jpg" not in choose_contents(ledger, ledger.chain[0], 12)


def test_two_takedowns_at_once_both_hold(dataset: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first has read a shard, and is done before the first writes it."""
    first = find_takedown(Ledger(dataset), ("000.jpg",), ())
    replace = rewriting._replace

    def interrupted(folder: Folder, name: str, forgotten: Forgotten) -> None:
        monkeypatch.setattr(rewriting, "_replace", replace)
        before = folder.read(name)
        take_down(folder, ("001.jpg",))
        folder.publish(name, before, create=False)  # as the first read it
        replace(folder, name, forgotten)

    monkeypatch.setattr(rewriting, "_replace", interrupted)
    carry_out(dataset, first)
    assert {content for content, _, _ in recorded(dataset)} == {"002.jpg", "004.jpg", "005.jpg", "006.jpg"}
    assert verify(dataset).is_whole


def test_without_a_name_there_must_be_something_to_finish(dataset: Folder) -> None:
    with pytest.raises(RequestError, match="no takedown to finish"):
        find_takedown(Ledger(dataset), (), ())


def test_what_is_stored_for_a_style_is_known_by_its_keys() -> None:
    plain = planned_style("wave")
    method = MmistSettings.model_validate({"name": "mmist", "render_with": "adain"})
    picture = PlannedReference(image="art/paintings.parquet#row=12&version=0123", weight=1.0, sha256="0" * 64)
    sought = plain.model_copy(
        update={"method": method, "representation": "key", "inversions": ("a", "b"), "references": (picture,)}
    )
    assert stored_names([plain]) == {f"adain/{plain.representation}.safetensors"}
    names = stored_names([sought])
    copies = {name for name in names if name.startswith("pictures/")}
    assert len(copies) == 1
    assert names - copies == {"mmist/key.safetensors", "mmist-pictures/a.safetensors", "mmist-pictures/b.safetensors"}


def test_a_representation_that_another_style_shares_stays(dataset: Folder, photos: Path) -> None:
    twin = planned_style("wave-again", strength=0.5).model_copy(update={"representation": BOTH[0].representation})
    plan_something(dataset, wanted(photos, (twin,)))
    finish(dataset)
    name = f"representations/adain/{twin.representation}.safetensors"
    dataset.publish(name, b"tensors")
    take_down(dataset, names=("wave",))
    assert list(dataset.list("representations")) == [name]
    take_down(dataset, names=("wave-again",))
    assert dataset.list("representations") == {}
