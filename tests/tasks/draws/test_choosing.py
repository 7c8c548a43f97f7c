"""Draws: by a content's own id, all different, spread evenly; parts of a bank share nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from tasks.draws.choosing import Urn, assign, choose, draw_strength, find_part
from tasks.draws.settings import DrawSettings, SplitSettings
from tasks.records import ImageError

SPLIT = SplitSettings.model_validate({"parts": {"train": 8, "test": 2}})
IDENTITIES = [f"{number:032x}" for number in range(1000)]


def test_a_draw_depends_on_the_seed_and_the_content_alone() -> None:
    drawn = [choose(0, f"{number}.jpg", 3, 1000) for number in range(200)]
    assert drawn == [choose(0, f"{number}.jpg", 3, 1000) for number in range(200)]
    assert drawn != [choose(1, f"{number}.jpg", 3, 1000) for number in range(200)]
    assert all(len(set(one)) == 3 for one in drawn)


def test_more_draws_begin_with_the_same_styles() -> None:
    assert choose(0, "a.jpg", 5, 50)[:2] == choose(0, "a.jpg", 2, 50)


def test_a_content_can_draw_a_whole_bank_and_no_more() -> None:
    assert sorted(choose(0, "a.jpg", 12, 12)) == list(range(12))
    with pytest.raises(ValueError, match="13 different ones of 12"):
        choose(0, "a.jpg", 13, 12)


def test_styles_are_drawn_evenly() -> None:
    counts = Counter(choose(0, f"{number}.jpg", 1, 20)[0] for number in range(8000))
    # 400 each: a binomial of 8,000 at 1/20 has a deviation of 19.5.
    assert all(abs(counts[style] - 400) < 5 * 19.5 for style in range(20))


def test_parts_share_no_style_and_have_their_shares() -> None:
    members = Urn(IDENTITIES, SPLIT, 0).members
    assert not set(members["train"]) & set(members["test"])
    assert len(members["train"]) + len(members["test"]) == 1000
    assert abs(len(members["test"]) - 200) < 5 * 12.7  # a binomial of 1,000 at 0.2
    assert [str(x) for x in Urn(IDENTITIES, SPLIT, 1).members["test"]] != [str(x) for x in members["test"]]


def test_a_style_that_is_added_moves_no_other_from_its_part() -> None:
    before = {identity: assign(identity, SPLIT, 0) for identity in IDENTITIES[:500]}
    after = {identity: assign(identity, SPLIT, 0) for identity in IDENTITIES}
    assert before.items() <= after.items()


def test_contents_draw_from_the_part_of_their_split() -> None:
    urn = Urn(IDENTITIES, SPLIT, 0)
    for number in range(300):
        row = urn.draw(f"test/{number}.jpg", "test", 0)
        assert assign(IDENTITIES[row], SPLIT, 0) == "test"


def test_a_split_is_a_folder_or_a_column_by_its_word_or_number() -> None:
    assert find_part(SPLIT, "test/cat/1.jpg", {}, {}) == "test"
    column = SPLIT.model_copy(update={"column": "part"})
    assert find_part(column, "a.parquet#1", {"part": "train"}, {}) == "train"
    assert find_part(column, "a.parquet#1", {"part": 1}, {"part": ["train", "test"]}) == "test"
    assert find_part(None, "test/cat/1.jpg", {}, {}) is None
    for content_id, columns in (("1.jpg", {}), ("dev/1.jpg", {}), ("a#1", {"part": None})):
        with pytest.raises(ImageError, match="and the draw has train, test"):
            find_part(column if columns else SPLIT, content_id, columns, {})


def test_strengths_lie_in_their_range_and_follow_the_pair() -> None:
    drawn = [draw_strength(seed, (0.4, 0.9)) for seed in range(2000)]
    assert drawn == [draw_strength(seed, (0.4, 0.9)) for seed in range(2000)]
    values = [value for value in drawn if value is not None]
    assert 0.4 <= min(values) < 0.41
    assert 0.89 < max(values) <= 0.9
    assert abs(sum(values) / 2000 - 0.65) < 0.02
    assert draw_strength(1, None) is None
    assert draw_strength(1, (0.5, 0.5)) == 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strength": [0.9, 0.5]}, "the first number is the smaller one"),
        ({"strength": 1.5}, "less than or equal to 1"),
        ({"styles": 0}, "greater than or equal to 1"),
        ({"split": {"parts": {"train": 1}}}, "at least 2"),
        ({"split": {"parts": {"train": 1, "test": 0}}}, "a share above 0"),
    ],
)
def test_a_wrong_draw_is_told(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DrawSettings.model_validate(wrong)
