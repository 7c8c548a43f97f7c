"""Labels of pictures: words from file names, kinds from WordNet's numbers."""

from __future__ import annotations

import pytest

from tasks.training.objects import KINDS, RUNS, Label, find_kind, read_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("n01443537-goldfish.jpg", Label("a goldfish", "a fish")),
        ("n01532829_house_finch.JPEG", Label("a house finch", "a bird")),
        ("deep/er/n02113712-Miniature--poodle.png", Label("a miniature poodle", "a dog")),
        ("n07747607-orange.jpg", Label("an orange", "a fruit")),
        ("n04589890-window-screen.jpg", Label("a window screen", None)),
        ("n01443537-_goldfish.jpg", Label("a goldfish", "a fish")),
    ],
)
def test_a_file_name_tells_what_a_picture_shows(name: str, label: Label) -> None:
    assert read_label(name) == label


@pytest.mark.parametrize(
    "name",
    ["sunset.jpg", "n1443537-goldfish.jpg", "n014435371-goldfish.jpg", "n01443537.jpg", "n01443537-_.jpg", ""],
)
def test_any_other_name_labels_nothing(name: str) -> None:
    assert read_label(name) is None


def test_the_folder_does_not_label_a_picture() -> None:
    assert read_label("n01443537-goldfish/holiday.jpg") is None


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1_440_763, None),  # before the first class
        (1_440_764, "a fish"),  # tench, the first
        (1_514_667, "a fish"),
        (1_514_668, "a bird"),  # cock
        (1_882_714, None),  # koala
        (1_698_640, None),  # american alligator
        (1_770_393, None),  # scorpion
        (1_775_062, "a spider"),  # wolf spider
        (2_129_604, "a cat"),  # tiger
        (2_504_458, "an elephant"),
        (2_672_831, None),  # accordion
        (7_753_592, "a fruit"),  # banana
        (7_802_026, None),  # hay
        (9_229_709, None),  # bubble
        (13_054_560, "a mushroom"),  # bolete
        (15_075_141, None),  # toilet tissue, the last
    ],
)
def test_a_wordnet_number_has_its_runs_kind(number: int, kind: str | None) -> None:
    assert find_kind(number) == kind


def test_runs_ascend_and_every_kind_can_be_found() -> None:
    starts = [start for start, _ in RUNS]
    assert starts == sorted(set(starts))
    assert {find_kind(start) for start in starts} == {*KINDS, None}
    assert len(set(KINDS)) == len(KINDS) > 20
