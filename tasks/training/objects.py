"""What a labelled picture shows: words from its file name, and the kind of thing by its WordNet number."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import PurePosixPath

LABEL = re.compile(r"n(?P<number>\d{8})[-_\s]+(?P<words>[^\W_].*)")

# First WordNet 3.0 noun offset of each run of ImageNet's 1,000 classes, and what the run has in common; offsets of
# animals follow the tree of life, those of artefacts the alphabet, so that only the former have kinds.
RUNS = (
    (1_440_764, "a fish"),
    (1_514_668, "a bird"),
    (1_629_819, "an amphibian"),
    (1_664_065, "a turtle"),
    (1_675_722, "a lizard"),
    (1_697_457, None),
    (1_728_572, "a snake"),
    (1_768_244, None),
    (1_773_157, "a spider"),
    (1_776_313, None),
    (1_795_545, "a bird"),
    (1_871_265, None),
    (1_910_747, "a sea creature"),
    (2_002_556, "a bird"),
    (2_066_245, "a sea animal"),
    (2_085_620, "a dog"),
    (2_114_367, "a wild dog"),
    (2_123_045, "a cat"),
    (2_132_136, "a bear"),
    (2_137_549, None),
    (2_165_105, "an insect"),
    (2_317_335, "a sea creature"),
    (2_325_366, "a small furry animal"),
    (2_389_026, "a hoofed animal"),
    (2_441_942, "a small furry animal"),
    (2_454_379, None),
    (2_480_495, "a monkey"),
    (2_504_013, "an elephant"),
    (2_509_815, None),
    (2_514_041, "a fish"),
    (2_666_196, None),
    (7_583_066, "food"),
    (7_714_571, "a vegetable"),
    (7_742_313, "a fruit"),
    (7_802_026, None),
    (7_831_146, "food"),
    (9_193_705, "a landscape"),
    (9_229_709, None),
    (9_246_464, "a landscape"),
    (9_835_506, "a person"),
    (11_879_895, "a plant"),
    (12_985_857, "a mushroom"),
    (13_133_613, "a plant"),
    (15_075_141, None),
)
STARTS = [start for start, _ in RUNS]
KINDS = tuple(dict.fromkeys(kind for _, kind in RUNS if kind))


@dataclass(frozen=True)
class Label:
    """A noun phrase with its article ("a house finch"), and its kind ("a bird"), where one is known."""

    words: str
    kind: str | None


def read_label(name: str) -> Label | None:
    """The label in a file name `nXXXXXXXX-class-name.jpg` (ImageNet's synset, then words); None in any other."""
    match = LABEL.fullmatch(PurePosixPath(name).stem)
    if match is None:
        return None
    words = re.sub(r"[-_\s]+", " ", match["words"]).strip().lower()
    return Label(with_article(words), find_kind(int(match["number"])))


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def find_kind(number: int) -> str | None:
    """The kind of an ImageNet class by its WordNet offset."""
    run = bisect_right(STARTS, number) - 1
    return RUNS[run][1] if run >= 0 else None
