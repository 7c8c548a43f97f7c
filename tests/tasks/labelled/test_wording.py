"""Names in sentences can be put into a job as they stand."""

from __future__ import annotations

import pytest
import yaml

from tasks.labelled.wording import list_names, quote, show
from tests.tasks.labelled.making import GARBLED

NAMES = [
    GARBLED,
    "no",
    "a\nb",
    'say "a"',
    "\\",
    " ",
    "\u65e5\u672c",
    "\U0001f600",
    "long words " * 30,
    "\x85",
    "\ufeff",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_quoted_name_is_the_same_name_in_a_job(name: str) -> None:
    assert yaml.safe_load(f"classes: [{quote(name)}]") == {"classes": [name]}
    assert quote(name).isascii()
    assert len(quote(name).splitlines()) == 1


def test_only_names_that_nobody_could_type_are_quoted_in_lists() -> None:
    assert [show(name) for name in ("claude-monet", "Unknown Artist", " ", "x ", GARBLED)] == [
        "claude-monet",
        "Unknown Artist",
        '" "',
        '"x "',
        quote(GARBLED),
    ]


def test_long_lists_are_cut() -> None:
    names = [str(number) for number in range(15)]
    assert list_names(names, dict.fromkeys(names, 4)).endswith("10 (4), 11 (4) and 3 more")
