"""Plans over prompts: lines added are planned alone, changed ones are told, failed ones are tried again in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.dataset.chain import plan_retry
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.plan import Plan
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder
from tests.tasks.dataset.making import finish, plan, plan_something, recorded, styles, wanted


@pytest.fixture
def words(tmp_path: Path) -> Path:
    write(tmp_path / "words.txt", *(f"boat {n}" for n in range(12)))
    return tmp_path / "words.txt"


@pytest.fixture
def dataset(words: Path, folder: Folder) -> Folder:
    """Twelve prompts in two styles, of which two prompts failed."""
    plan_something(folder, wanted(words, styles("wave", "ink"), size=64))
    finish(folder, failing={"words.txt#2", "words.txt#10"})
    return folder


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines))


def contents(folder: Folder, made: Plan) -> list[str]:
    return [content_id for planned in Ledger(folder).pieces(made) for content_id in planned.piece.content_ids()]


def test_prompts_are_cut_into_shards_and_verified(dataset: Folder) -> None:
    found = verify(dataset)
    assert (found.is_whole, found.records, found.failed) == (True, 20, 4)
    (made,) = Ledger(dataset).chain
    assert (made.contents, made.pairs, made.shards) == (12, 24, 4)
    assert contents(dataset, made) == [f"words.txt#{n}" for n in range(12)]


def test_nothing_is_planned_twice_and_lines_added_are_planned_alone(dataset: Folder, words: Path) -> None:
    what = wanted(words, styles("wave", "ink"), size=64)
    assert plan(dataset, what) is None
    write(words, *(f"boat {n}" for n in range(12)), "", "boat 0", "boat 12")
    made = plan_something(dataset, what)
    assert contents(dataset, made) == ["words.txt#12", "words.txt#13"]
    finish(dataset)
    assert len(set(recorded(dataset))) == len(recorded(dataset)) == 24
    assert verify(dataset).is_whole


@pytest.mark.parametrize("change", ["a line", "two lines in turn", "the size"])
def test_a_changed_prompt_is_told_of_or_made_anew(dataset: Folder, words: Path, change: str) -> None:
    lines, size = [f"boat {n}" for n in range(12)], 64
    if change == "a line":
        lines[3] = "hill 3"
    elif change == "two lines in turn":
        lines[3], lines[4] = lines[4], lines[3]
    else:
        size = 32
    write(words, *lines)
    chosen = styles("wave", "ink")
    with pytest.raises(RequestError, match=r"words\.txt#\d+ has changed since it was stylized"):
        plan(dataset, wanted(words, chosen, size=size))
    assert plan(dataset, wanted(words, chosen, size=size, on_change="keep")) is None
    made = plan_something(dataset, wanted(words, chosen, size=size, on_change="version"))
    assert made.contents == {"a line": 1, "two lines in turn": 2, "the size": 12}[change]


def test_failed_prompts_are_tried_again_in_the_order_of_their_file(dataset: Folder) -> None:
    made = plan_retry(dataset, lambda _: ShardSize(images=3))
    assert made is not None
    assert contents(dataset, made) == ["words.txt#2", "words.txt#10"]
    finish(dataset)
    found = verify(dataset)
    assert (found.is_whole, found.records, found.failed) == (True, 24, 0)
