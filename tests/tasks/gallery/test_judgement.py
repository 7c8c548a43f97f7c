"""Did the styles arrive?: the matrix says what the scores say, by both models, and fails for nothing that is gone."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.dataset.ledger import Ledger
from tasks.encoders.clip import open_clip_model
from tasks.gallery.judgement import OUTPUTS, judge_arrivals, read_sample
from tasks.gallery.tally import tally_records
from tasks.images.decoding import read_picture
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings
from tasks.references import load_style
from tasks.report.model import Arrivals
from tasks.samples.photographs import neutral_photographs
from tasks.scores.clip import ClipScorer
from tasks.storage import Folder
from tasks.styles import PlannedStyle
from tests.tasks.gallery.making import draw, make


def judge_dataset(root: Path) -> Arrivals:
    ledger = Ledger(Folder(str(root / "out")))
    styles = styles_of(ledger)
    return judge_arrivals(ledger, styles, tally_records(ledger, [style.digest for style in styles], 48))


def styles_of(ledger: Ledger) -> list[PlannedStyle]:
    return list({style.digest: style for plan in ledger.chain for style in plan.styles}.values())


def read_records(root: Path) -> list[dict[str, object]]:
    tables = [pq.read_table(path) for path in sorted((root / "out/data").iterdir())]
    return [row for table in tables for row in table.to_pylist()]


def pixels(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def resized(path: Path) -> Pixels:
    """A photograph as it was stylized."""
    return read_picture(path.read_bytes(), ImageSettings(size=64)).pixels_HWC


@pytest.fixture(scope="module")
def arrivals(scored: Path) -> Arrivals:
    return judge_dataset(scored)


def test_both_models_are_asked_about_every_style(arrivals: Arrivals) -> None:
    assert [(m.role, list(m.styles), list(m.outputs)) for m in arrivals.matrices] == [
        (role, ["one", "two", "three"], [7, 7, 7]) for role in ("scorer", "judge")
    ]
    assert (arrivals.notes, arrivals.more_styles) == ([], 0)
    scorer, judge = arrivals.matrices
    assert scorer.model != judge.model
    assert not np.allclose(scorer.margins, judge.margins, atol=1e-3)


def test_the_matrix_is_made_of_the_scores_of_each_output_to_each_style(
    scored: Path, clip: str, arrivals: Arrivals
) -> None:
    scorer = ClipScorer(open_clip_model(clip), neutral_photographs())
    styles = styles_of(Ledger(Folder(str(scored / "out"))))
    records = read_records(scored)
    outputs = [pixels(row["image"]["bytes"]) for row in records]
    contents = scorer.embed_contents([resized(scored / "photos" / str(row["content_id"])) for row in records])
    cosines = np.array(
        [
            [s.clip_direction for s in scorer.score(outputs, contents, [target] * len(records))]
            for target in (scorer.prepare([load_style(style)])[0] for style in styles)
        ]
    )
    made = np.array([[style.name for style in styles].index(str(row["style"])) for row in records])
    taken = np.array([row["clip_direction"] for row in records])
    assert cosines[made, np.arange(len(records))] == pytest.approx(taken, abs=1e-3)
    lifts = cosines - cosines.mean(1, keepdims=True)
    expected = np.array([[lifts[row, made == column].mean() for column in range(3)] for row in range(3)])
    first = [float((lifts[:, made == column].argmax(0) == column).mean()) for column in range(3)]
    assert np.array(arrivals.matrices[0].margins) == pytest.approx(expected, abs=2e-3)
    assert arrivals.matrices[0].first == pytest.approx(first)
    assert np.abs(expected).max() > 0.01


def test_the_same_dataset_gives_the_same_matrix(scored: Path, arrivals: Arrivals) -> None:
    assert judge_dataset(scored) == arrivals


def test_a_sample_is_bounded_and_comes_from_every_style(tmp_path: Path) -> None:
    for seed in range(20):
        draw(tmp_path / f"photos/{seed:02d}.png", seed, (16, 16))
    for seed in range(3):
        draw(tmp_path / f"art/{seed}.png", 50 + seed)
    make(tmp_path)
    ledger = Ledger(Folder(str(tmp_path / "out")))
    styles = styles_of(ledger)
    tally = tally_records(ledger, [style.digest for style in styles], 48)
    sample = read_sample(ledger, styles, tally.holders)
    assert Counter(output.style for output in sample.outputs) == dict.fromkeys(range(3), OUTPUTS)
    assert {output.content for output in sample.outputs} == set(sample.contents)
    ids = {style: [o.content[1] for o in sample.outputs if o.style == style] for style in range(3)}
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == OUTPUTS
    assert {"00.png", "19.png"} <= set(ids[0])


@pytest.fixture
def copied(scored: Path, tmp_path: Path) -> Path:
    """The scored dataset, whose models, art and photographs still lie where they lay."""
    shutil.copytree(scored / "out", tmp_path / "out")
    return tmp_path


def rewrite_plans(root: Path, old: str, new: str) -> None:
    for path in (root / "out/plans").glob("*/plan.json"):
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


def test_a_judge_that_is_gone_is_said_and_the_scorer_still_speaks(copied: Path, judge: str) -> None:
    rewrite_plans(copied, judge, "embedded:no-such-judge")
    found = judge_dataset(copied)
    assert [matrix.role for matrix in found.matrices] == ["scorer"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("No matrix by the judge: This version carries no embedded:no-such-judge")


def test_a_style_picture_that_is_gone_is_said_once(copied: Path, scored: Path) -> None:
    rewrite_plans(copied, f"{scored}/art/two.png", f"{scored}/art/gone.png")
    found = judge_dataset(copied)
    assert not found.matrices
    assert len(found.notes) == 1
    assert found.notes[0].startswith("No matrix by the scorer and the judge: Style 'two': the picture ")


def test_contents_that_are_gone_are_said(copied: Path, scored: Path) -> None:
    rewrite_plans(copied, f"{scored}/photos", f"{scored}/moved")
    found = judge_dataset(copied)
    assert not found.matrices
    assert found.notes == ["Without its contents, which can no longer be read, the matrix cannot be made."]


def test_a_plan_of_before_there_was_a_judge_asks_the_scorer_alone(copied: Path, judge: str) -> None:
    rewrite_plans(copied, f' "judge": "{judge}",\n', "")
    found = judge_dataset(copied)
    assert ([matrix.role for matrix in found.matrices], found.notes) == (["scorer"], [])


def test_a_judge_that_is_the_scorer_is_not_asked_twice(copied: Path, clip: str, judge: str) -> None:
    rewrite_plans(copied, judge, clip)
    assert [matrix.role for matrix in judge_dataset(copied).matrices] == ["scorer"]


def test_without_scores_nobody_is_asked(copied: Path, clip: str) -> None:
    rewrite_plans(copied, f'"clip": "{clip}"', '"clip": "none"')
    assert judge_dataset(copied) == Arrivals()


def test_a_single_style_cannot_be_told_from_others(tmp_path: Path, clip: str) -> None:
    draw(tmp_path / "photos/a.png", 0)
    draw(tmp_path / "art/one.png", 1)
    make(tmp_path, clip=clip)
    assert judge_dataset(tmp_path) == Arrivals()
