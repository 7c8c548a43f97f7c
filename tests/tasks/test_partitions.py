"""Which partition a file lies in, by its folders or by its date."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from tasks.partitions import PartitionSettings, find_date


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("2026-11-27/a.jpg", date(2026, 11, 27)),
        ("raw/date=2026-11-27/part-0.parquet", date(2026, 11, 27)),
        ("2026/11/27/a.jpg", date(2026, 11, 27)),
        ("IMG_20261127_101500.jpg", date(2026, 11, 27)),
        ("cam3/2026_02_28.tar", date(2026, 2, 28)),
        ("2026-02-30/2026-03-01.jpg", date(2026, 3, 1)),
        ("2026-11/27.jpg", None),
        ("120261127.jpg", None),
        ("202611271.jpg", None),
        ("2026-11_27.jpg", None),
        ("99999999.jpg", None),
        ("a.jpg", None),
    ],
)
def test_the_first_date_in_a_path_that_a_calendar_has(path: str, found: date | None) -> None:
    assert find_date(path) == found


@pytest.mark.parametrize(
    ("depth", "path", "name"),
    [(1, "a/b/c.jpg", "a"), (2, "a/b/c.jpg", "a/b"), (9, "a/b/c.jpg", "a/b"), (1, "c.jpg", ".")],
)
def test_a_prefix_is_leading_folders(depth: int, path: str, name: str) -> None:
    assert PartitionSettings(depth=depth).name(path) == name


def test_a_range_holds_its_ends_and_leaves_out_what_has_no_date() -> None:
    some = PartitionSettings(by="date", first=date(2026, 11, 2), last=date(2026, 11, 3))
    days = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]
    assert [some.name(f"{day}/a.jpg") for day in days] == [None, "2026-11-02", "2026-11-03", None]
    assert some.name("a.jpg") is None
    assert PartitionSettings(by="date", first=date(2026, 11, 2)).name("2027-01-01/a.jpg") == "2027-01-01"
    assert PartitionSettings(by="date").name("a.jpg") == "no date"


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "prefix", "first": date(2026, 1, 1)},
        {"by": "date", "first": date(2026, 1, 2), "last": date(2026, 1, 1)},
        {"depth": 0},
        {"by": "hash"},
    ],
)
def test_wrong_partitions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PartitionSettings.model_validate(wrong)
