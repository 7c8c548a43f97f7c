"""A dataset of prompts: words stand in the gallery where photographs would, and arrivals need no content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.corpus.settings import CorpusSettings
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.gallery.contents import gallery_rows
from tasks.gallery.judgement import PROMPTED, judge_arrivals
from tasks.gallery.tally import tally_records
from tasks.report.model import Arrivals
from tasks.storage import Folder
from tasks.summary import report_data, write_report
from tests.tasks.actors.painter import open_painters
from tests.tasks.gallery.making import draw, make
from tests.tasks.report.reading import Reader

WORDS = ["a boat", "<script>alert(1)</script>", "a boat", "a hill \x07"]


def judge_dataset(root: Path) -> Arrivals:
    ledger = Ledger(Folder(str(root / "out")))
    styles = list({style.digest: style for plan in ledger.chain for style in plan.styles}.values())
    return judge_arrivals(ledger, styles, tally_records(ledger, [style.digest for style in styles], 48))


@pytest.fixture
def prompted(tmp_path: Path, clip: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four prompts, one of them unusable, in two styles."""
    open_painters(monkeypatch)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    draw(tmp_path / "art/one.png", 10, (4, 4))
    draw(tmp_path / "art/two.png", 11, (90, 80))
    make(tmp_path, clip=clip, corpus=CorpusSettings(uri=str(tmp_path / "words.txt"), format="prompts", size=(48, 32)))
    return tmp_path


def test_the_gallery_shows_prompts_in_the_place_of_pictures(prompted: Path) -> None:
    rows = {row.content_id: row for row in gallery_rows(Ledger(Folder(str(prompted / "out"))))}
    assert [rows[f"words.txt#{n}"].prompt for n in range(4)] == [*WORDS[:3], ""]
    assert {row.content_image for row in rows.values()} == {None}
    assert all(cell.image for cell in rows["words.txt#0"].cells)
    assert all("control_characters" in cell.failure for cell in rows["words.txt#3"].cells)


def test_the_report_of_a_dataset_of_prompts_is_whole_and_escaped(prompted: Path) -> None:
    folder = Folder(str(prompted / "out"))
    found = verify(folder)
    assert (found.is_whole, found.records, found.failed) == (True, 6, 2)
    data = report_data(Ledger(folder), found)
    assert {name for style in data.styles for name in style.scores} == {"clip_image"}
    page = Reader(Path(write_report(folder, data)).read_text())
    assert WORDS[1] in page.text
    assert not list(page.of("script"))
    assert "Prompt words.txt#0" in page.text
    assert PROMPTED in page.text


def test_styles_are_asked_for_among_outputs_of_prompts(prompted: Path) -> None:
    found = judge_dataset(prompted)
    (matrix,) = found.matrices
    assert (list(matrix.styles), list(matrix.outputs), found.notes) == (["one", "two"], [3, 3], [PROMPTED])
    assert np.abs(matrix.margins).max() > 0.001


def test_a_corpus_that_is_gone_still_leaves_a_report(prompted: Path) -> None:
    (prompted / "words.txt").unlink()
    data = report_data(Ledger(Folder(str(prompted / "out"))), None)
    assert {row.prompt for row in data.gallery} == {""}
    assert data.arrivals.matrices


def test_pictures_and_prompts_share_a_dataset(prompted: Path, clip: str) -> None:
    draw(prompted / "photos/a.png", 1)
    make(prompted, clip=clip)
    found = judge_dataset(prompted)
    assert list(found.matrices[0].outputs) == [4, 4]
