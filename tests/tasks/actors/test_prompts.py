"""Prompts in the place of pictures: rendered in batches of one size, scored against the style alone, recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.actors.orders import ShardOrder
from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.styles import PlannedStyle
from tests.tasks.actors.making import IMAGES, failures, furthest, load, pixels, records, stylize
from tests.tasks.actors.painter import Painter, open_painters
from tests.tasks.encoders.small_clip import save_small_clip

SIZE = (44, 30)


@pytest.fixture
def painters(monkeypatch: pytest.MonkeyPatch) -> list[Painter]:
    return open_painters(monkeypatch)


def order_prompts(file: Path, styles: tuple[PlannedStyle, ...], size: tuple[int, int] = SIZE) -> ShardOrder:
    """All prompts of a file as one shard."""
    settings = CorpusSettings(uri=str(file), size=size)
    pieces = tuple(open_corpus(settings).pieces({}))
    return ShardOrder(1, 0, "digest", settings, IMAGES, 0, styles, pieces)


def write_prompts(folder: Path, count: int) -> Path:
    (folder / "words.txt").write_text("".join(f"a boat on {number} waves\n" for number in range(count)))
    return folder / "words.txt"


def test_every_prompt_is_a_record_in_every_style(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], painters: list[Painter]
) -> None:
    (tmp_path / "words.csv").write_text("prompt,label\na boat,1\na hill,2\na boat,3\n")
    footer = stylize(load(tmp_path / "out"), order_prompts(tmp_path / "words.csv", styles))
    assert (footer.records, footer.failed, footer.source_bytes) == (6, 0, 18)
    rows = records(tmp_path / "out")
    assert [(row["content_id"], row["prompt"], row["label"]) for row in rows[:3]] == [
        ("words.csv#0", "a boat", "1"),
        ("words.csv#1", "a hill", "2"),
        ("words.csv#2", "a boat", "3"),
    ]
    sizes = {(row["width"], row["height"], row["source_width"], row["source_height"]) for row in rows}
    assert sizes == {(*SIZE, None, None)}
    assert {made.shape for made in pixels(tmp_path / "out").values()} == {(30, 44, 3)}
    assert len({row["seed"] for row in rows}) == 6, "two equal prompts are two contents"
    assert len({row["content_version"] for row in rows}) == 2
    assert painters[-1].encoded == [(3, 32, 48)], "once for all styles, at the padded size"


def test_batches_of_prompts_never_change_pixels(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], painters: list[Painter]
) -> None:
    order = order_prompts(write_prompts(tmp_path, 7), styles)
    for name, size in (("tiny", 1), ("large", 2**24)):
        stylize(load(tmp_path / name, batch_pixels=size), order)
    tiny, large = pixels(tmp_path / "tiny"), pixels(tmp_path / "large")
    assert furthest(tiny, large) <= 1
    assert np.abs(large["words.txt#0", "bars"] - large["words.txt#6", "bars"]).max() > 1
    assert [batch for batch, *_ in painters[0].encoded] == [1] * 7


def test_a_prompt_that_cannot_be_read_fails_in_every_style(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], painters: list[Painter]
) -> None:
    (tmp_path / "words.txt").write_bytes(b"a boat\ncaf\xe9\n\x1b[2J\n")
    footer = stylize(load(tmp_path / "out"), order_prompts(tmp_path / "words.txt", styles))
    assert (footer.records, footer.failed) == (2, 4)
    found = {(row["content_id"], row["error_class"], row["error_stage"]) for row in failures(tmp_path / "out")}
    assert found == {("words.txt#1", "not_text", "read"), ("words.txt#2", "control_characters", "read")}
    assert {row["prompt"] for row in failures(tmp_path / "out")} == {None}


def test_prompts_are_scored_against_the_style_and_no_content(
    tmp_path: Path, styles: tuple[PlannedStyle, ...], painters: list[Painter]
) -> None:
    loaded = load(tmp_path / "out", clip=f"local-dir:{save_small_clip(tmp_path / 'clip')}")
    stylize(loaded, order_prompts(write_prompts(tmp_path, 2), styles))
    rows = records(tmp_path / "out")
    assert {row["clip_model"] for row in rows} == {loaded.clip_model}
    assert all(-1 <= float(str(row["clip_image"])) <= 1 for row in rows)
    assert {(row["clip_content"], row["clip_direction"], row["clip_text"]) for row in rows} == {(None, None, None)}
